"""A network of 8-bit quantizers around float operators, as other tools than Brevitas write it, with the outputs that
onnxruntime computes: an asymmetric input, float weights that are quantized in the file, a 32-bit bias, padding that
`auto_pad` asks for, a padded maximum, weights of one scale for each column.

    python make_qdq.py FOLDER

Needs onnx and onnxruntime.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F = np.float32


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


def quantized(x, y, scale, zero):
    return [node("QuantizeLinear", f"{x} {scale} {zero}", f"{y}_q"), node("DequantizeLinear", f"{y}_q {scale} {zero}", y)]


def main(folder):
    rng = np.random.default_rng(1)
    steps = np.full(4, 0.009, F) * np.array([1, 2, 1.5, 0.7], F)
    constants = {
        "xs": F(0.031), "xz": np.uint8(103),
        "w1": rng.normal(0, 0.3, (4, 2, 3, 3)).astype(F), "w1s": steps, "w1z": np.zeros(4, np.int8),
        "b1": rng.integers(-500, 500, 4).astype(np.int32), "b1s": F(0.031) * steps, "b1z": np.zeros(4, np.int32),
        "as": F(0.021), "az": np.uint8(0),
        "w2": rng.integers(-127, 128, (3, 4, 1, 1)).astype(np.int8), "w2s": F(0.004), "w2z": np.int8(0),
        "s2": F(0.07), "z2": np.uint8(131),
        "fw": rng.integers(-100, 100, (72, 5)).astype(np.int8), "fws": rng.uniform(0.001, 0.01, 5).astype(F),
        "fwz": np.zeros(5, np.int8), "fb": rng.normal(0, 1, 5).astype(F),
    }
    nodes = [
        *quantized("x", "xd", "xs", "xz"),
        node("QuantizeLinear", "w1 w1s w1z", "w1q", axis=0),
        node("DequantizeLinear", "w1q w1s w1z", "w1d", axis=0),
        node("DequantizeLinear", "b1 b1s b1z", "b1d", axis=0),
        node("Conv", "xd w1d b1d", "c1", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Relu", "c1", "r1"),
        *quantized("r1", "a1", "as", "az"),
        node("MaxPool", "a1", "m1", kernel_shape=[2, 2], strides=[1, 1], pads=[1, 0, 1, 0]),
        node("DequantizeLinear", "w2 w2s w2z", "w2d"),
        node("Conv", "m1 w2d", "c2"),
        *quantized("c2", "a2", "s2", "z2"),
        node("Flatten", "a2", "fl"),
        node("DequantizeLinear", "fw fws fwz", "fwd", axis=1),
        node("MatMul", "fl fwd", "mm"),
        node("Add", "mm fb", "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "qdq8",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, f"{folder}/qdq8.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(f"{folder}/qdq8.onnx", options, providers=["CPUExecutionProvider"])
    x = rng.normal(0.2, 1, (32, 2, 9, 9)).astype(F)
    y = np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])
    x = x.reshape(32, -1)
    head = [f"x{i}" for i in range(x.shape[1])] + [f"y{i}" for i in range(y.shape[1])]
    with open(f"{folder}/qdq8.io.csv", "w") as out:
        out.write(",".join(head) + "\n")
        for row in np.concatenate([x, y], 1):
            out.write(",".join(f"{v:.9g}" for v in row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
