"""One network in Concrete ML: how long keys and encrypted inferences take, and how accurate it is.

    python peer.py NETWORK SETTING SAMPLES [NETWORK.onnx]

Runs in the project's root. Prints one JSON object on standard output, everything else on standard error.
NETWORK is checkerboard (from the ONNX file), iris or digits; SETTING is exact, example, or approximate-N
(accumulators rounded to N bits, approximately). approximate-N-P fails with probability P a lookup instead of 0.1.
@ROWS behind it calibrates on so many training rows only.
"""

import contextlib
import csv
import json
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")

EXACT_P_ERROR = 2.0**-40
# What Concrete ML's example for Digits takes, and its documentation recommends beside approximate rounding.
LOOSE_P_ERROR = 0.1
SIMULATED = 500


def read(name):
    """Rows of a built-in data set by split: (features, labels)."""
    with open(f"crates/cml-data/data/{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    features = [column for column in rows[0] if column not in ("label", "split")]

    def part(split):
        chosen = [row for row in rows if row["split"] == split]
        x = np.array([[float(row[f]) for f in features] for row in chosen], dtype=np.float32)
        return x, np.array([int(row["label"]) for row in chosen])

    return part("train"), part("test")


def rounding(setting):
    """Rounding of accumulators, and failure probability of a lookup."""
    setting = setting.split("@")[0]
    if setting == "exact":
        return None, EXACT_P_ERROR
    if setting == "example":
        return {"n_bits": 6, "method": "exact"}, LOOSE_P_ERROR
    kind, *numbers = setting.split("-")
    if kind != "approximate" or len(numbers) not in (1, 2):
        raise SystemExit(f"no setting `{setting}`; there are exact, example, approximate-N and approximate-N-P")
    p_error = float(numbers[1]) if len(numbers) == 2 else LOOSE_P_ERROR
    return {"n_bits": int(numbers[0]), "method": "approximate"}, p_error


def checkerboard(setting, path):
    """The network of the ONNX file: its integers as they are."""
    import onnx
    from concrete.ml.torch.compile import compile_onnx_model

    (x, _), test = read("checkerboard")
    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    # Brevitas lists the weights among the inputs as well; Concrete ML would want data for each.
    for extra in [i for i in model.graph.input if i.name in weights]:
        model.graph.input.remove(extra)
    # Widths are those of the values that occur in calibration: with fewer rows they are narrower,
    # and what did not occur overflows.
    rows = int(setting.split("@")[1]) if "@" in setting else len(x)
    rounded, p_error = rounding(setting)
    module = compile_onnx_model(
        model,
        x[:rows],
        import_qat=True,
        n_bits=3,
        rounding_threshold_bits=rounded,
        p_error=p_error,
    )
    return module, test


def iris(setting):
    """Three layers at 3 bits, by Concrete ML's own classifier."""
    from concrete.ml.sklearn import NeuralNetClassifier

    (x, y), test = read("iris")
    torch.manual_seed(0)
    np.random.seed(0)
    low, high = x.min(axis=0), x.max(axis=0)
    scaled = lambda v: ((v - low) / (high - low)).astype(np.float32)
    model = NeuralNetClassifier(
        module__n_layers=3,
        module__n_w_bits=3,
        module__n_a_bits=3,
        module__activation_function=nn.ReLU,
        max_epochs=150,
        batch_size=16,
        lr=0.01,
        optimizer=torch.optim.Adam,
        verbose=0,
    )
    model.fit(scaled(x), y)
    rounded, p_error = rounding(setting)
    if rounded is not None:
        raise SystemExit("the classifier of Iris has no rounding: exact only")
    model.compile(scaled(x), p_error=p_error)
    module = model.quantized_module_
    return module, (scaled(test[0]), test[1])


def digits(setting):
    """The convolutional network of Concrete ML's example, quantized after training."""
    from concrete.ml.torch.compile import compile_torch_model

    (x, y), test = read("digits")
    torch.manual_seed(42)
    planes = lambda v: v.reshape(-1, 1, 8, 8)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    optimizer = torch.optim.Adam(network.parameters())
    loss = nn.CrossEntropyLoss()
    inputs, labels = torch.tensor(planes(x)), torch.tensor(y)
    for _ in range(150):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            loss(network(inputs[batch]), labels[batch]).backward()
            optimizer.step()
    network.eval()
    say("compile")
    rounded, p_error = rounding(setting)
    module = compile_torch_model(
        network, planes(x), n_bits=6, rounding_threshold_bits=rounded, p_error=p_error
    )
    return module, (planes(test[0]), test[1])


def say(text):
    """Where the time goes, for those who wait."""
    print(f"  {time.process_time():.0f} s: {text}", file=sys.stderr, flush=True)


def classes(module, x, mode):
    return module.forward(x, fhe=mode).reshape(len(x), -1).argmax(axis=1)


def measure(module, test, samples):
    circuit = module.fhe_circuit
    x, y = test[0][:SIMULATED], test[1][:SIMULATED]
    say("simulate")
    simulated = classes(module, x, "simulate")
    say("keys")
    start = time.perf_counter()
    circuit.keygen(force=True)
    keygen = time.perf_counter() - start
    key_bytes = len(circuit.client.evaluation_keys.serialize())
    seconds, encrypted = [], []
    for sample in range(samples):
        say("encrypted inference")
        start = time.perf_counter()
        encrypted.append(int(classes(module, x[sample : sample + 1], "execute")[0]))
        seconds.append(time.perf_counter() - start)
    return {
        "bits": int(circuit.graph.maximum_integer_bit_width()),
        "lookups": int(circuit.programmable_bootstrap_count),
        "clear_accuracy": float((classes(module, x, "disable") == y).mean()),
        "accuracy": float((simulated == y).mean()),
        "test_samples": len(y),
        "keygen_seconds": keygen,
        "key_bytes": key_bytes,
        "inference_seconds": seconds,
        "different": int((np.array(encrypted) != simulated[:samples]).sum()),
    }


def main():
    network, setting, samples = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        if network == "checkerboard":
            compiled = checkerboard(setting, sys.argv[4])
        elif network == "iris":
            compiled = iris(setting)
        elif network == "digits":
            compiled = digits(setting)
        else:
            raise SystemExit(f"no network `{network}`; there are checkerboard, iris and digits")
        preparing = time.perf_counter() - start
        result = measure(*compiled, samples)
    result.update(network=network, setting=setting, prepare_seconds=preparing)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
