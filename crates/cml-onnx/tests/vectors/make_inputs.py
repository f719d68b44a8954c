"""Networks whose files do something with the raw input before its quantizer, or have none, with the outputs that
onnxruntime computes (qonnx where there are operators of QONNX). Half of the samples lie where the first quantizer
decides, a few steps of float32 to either side.

    python make_inputs.py FOLDER

Needs onnx, onnxruntime and qonnx.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

F = np.float32
QONNX = "qonnx.custom_op.general"
RNG = np.random.default_rng(7)


def node(op, inputs, output, **attributes):
    domain = QONNX if op in ("Quant", "BipolarQuant") else ""
    return helper.make_node(op, inputs.split(), [output], domain=domain, **attributes)


def quantizer(x, y, signed=True, scale="s"):
    """8 bits."""
    of = f"{scale} zi" if signed else f"{scale} zu"
    return [node("QuantizeLinear", f"{x} {of}", f"{y}_q"), node("DequantizeLinear", f"{y}_q {of}", y)]


def dense(x, y, inputs, constants, outputs=3):
    """A layer of 4-bit weights."""
    constants[f"{y}_w"] = RNG.integers(-7, 8, (inputs, outputs)).astype(np.int8)
    constants[f"{y}_s"], constants["zi"] = F(0.125), np.int8(0)
    return [node("DequantizeLinear", f"{y}_w {y}_s zi", f"{y}_d"), node("MatMul", f"{x} {y}_d", y)]


def values(kind, count):
    """Rows of samples: numbers, or integers of a range."""
    if isinstance(kind, tuple):
        return RNG.integers(kind[0], kind[1] + 1, (40, count)).astype(F)
    rows = RNG.normal(0, kind, (40, count)).astype(F)
    rows[:3] *= 50
    return rows


def ties(model, inputs, rows, stage):
    """Samples for which the quantizer of a stage is about to round the other way: by bisection, each element alone."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(helper.make_empty_tensor_value_info(stage))
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options())
    codes = lambda x: session.run([stage], split(inputs, x))[0].reshape(len(x), -1).astype(np.int64)
    if codes(rows).shape != rows.shape:
        return rows
    lo, hi = rows.copy(), rows[::-1].copy()
    low, high = codes(lo), codes(hi)
    for _ in range(60):
        middle = ((lo.astype(np.float64) + hi) / 2).astype(F)
        at = codes(middle)
        lo, hi = np.where(at == low, middle, lo), np.where(at == low, hi, middle)
        high = np.where(at == low, high, at)
    for steps in range(len(lo)):
        if steps % 2:
            lo[steps] = hi[steps]
        for _ in range(steps % 5 // 2):
            lo[steps] = np.nextafter(lo[steps], F(-1e9))
    return lo


def options():
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 3
    return settings


def split(inputs, rows):
    feeds, start = {}, 0
    for name, shape, dtype in inputs:
        count = int(np.prod(shape))
        feeds[name] = rows[:, start : start + count].reshape([-1, *shape]).astype(dtype)
        start += count
    return feeds


def write(folder, name, inputs, nodes, constants, kind, stage=None, qonnx=False):
    """One file and its samples; `inputs` are names, shapes and types."""
    types = {np.dtype(t): helper.np_dtype_to_tensor_dtype(np.dtype(t)) for _, _, t in inputs}
    batch = 1 if qonnx else "batch"
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(n, types[np.dtype(t)], [batch, *s]) for n, s, t in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(QONNX, 1)] if qonnx else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="make_inputs.py")
    rows = values(kind, sum(int(np.prod(s)) for _, s, _ in inputs))
    if stage:
        rows = np.concatenate([rows, ties(model, inputs, rows, stage)])
    if qonnx:
        wrapped = ModelWrapper(model).transform(InferShapes())
        run = lambda row: execute_onnx(wrapped, split(inputs, row))["y"]
    else:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options())
        run = lambda row: session.run(None, split(inputs, row))[0]
    results = np.concatenate([run(row[None]) for row in rows])
    with open(f"{folder}/{name}.onnx", "wb") as file:
        file.write(model.SerializeToString())
    header = [f"x{i}" for i in range(rows.shape[1])] + [f"y{i}" for i in range(results.shape[1])]
    with open(f"{folder}/{name}.io.csv", "w") as file:
        file.write(",".join(header) + "\n")
        for row, result in zip(rows, results):
            file.write(",".join(np.format_float_scientific(v, trim="-") for v in [*row, *result]) + "\n")


def main(folder):
    image, vector = [("x", [3, 2, 2], F)], [("x", [6], F)]
    base = lambda **more: {"s": F(0.0371), "zi": np.int8(0), "zu": np.uint8(0), **more}
    channels = lambda *numbers: np.array(numbers, F).reshape(1, -1, 1, 1)
    flat = [node("Flatten", "q", "f")]

    # 2 x - 1.
    c = base(two=F(2), one=F(1))
    write(folder, "twice", vector, [node("Mul", "x two", "a"), node("Sub", "a one", "b"), *quantizer("b", "q"),
                                    *dense("q", "y", 6, c)], c, 1.5, "q_q")
    # Mean and standard deviation of each channel, after a common factor.
    c = base(k=F(1 / 255), m=channels(0.485, 0.456, 0.406), d=channels(0.229, 0.224, 0.225))
    write(folder, "pixels", image, [node("Mul", "x k", "a"), node("Sub", "a m", "b"), node("Div", "b d", "c"),
                                    *quantizer("c", "q"), *flat, *dense("f", "y", 12, c)], c, 130.0, "q_q")
    # Batch normalization, with a factor below 0.
    c = base(g=np.array([0.7, -1.3, 0.2], F), b=np.array([0.1, 0.2, -0.4], F), mu=np.array([0.3, -0.6, 1.7], F),
             v=np.array([0.9, 2.3, 0.04], F))
    write(folder, "batch_norm", image, [node("BatchNormalization", "x g b mu v", "a"), *quantizer("a", "q"), *flat,
                                        *dense("f", "y", 12, c)], c, 2.0, "q_q")
    # A move before, and one between.
    c = base(k=F(0.0137), one=F(0.9), to=np.array([0, 3, 2, 2]))
    write(folder, "moved", [("x", [12], F)], [node("Reshape", "x to", "r"), node("Mul", "r k", "a"),
          node("Sub", "a one", "b"), node("Transpose", "b", "t", perm=[0, 2, 3, 1]), *quantizer("t", "q"), *flat,
          *dense("f", "y", 12, c)], c, 120.0)
    # Each feature of an image by itself.
    c = base(m=RNG.normal(0, 1, 12).astype(F), d=RNG.uniform(0.3, 3, 12).astype(F))
    write(folder, "features", image, [node("Flatten", "x", "f"), node("Sub", "f m", "a"), node("Div", "a d", "b"),
                                      *quantizer("b", "q"), *dense("q", "y", 12, c)], c, 2.0, "q_q")
    # Channels last.
    c = base(m=np.array([0.485, 0.456, 0.406], F), d=np.array([0.229, 0.224, 0.225], F))
    write(folder, "channels_last", [("x", [2, 2, 3], F)], [node("Sub", "x m", "a"), node("Div", "a d", "b"),
          *quantizer("b", "q"), node("Transpose", "q", "t", perm=[0, 3, 1, 2]), node("Flatten", "t", "f"),
          *dense("f", "y", 12, c)], c, 1.0, "q_q")
    # 1 - x, bounds, and codes from 0 on.
    c = base(one=F(1), lo=F(0), hi=F(6))
    write(folder, "reversed", vector, [node("Sub", "one x", "a"), node("Clip", "a lo hi", "b"),
                                       *quantizer("b", "q", signed=False), *dense("q", "y", 6, c)], c, 3.0, "q_q")
    # An odd zero point, a scale with ties.
    c = base(two=F(2)) | {"s": F(0.25), "zu": np.uint8(101)}
    write(folder, "zero_point", vector, [node("Mul", "x two", "a"), *quantizer("a", "q", signed=False),
                                         *dense("q", "y", 6, c)], c, 8.0, "q_q")
    # A threshold.
    c = base(half=F(0.4))
    write(folder, "sign", vector, [node("Sub", "x half", "a"), node("Sign", "a", "b"), *dense("b", "y", 6, c)], c, 1.0)
    # Binary networks of QONNX.
    c = base(two=F(2), one=F(1), bs=F(0.5))
    write(folder, "bipolar", vector, [node("Mul", "x two", "a"), node("Sub", "a one", "b"),
                                      node("BipolarQuant", "b bs", "q"), *dense("q", "y", 6, c)], c, 1.0, qonnx=True)
    # Several inputs, normalized apart and quantized together.
    parts = [("age", [1], F), ("height", [1], F), ("pixels", [1, 2, 2], F)]
    c = base(m=F(40), d=F(13), k=F(1 / 64))
    write(folder, "joined", parts, [node("Sub", "age m", "a"), node("Div", "a d", "b"), node("Flatten", "pixels", "p"),
          node("Mul", "p k", "r"), node("Concat", "b height r", "j", axis=1), *quantizer("j", "q"),
          *dense("q", "y", 6, c)], c, 20.0, "q_q")
    # Several inputs with quantizers of their own.
    c = base(t=F(0.5), m=F(0.3), o=F(0.0871))
    write(folder, "apart", [("a", [4], F), ("b", [2], F)], [node("Sub", "a m", "n"), *quantizer("n", "q"),
          *quantizer("b", "r", scale="t"), *dense("q", "u", 4, c), *dense("r", "v", 2, c),
          *quantizer("u", "w", scale="o"), *quantizer("v", "z", scale="o"),
          node("Add", "w z", "y")], c, 3.0)
    # No quantizer: bytes, by their type, and a factor and offset that go into the layer after them.
    c = base(k=F(1 / 255), m=F(0.1307), d=F(0.3081))
    write(folder, "bytes", [("x", [6], np.uint8)], [node("Cast", "x", "a", to=TensorProto.FLOAT), node("Mul", "a k", "b"),
          node("Sub", "b m", "c"), node("Div", "c d", "e"), *dense("e", "y", 6, c)], c, (0, 255))
    # -1 and 1 of bits.
    c = base(two=F(2), one=F(1))
    write(folder, "bits", vector, [node("Mul", "x two", "a"), node("Sub", "a one", "b"), *dense("b", "y", 6, c)], c,
          (0, 1))
    # Integers of 64 bits.
    c = base()
    write(folder, "integers", [("x", [6], np.int64)], [node("Cast", "x", "a", to=TensorProto.FLOAT),
                                                       *dense("a", "y", 6, c)], c, (-20, 35))
    # A fixed point of 16 bits, 10 of them behind the point.
    c = base(k=F(1 / 1024))
    write(folder, "fixed", vector, dense("x", "y", 6, c), c, (-1, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
