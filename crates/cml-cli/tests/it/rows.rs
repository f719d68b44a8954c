//! Which rows are scored, and what is said of those that a network was trained on.

use crate::world::{World, network};
use cml_data::{CsvOptions, rows_digest};
use cml_quant::{TrainingRows, write_network};
use serde_json::{Value, json};

/// 30 points with labels, in `train.csv`, and a network in `known.safetensors` that says it was
/// trained on them but for 6 that were held out under seed 5; `net.safetensors` says nothing.
fn world() -> World {
    let world = World::new();
    let mut text = String::from("x,y,label\n");
    for i in 0..30 {
        let (x, y) = ((i % 6) as f32 / 3.0 - 1.0, (i / 6) as f32 / 3.0 - 1.0);
        text += &format!("{x},{y},{}\n", (i * 7 % 5) % 2);
    }
    world.write("train.csv", &text);
    let path = world.path("train.csv");
    let table = cml_data::open(path.to_str().unwrap(), &CsvOptions::default(), 0).unwrap();
    let mut net = network(3, 3);
    net.set_columns(vec!["x".to_owned(), "y".to_owned()]).unwrap();
    net.set_training(Some(TrainingRows {
        data: table.digest(),
        held_out_rows: rows_digest(&table.draw_held_out(6, 5).unwrap()),
        rows: 30,
        held_out: 6,
        seed: Some(5),
    }))
    .unwrap();
    write_network(&world.path("known.safetensors"), &net).unwrap();
    world.json("quantize known.safetensors -o known.cmlg");
    world
}

fn rows(which: &str, count: usize, of: usize, trained_on: Value) -> Value {
    json!({"rows": which, "count": count, "of": of, "source": "train.csv", "trained_on": trained_on})
}

#[test]
fn rows_that_were_held_out_are_scored() {
    let world = world();
    // The rows, as the network's split has them.
    let table = cml_data::open(
        world.path("train.csv").to_str().unwrap(),
        &CsvOptions::default(),
        0,
    )
    .unwrap();
    let all = world.json("simulate known.safetensors --data train.csv --rows all");
    let held_out = table.draw_held_out(6, 5).unwrap();
    let expected: Vec<&Value> = (0..30)
        .filter(|&i| held_out[i])
        .map(|i| &all["classes"][i])
        .collect();
    for program in ["known.safetensors", "known.cmlg"] {
        let (scored, notes) = world.noted(&format!("simulate {program} --data train.csv"));
        assert_eq!(scored["rows"], rows("held-out", 6, 30, json!(0)), "{program}");
        assert_eq!(scored["samples"], 6);
        assert_eq!(
            scored["classes"].as_array().unwrap().iter().collect::<Vec<_>>(),
            expected
        );
        assert!(!notes.contains("accuracy"), "{notes}");
        let text = world.cml(&format!("simulate {program} --data train.csv"));
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(
            text.contains("scored the 6 held-out rows of 30 of train.csv"),
            "{text}"
        );
    }
    // The seed of the draw of samples has no part in it.
    let drawn = world.json("simulate known.cmlg --data train.csv --data-seed 9");
    assert_eq!(drawn["rows"], rows("held-out", 6, 30, json!(0)));
    let drawn = world.cml("simulate known.cmlg --data train.csv --samples 4");
    let text = String::from_utf8(drawn.stdout).unwrap();
    assert!(
        text.contains("scored 4 of the 6 held-out rows of 30 of train.csv"),
        "{text}"
    );
}

#[test]
fn rows_that_were_trained_on_are_named() {
    let world = world();
    for program in ["known.safetensors", "known.cmlg"] {
        let (scored, notes) = world.noted(&format!("simulate {program} --data train.csv --rows all"));
        assert_eq!(scored["rows"], rows("all", 30, 30, json!(24)));
        assert!(
            notes.contains("note: it was trained on 24 of the 30 rows of train.csv"),
            "{notes}"
        );
    }
    // Columns in another order are the same data.
    let text = std::fs::read_to_string(world.path("train.csv")).unwrap();
    let turned: String = text
        .lines()
        .map(|line| line.split(',').rev().collect::<Vec<_>>().join(",") + "\n")
        .collect();
    world.write("turned.csv", &turned);
    let turned = world.json("simulate known.cmlg --data turned.csv");
    assert_eq!(
        (&turned["rows"]["count"], &turned["rows"]["trained_on"]),
        (&json!(6), &json!(0))
    );
    // Without labels nothing is scored, and every row is predicted.
    let bare: String = text
        .lines()
        .map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n")
        .collect();
    world.write("bare.csv", &bare);
    let (bare, notes) = world.noted("simulate known.cmlg --data bare.csv");
    assert_eq!((&bare["samples"], &bare["accuracy"]), (&json!(30), &Value::Null));
    assert_eq!(notes, "");
}

#[test]
fn other_data_is_scored_whole() {
    let world = world();
    for program in ["known.safetensors", "known.cmlg"] {
        let (scored, notes) = world.noted(&format!("simulate {program} --data points.csv"));
        assert_eq!(
            (&scored["samples"], &scored["rows"]["trained_on"]),
            (&json!(4), &json!(0))
        );
        assert!(!notes.contains("accuracy"), "{notes}");
        let text =
            String::from_utf8(world.cml(&format!("simulate {program} --data points.csv")).stdout).unwrap();
        assert!(
            text.contains("scored all 4 rows of points.csv, which is not the data of its training"),
            "{text}"
        );
        world.refused(
            &format!("simulate {program} --data points.csv --rows held-out"),
            &["points.csv", "not the data", "--rows all"],
        );
    }
}

/// A circuit goes to servers, so it says nothing of data; and older networks do not either.
#[test]
fn programs_that_do_not_know_say_so() {
    let world = world();
    world.json("compile known.cmlg -o known.cmlc");
    for program in ["net.safetensors", "known.cmlc"] {
        let (scored, notes) = world.noted(&format!("simulate {program} --data train.csv"));
        assert_eq!(scored["rows"], rows("all", 30, 30, Value::Null), "{program}");
        assert!(
            notes.contains("it is not known what it was trained on"),
            "{notes}"
        );
        // The fifth that training holds out under the same seed, which has 6 rows.
        let (fifth, notes) = world.noted(&format!(
            "simulate {program} --data train.csv --rows held-out --data-seed 5"
        ));
        assert_eq!(fifth["rows"], rows("held-out", 6, 30, Value::Null), "{program}");
        assert!(!notes.contains("not known"), "{notes}");
        let known = world.json("simulate known.safetensors --data train.csv");
        if program == "known.cmlc" {
            assert_eq!(fifth["classes"], known["classes"]);
        }
    }
    // With its graph it is known.
    let predicted = world.json("predict known.cmlc --graph known.cmlg --data train.csv --samples 1");
    assert_eq!(predicted["rows"], rows("held-out", 6, 30, json!(0)));
    let bytes = std::fs::read(world.path("known.cmlc")).unwrap();
    let path = world.path("train.csv");
    let digest = cml_data::open(path.to_str().unwrap(), &CsvOptions::default(), 0)
        .unwrap()
        .digest();
    assert!(!bytes.windows(32).any(|window| window == digest));
    let graph = std::fs::read(world.path("known.cmlg")).unwrap();
    assert!(graph.windows(32).any(|window| window == digest));
}

/// Data that names its test rows, and names others now.
#[test]
fn a_split_that_changed_is_refused() {
    let world = world();
    let text = std::fs::read_to_string(world.path("train.csv")).unwrap();
    let with_split = |test: usize| -> String {
        let part = |i: usize| match i {
            0 => "split",
            i if i % 3 == test => "test",
            _ => "train",
        };
        text.lines()
            .enumerate()
            .map(|(i, line)| format!("{line},{}\n", part(i)))
            .collect()
    };
    world.write("split.csv", &with_split(1));
    let path = world.path("split.csv");
    let table = cml_data::open(path.to_str().unwrap(), &CsvOptions::default(), 0).unwrap();
    let mut net = network(3, 3);
    net.set_training(Some(TrainingRows {
        data: table.digest(),
        held_out_rows: rows_digest(table.held_out().unwrap()),
        rows: 30,
        held_out: 10,
        seed: None,
    }))
    .unwrap();
    write_network(&world.path("split.safetensors"), &net).unwrap();
    let scored = world.json("simulate split.safetensors --data split.csv");
    assert_eq!(
        (&scored["samples"], &scored["rows"]["trained_on"]),
        (&json!(10), &json!(0))
    );
    world.write("split.csv", &with_split(2));
    for data in ["split.csv", "train.csv"] {
        world.refused(
            &format!("simulate split.safetensors --data {data}"),
            &[data, "its split is not that of the training", "--rows all"],
        );
    }
    let all = world.json("simulate split.safetensors --data train.csv --rows all");
    assert_eq!(all["rows"]["trained_on"], 20);
}

#[test]
fn calibration_leaves_held_out_rows_alone() {
    let world = world();
    let mut net = crate::quantize::float_network();
    net.set_training(
        cml_quant::read_network(&world.path("known.safetensors"))
            .unwrap()
            .training()
            .copied(),
    )
    .unwrap();
    write_network(&world.path("float.safetensors"), &net).unwrap();
    let report = world.json(
        "quantize float.safetensors --bits 4 --calibrate train.csv --network quantized.safetensors -o a.cmlg",
    );
    assert_eq!(report["calibration_rows"], 24);
    // What is known of the training stays.
    for program in ["float.safetensors", "quantized.safetensors", "a.cmlg"] {
        let scored = world.json(&format!("simulate {program} --data train.csv"));
        assert_eq!(scored["rows"], rows("held-out", 6, 30, json!(0)), "{program}");
    }
}
