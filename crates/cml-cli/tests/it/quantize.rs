//! `cml quantize` on float networks.

use crate::world::World;
use cml_quant::{Linear, Network, Univariate, write_network};
use ndarray::Array2;

/// A folder with `float.safetensors`, 2-4-2, beside what every folder has.
fn world() -> World {
    let world = World::new();
    write_network(&world.path("float.safetensors"), &float_network()).unwrap();
    world
}

/// A float network, 2-4-2.
pub(crate) fn float_network() -> Network {
    let mut net = Network::new("float", vec![2]);
    let dense = |out, fan_in| {
        let weight = |(o, i): (usize, usize)| ((o * 7 + i * 3) % 5) as f32 * 0.4 - 0.7;
        Linear::new(Array2::from_shape_fn((out, fan_in), weight), None, None).unwrap()
    };
    let x = net.linear("fc1", net.input(), dense(4, 2)).unwrap();
    let x = net.function("fc1/relu", x, Univariate::Relu).unwrap();
    let y = net.linear("fc2", x, dense(2, 4)).unwrap();
    net.set_output(y, &["0", "1"]).unwrap();
    net
}

#[test]
fn a_float_network_becomes_a_graph_and_a_quantized_network() {
    let world = world();
    for method in ["min-max", "adaptive"] {
        let report = world.json(&format!(
            "quantize float.safetensors --bits 4 --weights-bits 3 --method {method} --calibrate points.csv \
             --max-accumulator-values 64 --network quantized.safetensors -o a.cmlg"
        ));
        assert_eq!(report["method"], method);
        let bits = ["input_bits", "activation_bits", "weight_bits"].map(|b| report[b].as_u64().unwrap());
        assert_eq!(bits, [4, 4, 3]);
        assert_eq!(
            (report["calibration_rows"].as_u64(), report["graph"].as_str()),
            (Some(4), Some("float"))
        );
        world.json("quantize quantized.safetensors -o b.cmlg");
        let read = |name: &str| std::fs::read(world.path(name)).unwrap();
        assert_eq!(read("a.cmlg"), read("b.cmlg"));
        world.json("simulate a.cmlg --data points.csv");
    }
    assert!(world.cml("inspect float.safetensors").status.success());
}

/// `numpy.save` of four points.
#[test]
fn a_numpy_array_calibrates_as_the_same_numbers_in_a_csv_file_do() {
    let world = world();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(
        [0.1f32, 0.2, 0.9, -0.4, -0.7, 0.8, 0.0, 0.6]
            .iter()
            .flat_map(|x| x.to_le_bytes()),
    );
    std::fs::write(world.path("points.npy"), &bytes).unwrap();
    for data in ["points.csv", "points.npy"] {
        world.json(&format!(
            "quantize float.safetensors --bits 4 --calibrate {data} -o {data}.cmlg"
        ));
    }
    let read = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert_eq!(read("points.csv.cmlg"), read("points.npy.cmlg"));
    std::fs::write(world.path("cut.npy"), &bytes[..bytes.len() - 1]).unwrap();
    world.refused(
        "quantize float.safetensors --bits 4 --calibrate cut.npy",
        &["cut.npy", "shape [4, 2] needs 32 bytes of data, found 31"],
    );
    world.write("points.npz", "no archive");
    world.refused(
        "quantize float.safetensors --bits 4 --calibrate points.npz",
        &["points.npz", "not an archive"],
    );
}

#[test]
fn options_that_do_not_go_with_the_network_are_refused() {
    let world = world();
    world.refused(
        "quantize float.safetensors",
        &["float.safetensors", "float", "--bits"],
    );
    world.refused("quantize float.safetensors --bits 3", &["--calibrate"]);
    let line = "quantize net.safetensors --calibrate points.csv";
    world.refused(line, &["net.safetensors", "quantized already", "--calibrate"]);
    let line = "quantize float.safetensors --bits 17 --calibrate points.csv";
    world.refused(line, &["input_bits is 17", "1 to 16"]);
    world.refused(
        "quantize float.safetensors --bits 3 --calibrate iris",
        &["float.safetensors, with iris", "needs 2, has 4"],
    );
    world.refused(
        "quantize float.safetensors --bits 3 --calibrate nothing",
        &["no data set named", "nothing"],
    );
}
