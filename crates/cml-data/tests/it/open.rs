//! One way to data: roles of columns, names, splits.

use cml_data::{CsvOptions, Error, Format, Split, Table, named, open, read_table, rows_digest};
use ndarray::array;

fn read(text: &str) -> Result<Table, Error> {
    read_table(Format::Csv, text.as_bytes(), "f.csv", &CsvOptions::default())
}

/// As [`read`], where these columns are known to be inputs.
fn read_for(text: &str, inputs: &[&str]) -> Result<Table, Error> {
    let options = CsvOptions {
        inputs: Some(owned(inputs)),
        ..CsvOptions::default()
    };
    read_table(Format::Csv, text.as_bytes(), "f.csv", &options)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn whatever_a_file_says_is_kept() {
    let table = read("a,label,b,split\n1,0,2,train\n3,1,4,test\n").unwrap();
    assert_eq!(table.values(), array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(table.columns(), ["a", "b"]);
    assert_eq!(table.labels(), Some(&[0, 1][..]));
    assert_eq!(table.held_out(), Some(&[false, true][..]));
    assert!(table.classes().is_empty());
    assert_eq!((table.source(), table.len()), ("f.csv", 2));
    let bare = read("a,b\n1,2\n").unwrap();
    assert_eq!((bare.labels(), bare.held_out()), (None, None));
    assert_eq!(message(bare.dataset()), "f.csv: has no labels");
}

#[test]
fn the_label_has_a_usual_name_in_any_case() {
    for name in [
        "label", "Label", "LABEL", "labels", "class", "Class", "target", "Target", "y", "Y",
    ] {
        let table = read_for(&format!("a,{name},b\n1,1,2\n"), &["a", "b"]).unwrap();
        assert_eq!(
            (table.labels(), table.columns()),
            (Some(&[1][..]), &owned(&["a", "b"])[..]),
            "{name}"
        );
    }
    for name in ["Label", "Class", "targets"] {
        let table = read(&format!("{name},a,Split\n1,2,test\n0,3,train\n")).unwrap();
        assert_eq!(table.labels(), Some(&[1, 0][..]), "{name}");
        assert_eq!(table.held_out(), Some(&[true, false][..]), "{name}");
        assert_eq!(table.columns(), ["a"]);
    }
}

#[test]
fn what_may_be_the_label_is_never_taken_for_an_input() {
    assert_eq!(
        message(read("a,Class,target\n1,0,0\n")),
        "f.csv: line 1: \"Class\", \"target\" may be the labels or an input: name the column of labels"
    );
    assert_eq!(
        message(read("a,b,y\n1,0,0\n")),
        "f.csv: line 1: \"y\" may be the labels or an input: name the column of labels"
    );
    // Beside x it is a coordinate; and where the label has its name, an input.
    assert_eq!(read("x,y\n1,2\n").unwrap().columns(), ["x", "y"]);
    assert_eq!(read("a,y,label\n1,2,0\n").unwrap().columns(), ["a", "y"]);
    // Known inputs are inputs, whatever they are called.
    let table = read_for("a,class,target,split\n1,0,2,3\n", &["a", "class", "split"]).unwrap();
    assert_eq!(
        (table.labels(), table.columns()),
        (Some(&[2][..]), &owned(&["a", "class", "split"])[..])
    );
    // And so is the label that the caller names.
    let options = CsvOptions {
        label: Some("species".to_owned()),
        ..CsvOptions::default()
    };
    let named = |text: &str| read_table(Format::Csv, text.as_bytes(), "f.csv", &options);
    let table = named("a,species,target\n1,0,2\n").unwrap();
    assert_eq!(
        (table.labels(), table.columns()),
        (Some(&[0][..]), &owned(&["a", "target"])[..])
    );
    assert_eq!(
        message(named("a,b\n1,0\n")),
        "f.csv: line 1: needs a column \"species\", found \"a\", \"b\""
    );
    assert_eq!(
        message(read("a,label,split,SPLIT\n1,0,test,test\n")),
        "f.csv: line 1: \"split\", \"SPLIT\" may both be the split: rename one"
    );
}

#[test]
fn labels_may_be_names_or_floats_that_are_integers() {
    let floats = read("a,label\n1,1.0\n2,0\n3,2.00\n4,1e0\n").unwrap();
    assert_eq!(floats.labels(), Some(&[1, 0, 2, 1][..]));
    let flowers = read("a,label\n1,virginica\n2,setosa\n3, virginica \n4,versicolor\n").unwrap();
    assert_eq!(flowers.classes(), ["setosa", "versicolor", "virginica"]);
    assert_eq!(flowers.labels(), Some(&[2, 0, 2, 1][..]));
    let data = flowers.dataset().unwrap();
    assert_eq!((data.class_count(), data.class_names().len()), (3, 3));
    let few = data.subset(&[1]).unwrap();
    assert_eq!(few.class_names(), data.class_names());
    assert_eq!(
        message(read("a,label\n1,1\n2,setosa\n")),
        "f.csv: line 3, column \"label\": needs a class of 0..65536, found \"setosa\""
    );
    let mixed = message(read("a,Label\n1,setosa\n2,1\n"));
    assert!(
        mixed.starts_with("f.csv: line 3, column \"Label\": needs the name of a class"),
        "{mixed}"
    );
    let long = message(read(&format!("a,label\n1,{}\n", "x".repeat(257))));
    assert!(long.contains("at most 256 bytes"), "{long}");
    let mut many = String::from("a,label\n");
    (0..=65_536).for_each(|i| many += &format!("1,c{i}\n"));
    assert!(message(read(&many)).starts_with("f.csv: line 65538"));
}

#[test]
fn names_of_columns_are_checked() {
    assert_eq!(
        message(read("a,\"b\u{1b}[2J\",label\n1,2,0\n")),
        "f.csv: line 1: the name of column 2 holds control characters"
    );
    assert_eq!(
        message(read(&format!("a,{}\n1,2\n", "b".repeat(257)))),
        "f.csv: line 1: the name of column 2 is longer than 256 bytes"
    );
}

#[test]
fn columns_are_found_by_name() {
    let table = || read("a,b,c,label\n1,2,3,0\n4,5,6,1\n").unwrap();
    let turned = table().with_columns(&owned(&["c", "a", "b"])).unwrap();
    assert_eq!(turned.values(), array![[3.0, 1.0, 2.0], [6.0, 4.0, 5.0]]);
    assert!(turned.values().is_standard_layout());
    assert_eq!(turned.columns(), ["c", "a", "b"]);
    assert_eq!(turned.labels(), table().labels());
    let wrong = |names: &[&str]| message(table().with_columns(&owned(names)));
    assert_eq!(
        wrong(&["a", "b", "d"]),
        "f.csv: the columns are not those that are needed: \"d\" missing, \"c\" unknown"
    );
    assert_eq!(
        wrong(&["a", "b", "c", "d"]),
        "f.csv: the columns are not those that are needed: \"d\" missing"
    );
    assert_eq!(
        wrong(&["a", "c"]),
        "f.csv: the columns are not those that are needed: \"b\" unknown"
    );
    // Without names on one side, the order is that of the source.
    assert_eq!(table().with_columns(&[]).unwrap(), table());
}

#[test]
fn a_split_is_the_sources_or_drawn() {
    // The built-in sets are what `named` gives, bit for bit.
    for name in ["checkerboard", "iris"] {
        let table = open(name, &CsvOptions::default(), 7).unwrap();
        assert_eq!(table.split(99).unwrap(), named(name, 7).unwrap());
        assert!(table.held_out().is_some());
    }
    let mut text = String::from("a,label\n");
    (0..23).for_each(|i| text += &format!("{i},{}\n", i % 2));
    let table = read(&text).unwrap();
    assert_eq!((table.fifth(), table.held_out()), (4, None));
    let drawn = table.draw_held_out(4, 3).unwrap();
    let split = table.split(3).unwrap();
    assert_eq!(split, Split::random(&table.dataset().unwrap(), 4, 3).unwrap());
    let mut rows: Vec<usize> = split.test.features().iter().map(|&x| x as usize).collect();
    rows.sort_unstable();
    let chosen: Vec<usize> = (0..23).filter(|&row| drawn[row]).collect();
    assert_eq!(rows, chosen);
    assert_ne!(
        rows_digest(&drawn),
        rows_digest(&table.draw_held_out(4, 4).unwrap())
    );
    assert!(matches!(table.draw_held_out(23, 0), Err(Error::TestRows { .. })));
    assert!(matches!(
        read("a,label,split\n1,0,test\n").unwrap().split(0),
        Err(Error::TestRows { test: 1, rows: 1 })
    ));
}

#[test]
fn a_digest_is_of_the_numbers_in_order() {
    let digest = |text: &str| read(text).unwrap().digest();
    let plain = digest("a,b,label\n1,2,0\n3,4,1\n");
    assert_eq!(plain, digest("A,B,split\n1.0,2,test\n3,4e0,train\n"));
    for other in [
        "a,b\n3,4\n1,2\n",
        "a,b\n1,2\n",
        "a,b\n2,1\n4,3\n",
        "a\n1\n2\n3\n4\n",
        "a,b\n-0,2\n0,4\n",
    ] {
        assert_ne!(plain, digest(other), "{other:?}");
    }
    let turned = read("b,a\n2,1\n4,3\n").unwrap();
    assert_eq!(plain, turned.with_columns(&owned(&["a", "b"])).unwrap().digest());
}

#[test]
fn paths_have_formats_and_unknown_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("points.NPY");
    let mut bytes = b"\x93NUMPY\x01\x00\x46\x00".to_vec();
    bytes.extend(
        format!(
            "{:<69}\n",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }"
        )
        .bytes(),
    );
    bytes.extend([1, 2, 3, 4]);
    std::fs::write(&path, &bytes).unwrap();
    let table = open(path.to_str().unwrap(), &CsvOptions::default(), 0).unwrap();
    assert_eq!(table.values(), array![[1.0, 2.0], [3.0, 4.0]]);
    assert!(table.columns().is_empty() && table.labels().is_none());
    let same = read_table(Format::Npy, &bytes[..], "bytes", &CsvOptions::default()).unwrap();
    assert_eq!((same.values(), same.source()), (table.values(), "bytes"));
    assert!(matches!(
        read_table(Format::Npz, &bytes[..], "bytes", &CsvOptions::default()),
        Err(Error::Npz { .. })
    ));
    assert_eq!(
        message(open("chessboard", &CsvOptions::default(), 0)),
        "no data set named \"chessboard\" and no such file; built in are checkerboard, checkerboard.csv, iris, digits"
    );
}
