use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, Read};

use cml_data::{
    CsvOptions, Dataset, Error, read_csv, read_csv_from, read_features, read_features_from, read_split_csv,
    read_split_csv_from,
};
use ndarray::array;
use proptest::prelude::*;

fn read(text: &str) -> Result<Dataset, Error> {
    read_csv_from(text.as_bytes(), "f.csv", &CsvOptions::default())
}

/// Reads a text that must be refused with this message.
fn check(text: &str, expected: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), expected);
}

#[test]
fn reads_features_labels_and_names() {
    let data = read("a,label,b,split\n1,0,-2.5e1,train\n3,2,4,test\n").unwrap();
    assert_eq!(data.features(), array![[1.0, -25.0], [3.0, 4.0]]);
    assert_eq!((data.labels(), data.class_count()), (&[0, 2][..], 3));
    assert_eq!(data.feature_names(), ["a", "b"]);
}

#[test]
fn layout_of_the_text_does_not_matter() {
    let plain = read("a,b,label\n1,2,0\n3,4,1\n").unwrap();
    for text in [
        "a,b,label\r\n1,2,0\r\n3,4,1\r\n",
        "a,b,label\n1,2,0\n3,4,1",
        "\n\na,b,label\n\n1,2,0\n\r\n3,4,1\n\n",
        "\u{feff}a,b,label\n1,2,0\n3,4,1\n",
        " a , b,label\n 1,2 ,0\n3,4, 1\n",
        "\"a\",\"b\",label\n\"1\",2,0\n3,4,\"1\"\n",
        "label,a,b\n0,1,2\n1,3,4\n",
    ] {
        assert_eq!(read(text).unwrap(), plain, "{text:?}");
    }
}

#[test]
fn refuses_bad_headers() {
    check("", "f.csv: the file is empty, needs a header row");
    check("\n\r\n", "f.csv: the file is empty, needs a header row");
    check(
        "5.1,3,0\n4,3,0\n",
        "f.csv: line 1: needs a header row with column names, found only numbers (\"5.1\", ...)",
    );
    check(
        "a,b,a,label\n",
        "f.csv: line 1: columns 1 and 3 are both named \"a\"",
    );
    check("a,,label\n", "f.csv: line 1: column 2 of 3 has no name");
    check(
        "a,b\n1,2\n",
        "f.csv: line 1: needs a column \"label\", found \"a\", \"b\"",
    );
    check(
        "split,label\n",
        "f.csv: line 1: needs at least one feature column, found \"split\", \"label\"",
    );
    check(
        "a,label\n",
        "f.csv: needs at least one row below the header, found none",
    );
}

#[test]
fn refuses_bad_cells() {
    let number =
        |line, text| format!("f.csv: line {line}, column \"b\": needs a finite number, found {text}");
    check("a,b,label\n1,2,0\n1,two,0\n", &number(3, "\"two\""));
    check("a,b,label\n1,,0\n", &number(2, "\"\""));
    check("a,b,label\n1,NaN,0\n", &number(2, "\"NaN\""));
    check("a,b,label\n1,-inf,0\n", &number(2, "\"-inf\""));
    check("a,b,label\n1,1e39,0\n", &number(2, "\"1e39\""));
    check(
        &format!("a,b,label\n1,{},0\n", "é".repeat(99)),
        &number(2, &format!("\"{}...\"", "é".repeat(40))),
    );
    check(
        "a,label\n1,0\n1\n",
        "f.csv: line 3: needs 2 columns as in the header, found 1",
    );
    check(
        "a,label\n1,0\n1,0,0\n",
        "f.csv: line 3: needs 2 columns as in the header, found 3",
    );
    for text in ["-1", "1.5", "nan", "", "65536", "65536.0", "99999999999999999999"] {
        check(
            &format!("a,label\n1,{text}\n"),
            &format!("f.csv: line 2, column \"label\": needs a class of 0..65536, found {text:?}"),
        );
    }
    check(
        "a,label,split\n1,0,Test\n",
        "f.csv: line 2, column \"split\": needs \"train\" or \"test\", found \"Test\"",
    );
}

#[test]
fn lines_are_those_of_an_editor() {
    for text in [
        "a,label\n1,0\n\nx,0\n",
        "a,label\r\n1,0\r\n\r\nx,0\r\n",
        "\n\na,label\nx,0\n",
        "\"a\n\n\",label\nx,0",
    ] {
        let error = read(text).unwrap_err();
        assert!(
            matches!(error, Error::BadNumber { line: 4, .. }),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn options_are_expectations_and_limits() {
    let text = "a,b,label\n1,2,0\n3,4,1\n";
    let read = |options: CsvOptions| read_csv_from(text.as_bytes(), "f.csv", &options);
    let message = |options| read(options).unwrap_err().to_string();
    let base = CsvOptions::default;

    assert_eq!(
        read(CsvOptions {
            class_count: Some(5),
            ..base()
        })
        .unwrap()
        .class_count(),
        5
    );
    assert!(
        read(CsvOptions {
            feature_count: Some(2),
            max_cells: 4,
            max_bytes: 22,
            ..base()
        })
        .is_ok()
    );
    assert_eq!(
        message(CsvOptions {
            feature_count: Some(3),
            ..base()
        }),
        "f.csv: line 1: needs 3 feature columns, found 2"
    );
    assert_eq!(
        message(CsvOptions {
            class_count: Some(1),
            ..base()
        }),
        "f.csv: line 3, column \"label\": needs a class of 0..1, found \"1\""
    );
    assert_eq!(
        message(CsvOptions {
            max_cells: 3,
            ..base()
        }),
        "f.csv: line 3: 4 feature cells so far, limit 3"
    );
    assert_eq!(
        message(CsvOptions {
            max_bytes: 21,
            ..base()
        }),
        "f.csv: larger than the limit of 21 bytes"
    );
    assert!(matches!(
        read(CsvOptions {
            class_count: Some(usize::MAX),
            ..base()
        }),
        Err(Error::ClassCount { .. })
    ));
}

#[test]
fn features_need_no_label() {
    let read = |text: &str| read_features_from(text.as_bytes(), "f.csv", &CsvOptions::default());
    let features = read("a,b\n1,2\n").unwrap();
    assert_eq!((features.values(), features.len()), (&array![[1.0, 2.0]], 1));
    assert_eq!(read("a,label,b,split\n1,?,2,?\n").unwrap(), features);
    assert!(matches!(
        read("a,b\n1,x\n"),
        Err(Error::BadNumber { line: 2, .. })
    ));
}

#[test]
fn a_split_needs_both_parts() {
    let read = |text: &str| read_split_csv_from(text.as_bytes(), "f.csv", &CsvOptions::default());
    let split = read("a,label,split\n1,2,test\n2,0,train\n3,0,test\n").unwrap();
    assert_eq!(
        (split.train.features(), split.test.features()),
        (&array![[2.0]], &array![[1.0], [3.0]])
    );
    assert_eq!((split.train.class_count(), split.test.class_count()), (3, 3));
    let message = |text| read(text).unwrap_err().to_string();
    assert_eq!(
        message("a,label\n1,0\n"),
        "f.csv: line 1: needs a column \"split\", found \"a\", \"label\""
    );
    assert_eq!(
        message("a,label,split\n1,0,train\n"),
        "f.csv: column \"split\": none of the 1 rows is \"test\""
    );
}

#[test]
fn files_are_opened_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    let options = CsvOptions::default();
    let error = read_csv(&path, &options).unwrap_err();
    assert!(matches!(error, Error::Open { .. }) && error.source().is_some());
    assert_eq!(
        error.to_string(),
        format!("{}: cannot open the file", path.display())
    );
    std::fs::write(&path, "a,label,split\n1,0,train\n2,1,test\n").unwrap();
    assert_eq!(read_csv(&path, &options).unwrap().len(), 2);
    assert_eq!(read_features(&path, &options).unwrap().len(), 2);
    assert_eq!(read_split_csv(&path, &options).unwrap().test.labels(), [1]);
    // A folder opens on some systems and is refused on all.
    assert!(matches!(
        read_csv(folder.path(), &options),
        Err(Error::Open { .. } | Error::Read { .. })
    ));
}

#[test]
fn a_source_that_breaks_off_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let error = read_csv_from(
        "a,label\n".as_bytes().chain(Broken),
        "f.csv",
        &CsvOptions::default(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::Read { .. }));
}

#[test]
fn an_endless_source_stops_at_the_limit() {
    let options = CsvOptions {
        max_bytes: 1_000,
        ..Default::default()
    };
    let error = read_csv_from(io::repeat(b','), "f.csv", &options).unwrap_err();
    assert!(matches!(error, Error::TooManyBytes { limit: 1_000, .. }));
}

/// Any of the readers on any bytes: an answer, no panic.
fn read_all(bytes: &[u8]) {
    let options = CsvOptions::default();
    let _ = read_features_from(bytes, "f.csv", &options);
    let _ = read_split_csv_from(bytes, "f.csv", &options);
    if let Ok(data) = read_csv_from(bytes, "f.csv", &options) {
        assert!(data.labels().iter().all(|&label| label < data.class_count()));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn anything_like_a_csv_is_read_or_refused(
        text in "(a|b|label|split|é)?(,(a|b|label|split|\")){0,4}(\r?\n)(([0-9.\"e, \r-]|inf|NaN|train|test|é){0,12}\n){0,4}",
    ) {
        read_all(text.as_bytes());
    }

    #[test]
    fn what_is_written_is_read(
        rows in proptest::collection::vec(
            (proptest::array::uniform3(any::<f32>().prop_filter("finite", |v| v.is_finite())), 0_usize..9, any::<bool>()),
            1..20,
        ),
    ) {
        let mut text = String::from("a,label,b,split,c\n");
        for ([a, b, c], label, test) in &rows {
            writeln!(text, "{a},{label},{b:e},{},{c}", if *test { "test" } else { "train" }).unwrap();
        }
        let data = read(&text).unwrap();
        prop_assert_eq!(data.len(), rows.len());
        for ((row, label), (values, expected, _)) in data.samples().zip(&rows) {
            prop_assert_eq!(label, *expected);
            prop_assert_eq!(row.mapv(f32::to_bits).to_vec(), values.map(f32::to_bits).to_vec());
        }
        let tests = rows.iter().filter(|row| row.2).count();
        match read_split_csv_from(text.as_bytes(), "f.csv", &CsvOptions::default()) {
            Ok(split) => prop_assert_eq!((split.train.len(), split.test.len()), (rows.len() - tests, tests)),
            Err(Error::EmptyPart { .. }) => prop_assert_eq!(tests % rows.len(), 0),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}
