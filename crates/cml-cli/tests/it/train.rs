//! `cml train`, briefly.

use crate::world::World;

#[test]
fn trains_and_says_how_well() {
    let world = World::new();
    world.write("small.toml", "name = \"small\"\nhidden = [20, 20]\nepochs = 2\n");
    let trained = world.json("train --config small.toml --seed 3 --data checkerboard -o a.safetensors");
    assert_eq!(trained["history"].as_array().unwrap().len(), 2);
    world.json("quantize a.safetensors -o a.cmlg");
    let integer = world.json("simulate a.cmlg --data checkerboard --data-seed 3");
    assert_eq!(
        integer["accuracy"], trained["test_accuracy"],
        "float forward and integer graph differ"
    );
    world.json("train --config small.toml --seed 3 --data checkerboard -o b.safetensors");
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(
        bytes("a.safetensors") == bytes("b.safetensors"),
        "one seed, two results"
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
