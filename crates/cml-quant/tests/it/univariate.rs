//! Functions of one variable against the formulas of the ONNX operator specification, in `f64`.

use cml_quant::Univariate::{self, *};
use cml_quant::{ActQuantizer, Layer, Network, to_graph};

/// `f` at some numbers, within the rounding of `f32`.
fn check(f: Univariate, expected: impl Fn(f64) -> f64, at: &[f32]) {
    for &x in at {
        let (has, needs) = (f64::from(f.eval(0, x)), expected(f64::from(x)));
        assert!(
            (has - needs).abs() <= 4e-7 * needs.abs().max(1.0),
            "{f:?} of {x} is {has}, needs {needs}"
        );
    }
}

const ALL: [f32; 13] = [
    -90.0, -8.5, -3.0, -1.5, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.5, 2.5, 8.5, 90.0,
];

#[test]
fn functions_are_those_of_onnx() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    check(Relu, |x| x.max(0.0), &ALL);
    check(
        LeakyRelu { alpha: 0.25 },
        |x| if x < 0.0 { 0.25 * x } else { x },
        &ALL,
    );
    check(
        PRelu { slope: vec![-2.0] },
        |x| if x < 0.0 { -2.0 * x } else { x },
        &ALL,
    );
    check(Clip { lo: -1.0, hi: 6.0 }, |x| x.clamp(-1.0, 6.0), &ALL);
    check(Sigmoid, sigmoid, &ALL);
    check(
        HardSigmoid {
            alpha: 0.25,
            beta: 0.5,
        },
        |x| (0.25 * x + 0.5).clamp(0.0, 1.0),
        &ALL,
    );
    check(HardSwish, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0), &ALL);
    check(Tanh, f64::tanh, &ALL);
    let cubic = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    check(Gelu { tanh: true }, |x| 0.5 * x * (1.0 + cubic(x).tanh()), &ALL);
    check(
        Elu { alpha: 0.5 },
        |x| if x < 0.0 { 0.5 * (x.exp() - 1.0) } else { x },
        &ALL,
    );
    let selu = |x: f64| {
        if x <= 0.0 {
            1.5 * (1.25 * x.exp() - 1.25)
        } else {
            1.5 * x
        }
    };
    check(
        Selu {
            alpha: 1.25,
            gamma: 1.5,
        },
        selu,
        &ALL,
    );
    check(Softplus, |x| (x.exp() + 1.0).ln(), &ALL);
    check(Exp, f64::exp, &ALL[..12]);
    check(Log, f64::ln, &ALL[7..]);
    check(Sqrt, f64::sqrt, &ALL[6..]);
    check(Abs, f64::abs, &ALL);
    check(Neg, |x| -x, &ALL);
    check(Sign, |x| if x == 0.0 { 0.0 } else { x.signum() }, &ALL);
    // Halves go to the even integer.
    for (x, needs) in [
        (0.5, 0.0),
        (1.5, 2.0),
        (2.5, 2.0),
        (-0.5, 0.0),
        (-1.5, -2.0),
        (0.6, 1.0),
    ] {
        assert_eq!(Round.eval(0, x), needs, "{x}");
    }
    check(Floor, f64::floor, &ALL);
    check(Ceil, f64::ceil, &ALL);
    check(Pow { exponent: 3.0 }, |x| x.powi(3), &ALL);
    check(Pow { exponent: 0.5 }, f64::sqrt, &ALL[6..]);
    check(Pow { exponent: -2.0 }, |x| x.powi(-2), &ALL[8..]);
    check(Reciprocal, f64::recip, &ALL[8..]);
    let affine = Affine {
        scale: vec![-2.0],
        offset: vec![0.5],
    };
    check(affine, |x| -2.0 * x + 0.5, &ALL);
}

/// The error function has no `f64` of the standard library: Abramowitz and Stegun, table 7.1.
#[test]
fn the_error_function_and_gelu() {
    for (x, needs) in [
        (0.0, 0.0),
        (0.5, 0.520_499_9),
        (1.0, 0.842_700_8),
        (2.0, 0.995_322_3),
    ] {
        assert!((Erf.eval(0, x) - needs).abs() < 2e-7f32, "{x}");
        assert!((Erf.eval(0, -x) + needs).abs() < 2e-7f32, "{x}");
        // gelu(sqrt(2) x) = sqrt(2) x / 2 * (1 + erf(x)).
        let root = std::f32::consts::SQRT_2 * x;
        let gelu = Gelu { tanh: false }.eval(0, root);
        assert!((gelu - root / 2.0 * (1.0 + needs)).abs() < 1e-6, "{x}");
    }
}

#[test]
fn lists_have_an_entry_for_each_channel() {
    let affine = Affine {
        scale: vec![2.0, -1.0, 0.0],
        offset: vec![1.0],
    };
    assert_eq!([0, 1, 2].map(|c| affine.eval(c, 3.0)), [7.0, -2.0, 1.0]);
    let prelu = PRelu {
        slope: vec![2.0, 0.5],
    };
    assert_eq!([0, 1].map(|c| prelu.eval(c, -3.0)), [-6.0, -1.5]);
}

#[test]
fn parameters_are_checked() {
    let check = |f: Univariate, expected: &str| {
        let mut net = Network::new("net", vec![2]);
        let found = net.push("f", Layer::Function(f), &[net.input()]);
        assert_eq!(found.unwrap_err().to_string(), format!("layer f: {expected}"));
    };
    check(
        LeakyRelu { alpha: f32::NAN },
        "alpha: needs finite numbers, has NaN",
    );
    check(
        Clip { lo: 1.0, hi: 0.0 },
        "clip: needs a least value up to the largest, has 1 and 0",
    );
    check(
        Clip {
            lo: f32::NEG_INFINITY,
            hi: 0.0,
        },
        "clip: needs finite numbers, has -inf",
    );
    check(
        Clip {
            lo: f32::NAN,
            hi: 0.0,
        },
        "clip: needs finite numbers, has NaN",
    );
    check(PRelu { slope: vec![1.0; 3] }, "slopes: needs 1 or 2, has 3");
    check(PRelu { slope: vec![] }, "slopes: needs 1 or 2, has 0");
    let affine = |scale, offset| Affine { scale, offset };
    check(affine(vec![1.0], vec![0.0; 3]), "offsets: needs 1 or 2, has 3");
    check(
        affine(vec![f32::INFINITY], vec![0.0]),
        "scales: needs finite numbers, has inf",
    );
    check(
        Pow {
            exponent: f32::INFINITY,
        },
        "exponent: needs finite numbers, has inf",
    );
}

/// Codes -2..=1 of steps 0.5, functions, a quantizer.
fn quantized(functions: &[(&str, Univariate)]) -> Network {
    let mut net = Network::new("net", vec![1]);
    let q = ActQuantizer::new(2, true, false, 0.5, 0).unwrap();
    let mut x = net.quantize("q", net.input(), q).unwrap();
    for (name, f) in functions {
        x = net.function(name, x, f.clone()).unwrap();
    }
    let y = net.quantize("q1", x, q).unwrap();
    net.set_output(y, &[]).unwrap();
    net
}

#[test]
fn a_function_that_is_not_finite_somewhere_is_refused() {
    let check = |functions: &[(&str, Univariate)], expected: &str| {
        let message = to_graph(&quantized(functions)).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("{expected}, must be finite: put a clip or a quantizer before it")
        );
    };
    check(&[("log", Log)], "layer log: log of -1 is NaN");
    check(
        &[("abs", Abs), ("log", Log), ("neg", Neg)],
        "layer log: log of 0 is -inf",
    );
    // ReLU of NaN would be 0.
    check(&[("log", Log), ("relu", Relu)], "layer log: log of -1 is NaN");
    check(&[("root", Pow { exponent: 0.5 })], "layer root: pow of -1 is NaN");
    let net = quantized(&[("log", Log)]);
    assert_eq!(net.forward(&[0.5]).unwrap(), [-0.5]);
    let message = net.forward(&[-0.5]).unwrap_err().to_string();
    assert!(message.starts_with("layer log: log of -0.5 is NaN"), "{message}");
    // Infinite only between two functions: 1 / (1 + exp(-x)) where exp overflows.
    let factor = |scale| Affine {
        scale: vec![scale],
        offset: vec![0.0],
    };
    let chain = [("scale", factor(-200.0)), ("exp", Exp), ("inverse", Reciprocal)];
    to_graph(&quantized(&chain[..2])).unwrap_err();
    to_graph(&quantized(&[
        chain[0].clone(),
        ("exp", Exp),
        ("clip", Clip { lo: 0.5, hi: 9.0 }),
        chain[2].clone(),
    ]))
    .unwrap();
}
