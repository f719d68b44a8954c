//! `cml train`, briefly.

use crate::world::World;

#[test]
fn trains_and_says_how_well() {
    let world = World::new();
    world.write("small.toml", "name = \"small\"\nhidden = [20, 20]\nepochs = 2\n");
    let trained = world.json("train --config small.toml --seed 3 --data checkerboard -o a.safetensors");
    assert_eq!(trained["history"].as_array().unwrap().len(), 2);
    world.json("quantize a.safetensors -o a.cmlg");
    // `--data-seed` is 0 in every command that is not told otherwise, whatever `--seed` is.
    for (program, seed) in [("a.safetensors", ""), ("a.cmlg", ""), ("a.cmlg", "--data-seed 0")] {
        let scored = world.json(&format!("simulate {program} --data checkerboard {seed}"));
        assert_eq!(scored["accuracy"], trained["test_accuracy"], "{program} {seed}");
        assert_eq!(scored["rows"]["trained_on"], 0);
    }
    world.json("train --config small.toml --seed 3 --data-seed 3 --data checkerboard -o c.safetensors");
    let (_, notes) = world.noted("simulate c.safetensors --data checkerboard --data-seed 3");
    assert_eq!(notes, "");
    let other = String::from_utf8(world.cml("simulate c.safetensors --data checkerboard").stdout).unwrap();
    assert!(other.contains("which is not the data of its training"), "{other}");
    world.json("train --config small.toml --seed 3 --data checkerboard -o b.safetensors");
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(
        bytes("a.safetensors") == bytes("b.safetensors"),
        "one seed, two results"
    );
}

/// 100 rows with random labels: whoever has seen them is right about them, and about no others.
#[test]
fn rows_of_the_training_are_not_scored() {
    let world = World::new();
    let mut state = 1u64;
    let mut random = || {
        // A linear congruential generator by Knuth.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut text = String::from("width,height,depth,Class\n");
    for _ in 0..100 {
        let class = if random() < 0.5 { "apple" } else { "pear" };
        text += &format!("{:.3},{:.3},{:.3},{class}\n", random(), random(), random());
    }
    world.write("noise.csv", &text);
    world.write("wide.toml", "name = \"wide\"\nhidden = [60, 60]\nepochs = 60\nweight_bits = 6\ninput_bits = 8\nactivation_bits = 6\npruning = \"none\"\nmax_accumulator_values = 100000\nmax_output_values = 100000\n");
    let trained = world.json("train --config wide.toml --data noise.csv --data-seed 2 -o noise.safetensors");
    assert_eq!(
        (&trained["train_rows"], &trained["test_rows"]),
        (&80.into(), &20.into())
    );
    let (train, test) = (&trained["train_accuracy"], &trained["test_accuracy"]);
    assert!(train.as_f64() > test.as_f64(), "{trained}");
    world.json("quantize noise.safetensors -o noise.cmlg");
    for program in ["noise.safetensors", "noise.cmlg"] {
        let (scored, notes) = world.noted(&format!("simulate {program} --data noise.csv"));
        assert_eq!(scored["accuracy"], *test, "{program}");
        assert_eq!(
            (&scored["rows"]["count"], &scored["rows"]["of"]),
            (&20.into(), &100.into())
        );
        assert_eq!(notes, "");
        assert!(
            scored["labels"]
                .as_array()
                .unwrap()
                .iter()
                .all(|l| l == "apple" || l == "pear")
        );
        let (all, notes) = world.noted(&format!("simulate {program} --data noise.csv --rows all"));
        assert!(all["accuracy"].as_f64() > test.as_f64(), "{all}");
        assert!(
            notes.contains("it was trained on 80 of the 100 rows of noise.csv"),
            "{notes}"
        );
    }
    let text = String::from_utf8(world.cml("inspect noise.safetensors").stdout).unwrap();
    assert!(text.contains("classes apple, pear"), "{text}");
    assert!(text.contains("columns width, height, depth"), "{text}");
    assert!(
        text.contains("trained on 80 of 100 rows, 20 held out under seed 2"),
        "{text}"
    );
    world.refused(
        "train --data noise.csv --label depth -o no.safetensors",
        &["noise.csv", "column \"Class\"", "apple"],
    );
}

#[test]
fn bad_configurations_are_refused() {
    let world = World::new();
    world.write("typo.toml", "epoch = 2\n");
    world.refused(
        "train --config typo.toml -o a.safetensors",
        &["typo.toml", "epoch"],
    );
    world.refused("train --config none.toml -o a.safetensors", &["none.toml"]);
    world.refused("train --epochs 0 -o a.safetensors", &["epochs", "at least 1"]);
    world.refused("train --bits 40 -o a.safetensors", &["bits", "40"]);
    world.refused(
        "train --data points.csv --max-accumulator-values 2 -o a.safetensors",
        &["max_accumulator_values"],
    );
    world.refused("train -o no/such/folder/a.safetensors", &["no/such/folder"]);
    world.write("nolabel.csv", "x,y\n1,2\n");
    world.refused(
        "train --data nolabel.csv -o a.safetensors",
        &["nolabel.csv", "label"],
    );
}
