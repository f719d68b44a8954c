use cml_data::{Dataset, Error, Features, MAX_CLASSES, Split};
use ndarray::{Array2, array};

fn names() -> Vec<String> {
    vec!["a".into(), "b".into()]
}

fn sample() -> Dataset {
    Dataset::new(
        array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
        vec![0, 2, 0],
        names(),
        4,
    )
    .unwrap()
}

/// Builds a data set that must be refused with this message.
fn check(features: Array2<f32>, labels: &[usize], names: &[&str], classes: usize, expected: &str) {
    let names = names.iter().map(ToString::to_string).collect();
    let error = Dataset::new(features, labels.to_vec(), names, classes).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_constructor_checks() {
    let ok = || array![[0.0, 1.0]];
    let empty = "a data set needs at least one row and one column, found";
    check(
        Array2::zeros((0, 2)),
        &[],
        &["a", "b"],
        1,
        &format!("{empty} 0 rows and 2 columns"),
    );
    check(
        Array2::zeros((2, 0)),
        &[0, 0],
        &[],
        1,
        &format!("{empty} 2 rows and 0 columns"),
    );
    check(
        ok(),
        &[],
        &["a", "b"],
        1,
        "a data set of 1 rows needs 1 labels, found 0",
    );
    check(
        ok(),
        &[0],
        &["a"],
        1,
        "a table of 2 columns needs 2 names, found 1",
    );
    check(
        ok(),
        &[0],
        &["a", "a"],
        1,
        "columns 0 and 1 of the table are both named \"a\"",
    );
    check(
        ok(),
        &[2],
        &["a", "b"],
        2,
        "row 0: needs a class of 0..2, found 2",
    );
    check(ok(), &[0], &["a", "b"], 0, "needs 1 to 65536 classes, found 0");
    check(
        ok(),
        &[0],
        &["a", "b"],
        MAX_CLASSES + 1,
        "needs 1 to 65536 classes, found 65537",
    );
    for value in [f32::NAN, f32::INFINITY] {
        let expected = format!("row 0, column \"b\": needs a finite number, found {value}");
        check(array![[0.0, value]], &[0], &["a", "b"], 1, &expected);
    }
}

#[test]
fn features_are_row_major_whatever_they_came_as() {
    let transposed = array![[0.0, 2.0], [1.0, 3.0]].reversed_axes();
    let features = Features::new(transposed, names()).unwrap();
    assert_eq!(features.values().as_slice(), Some(&[0.0, 1.0, 2.0, 3.0][..]));
}

#[test]
fn accessors_agree() {
    let data = sample();
    assert_eq!((data.len(), data.feature_count(), data.class_count()), (3, 2, 4));
    assert!(!data.is_empty());
    assert_eq!(data.class_sizes(), [2, 0, 1, 0]);
    let samples: Vec<_> = data.samples().map(|(row, label)| (row.to_vec(), label)).collect();
    assert_eq!(samples[1], (vec![2.0, 3.0], 2));
}

#[test]
fn subset_keeps_the_order_asked_for() {
    let part = sample().subset(&[2, 1, 2]).unwrap();
    assert_eq!(part.features(), &array![[4.0, 5.0], [2.0, 3.0], [4.0, 5.0]]);
    assert_eq!((part.labels(), part.class_count()), (&[0, 2, 0][..], 4));
    assert_eq!(
        sample().subset(&[3]).unwrap_err().to_string(),
        "needs a row of 0..3, found 3"
    );
    assert!(matches!(sample().subset(&[]), Err(Error::EmptyTable { .. })));
}

#[test]
fn take_and_sample_are_bounded_by_the_rows() {
    let data = sample();
    assert_eq!(data.take(2).unwrap(), data.subset(&[0, 1]).unwrap());
    assert_eq!(data.take(usize::MAX).unwrap(), data);
    assert!(matches!(data.take(0), Err(Error::EmptyTable { .. })));
    assert_eq!(data.sample(9, 1).unwrap().len(), 3);
    assert_eq!(
        data.sample(2, 1).unwrap(),
        data.sample(3, 1).unwrap().take(2).unwrap()
    );
    assert!(matches!(data.sample(0, 1), Err(Error::EmptyTable { .. })));
}

#[test]
fn a_random_split_holds_every_row_once() {
    let Split { train, test } = Split::random(&sample(), 1, 5).unwrap();
    let mut firsts: Vec<f32> = [&train, &test]
        .iter()
        .flat_map(|part| part.features().column(0).to_vec())
        .collect();
    firsts.sort_by(f32::total_cmp);
    assert_eq!(((train.len(), test.len()), firsts), ((2, 1), vec![0.0, 2.0, 4.0]));
    let message = "a split of 3 rows needs at least 1 row on either side, found 3 for the test";
    assert_eq!(Split::random(&sample(), 3, 5).unwrap_err().to_string(), message);
}

#[test]
fn parts_must_be_alike() {
    let other = Dataset::new(array![[0.0]], vec![0], vec!["a".into()], 4).unwrap();
    assert!(matches!(
        Split::new(sample(), other),
        Err(Error::UnlikeParts { .. })
    ));
}
