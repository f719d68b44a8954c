use cml_data::{Dataset, NAMES, Split, checkerboard_label, named};

use crate::checkerboard::rule_hits;

/// Rows, columns and classes of a data set, and whether it follows the seed.
fn check(name: &str, train: usize, test: usize, columns: usize, classes: usize, seeded: bool) -> Split {
    let split = named(name, 1).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (train, test), "{name}");
    for part in [&split.train, &split.test] {
        assert_eq!(
            (part.feature_count(), part.class_count()),
            (columns, classes),
            "{name}"
        );
        assert!(part.class_sizes().iter().all(|&size| size > 0), "{name}");
    }
    assert_eq!(split != named(name, 2).unwrap(), seeded, "{name}");
    split
}

/// The least and largest value of a data set.
fn range(data: &Dataset) -> (f32, f32) {
    data.features()
        .iter()
        .fold((f32::MAX, f32::MIN), |(min, max), &value| {
            (min.min(value), max.max(value))
        })
}

#[test]
fn every_name_is_a_data_set() {
    assert_eq!(NAMES, ["checkerboard", "checkerboard.csv", "iris", "digits"]);
    check("checkerboard", 9_500, 500, 2, 2, true);
    check("checkerboard.csv", 9_500, 500, 2, 2, false);
    check("iris", 112, 38, 4, 3, false);
    check("digits", 1_347, 450, 64, 10, false);
}

#[test]
fn iris_and_digits_are_not_scaled() {
    let iris = named("iris", 0).unwrap();
    assert_eq!(
        (iris.train.class_sizes(), iris.test.class_sizes()),
        (vec![35, 39, 38], vec![15, 11, 12])
    );
    // The longest petal or sepal is a test row: scaled by the train part it leaves the unit interval.
    assert_eq!((range(&iris.train).1, range(&iris.test).1), (7.7, 7.9));
    let digits = named("digits", 0).unwrap();
    assert_eq!(range(&digits.train), (0.0, 16.0));
    assert!(digits.train.features().iter().all(|value| value.fract() == 0.0));
}

/// The ceiling of the file: the rule that made the labels, given the noisy
/// points, is right on 478 of the 500 test rows and 9,051 of the others.
#[test]
fn the_rule_is_right_on_478_of_the_500_fixed_test_points() {
    let Split { train, test } = named("checkerboard.csv", 0).unwrap();
    assert_eq!(
        (train.class_sizes(), test.class_sizes()),
        (vec![4_731, 4_769], vec![269, 231])
    );
    assert_eq!((rule_hits(&train), rule_hits(&test)), (9_051, 478));
}

/// The file is a grid read along x first, and its labels are those of the
/// grid points: what the generator does, with other noise.
#[test]
fn the_file_is_a_checkerboard() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/checkerboard.csv");
    let board = cml_data::read_csv(path, &Default::default()).unwrap();
    assert_eq!(board.len(), 10_000);
    for (index, (point, label)) in board.samples().enumerate() {
        let (x, y) = ((index % 100) as f64 / 99.0, (index / 100) as f64 / 99.0);
        assert_eq!(checkerboard_label(x, y), label, "row {index}");
        for (noisy, clean) in [(point[0], x), (point[1], y)] {
            assert!((f64::from(noisy) - clean).abs() < 0.05, "row {index}");
        }
    }
}

#[test]
fn an_unknown_name_lists_the_known() {
    let error = named("mnist", 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no data set is named \"mnist\", there are: checkerboard, checkerboard.csv, iris, digits"
    );
}
