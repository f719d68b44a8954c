"""Networks with every trait of files that others made: exporters, operator sets, operators, dialects.

    python make_corpus.py FOLDER [PREFIX]

Each is written as FOLDER/NAME.onnx, with the outputs that onnxruntime, qonnx or Brevitas computes in
FOLDER/NAME.io.csv. `cargo run --release -p cml-onnx --example compare -- FOLDER` imports and compares them.
Made with torch 2.15, Brevitas 0.13.4, onnx 1.23, onnxruntime 1.32, qonnx 1.0.
"""

import os
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
FOLDER, PREFIX = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
ROWS = 40


def wanted(name):
    return name.startswith(PREFIX)


def write(name, x, y):
    x, y = np.asarray(x).reshape(len(x), -1), np.asarray(y).reshape(len(x), -1)
    columns = [f"x{i}" for i in range(x.shape[1])] + [f"y{i}" for i in range(y.shape[1])]
    with open(f"{FOLDER}/{name}.io.csv", "w") as f:
        f.write(",".join(columns) + "\n")
        for row in np.concatenate([x, y], 1):
            f.write(",".join(repr(float(np.float32(v))) for v in row) + "\n")


def by_ort(name, shape, rows=ROWS):
    """Outputs of onnxruntime, one sample at a time."""
    import onnxruntime as ort

    session = ort.InferenceSession(f"{FOLDER}/{name}.onnx", providers=["CPUExecutionProvider"])
    key = session.get_inputs()[0].name
    x = np.random.default_rng(1).normal(size=(rows, *shape)).astype(np.float32)
    y = [session.run(None, {key: row[None]})[0] for row in x]
    write(name, x, np.stack(y))


def by_qonnx(name, shape, rows=12):
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(f"{FOLDER}/{name}.onnx").transform(InferShapes())
    key, out = model.graph.input[0].name, model.graph.output[0].name
    x = np.random.default_rng(1).normal(size=(rows, *shape)).astype(np.float32)
    y = [execute_onnx(model, {key: row[None]})[out] for row in x]
    write(name, x, np.stack(y))


def by_torch(name, net, shape, rows=ROWS):
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(rows, *shape)).astype(np.float32))
    with torch.no_grad():
        write(name, x.numpy(), torch.cat([net(row[None]) for row in x]).numpy())


# ---- torch, both exporters ----

class Act(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.a, self.f, self.b = nn.Linear(6, 8), f, nn.Linear(8, 4)

    def forward(self, x):
        return self.b(self.f(self.a(x)))


ACTIVATIONS = {
    "silu": F.silu, "mish": F.mish, "softplus": F.softplus, "gelu": F.gelu,
    "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"), "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid,
    "elu": F.elu, "celu": lambda v: F.celu(v, 0.7), "selu": F.selu, "softsign": F.softsign,
    "logsigmoid": F.logsigmoid, "tanhshrink": F.tanhshrink, "softshrink": F.softshrink, "hardshrink": F.hardshrink,
    "relu6": F.relu6, "threshold": lambda v: F.threshold(v, 0.1, -0.2), "rrelu": F.rrelu,
    "quick_gelu": lambda v: v * torch.sigmoid(1.702 * v), "square": lambda v: v * v, "cube": lambda v: v**3,
    "where": lambda v: torch.where(v > 0.2, v, 0.3 * v * v), "minimum": lambda v: torch.minimum(v, v * v),
    "sin": torch.sin, "cos": torch.cos, "atan": torch.atan, "sinusoid": lambda v: torch.sin(v) * torch.exp(-v * v),
    "clamp": lambda v: v.clamp(-0.4, 0.7), "rsqrt": lambda v: torch.rsqrt(v * v + 1), "own": lambda v: v / (1 + v.abs()),
    "swish_beta": lambda v: v * torch.sigmoid(v * torch.linspace(0.5, 2, 8)),
}

class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.bn = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c2, self.fc = nn.Conv2d(8, 8, 3, groups=8), nn.Linear(8, 5)

    def forward(self, x):
        x = F.silu(self.bn(self.c1(x)))
        x = F.max_pool2d(F.mish(self.c2(x)), 2)
        return self.fc(x.mean((2, 3)))

class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.token, self.channel, self.out = nn.Linear(4, 4), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.embed(x))
        x = x + F.gelu(self.token(x.transpose(1, 2)).transpose(1, 2))
        x = x + F.relu(self.channel(x))
        return self.out(x.mean(1))

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.p = nn.Linear(5, 7), nn.Linear(7, 3), nn.Parameter(torch.randn(4, 7))

    def forward(self, x):
        return self.b(torch.tanh(self.a(x) + self.p)).flatten(1)

class Grid(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 2, bias=False)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))

class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.d, self.e = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(2, 3, 3), nn.Conv2d(12, 2, 1)

    def forward(self, x):
        x = F.relu(F.pixel_shuffle(self.c(x), 2))
        x = self.d(x)
        return self.e(F.pixel_unshuffle(x[:, :, :4, :4], 2))

class Up(nn.Module):
    def __init__(self, size=None, pad="reflect"):
        super().__init__()
        self.c, self.d, self.size, self.pad = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3), size, pad

    def forward(self, x):
        x = F.relu(self.c(F.pad(x, (1, 2, 2, 1), mode=self.pad)))
        x = F.interpolate(x, size=self.size, scale_factor=None if self.size else 2, mode="nearest")
        return self.d(x)

class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 9), nn.Linear(9, 4)

    def forward(self, x):
        a, b, c = self.a(x).split([2, 3, 4], 1)
        d, e = c.chunk(2, 1)
        x = torch.cat([F.relu(a), b.flip(1), d * 2, torch.maximum(e, 1 - e)], 1)
        return self.b(x[:, [8, 0, 3, 3, 1, 2, 4, 5, 7]])

class Gate(nn.Module):
    """Products of two values: a gate, and squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.c, self.s, self.t = nn.Conv2d(1, 4, 3), nn.Linear(4, 4), nn.Linear(4, 4)
        self.u, self.v, self.fc = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.c(x))
        g = torch.sigmoid(self.t(F.relu(self.s(x.mean((2, 3))))))
        x = (x * g[:, :, None, None]).mean((2, 3))
        return self.fc(self.u(x) * torch.sigmoid(self.v(x)))

class Broadcasts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        y = self.a(x)
        y = y.unsqueeze(1).expand(-1, 3, -1).repeat(1, 2, 1)
        return self.b(F.relu(y)).amax(1)

class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 8), nn.BatchNorm1d(4), nn.Conv1d(4, 3, 3)

    def forward(self, x):
        return self.b(F.silu(self.n(self.a(x)))).mean(2)

class Functions(nn.Module):
    """A block that the exporter keeps as one function."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(5, 6), nn.SiLU(), nn.Linear(6, 5))
        self.out = nn.Linear(5, 2)

    def forward(self, x):
        return self.out(x + self.block(x))


NETS = {
    "conv": (Conv, (2, 8, 8)), "mixer": (Mixer, (4, 6)), "tokens": (Tokens, (4, 5)), "grid": (Grid, (2, 3, 3)),
    "shuffle": (Shuffle, (2, 4, 4)), "up_reflect": (Up, (2, 5, 5)), "up_edge": (lambda: Up(pad="replicate"), (2, 5, 5)),
    "up_wrap": (lambda: Up(pad="circular"), (2, 5, 5)), "up_size": (lambda: Up(size=(9, 13)), (2, 5, 5)),
    "parts": (Parts, (6,)), "gate": (Gate, (1, 5, 5)), "broadcasts": (Broadcasts, (4,)), "norms": (Norms, (4, 6)),
    "functions": (Functions, (5,)), **{f"act_{k}": ((lambda f=f: Act(f)), (6,)) for k, f in ACTIVATIONS.items()},
}


def settle(net, shape):
    """Running statistics of batch normalization that are not 0 and 1."""
    net.train()
    with torch.no_grad():
        net(torch.randn(32, *shape))
    net.eval()


def torch_exports():
    for kind, (make, shape) in NETS.items():
        versions = [("d", True, 18), ("d", True, 23), ("s", False, 17)]
        if not kind.startswith("act_"):
            versions += [("d", True, 21), ("s", False, 9), ("s", False, 11), ("s", False, 13), ("s", False, 20)]
        for tag, dynamo, opset in versions:
            name = f"torch_{kind}_{tag}{opset}"
            if not wanted(name):
                continue
            torch.manual_seed(3)
            net = make()
            settle(net, shape)
            try:
                extra = {"external_data": False, "verbose": False} if dynamo else {}
                torch.onnx.export(net, (torch.zeros(1, *shape),), f"{FOLDER}/{name}.onnx", dynamo=dynamo,
                                  opset_version=opset, **extra)
            except Exception as error:
                print(f"torch does not export {name}: {str(error).splitlines()[0][:100]}")
                continue
            by_ort(name, shape)


# ---- onnx.helper: single operators over operator sets ----


def model(name, nodes, shape, constants, opset, functions=(), domains=()):
    if not wanted(name):
        return False
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *shape])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, name, [x], [y], tensors)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    made.ir_version = min(made.ir_version, 12)
    onnx.save(made, f"{FOLDER}/{name}.onnx")
    return True


def operators():
    node, f32 = helper.make_node, np.float32
    rng = np.random.default_rng(5)
    w = {"w": rng.normal(size=(3, 2, 3, 3)).astype(f32)}

    def op(name, nodes, shape, constants, opsets):
        for opset in opsets:
            if model(f"op_{name}_{opset}", nodes, shape, constants, opset):
                by_ort(f"op_{name}_{opset}", shape, 8)

    conv = node("Conv", ["x", "w"], ["h"], name="conv")
    bn = {k: rng.uniform(0.5, 1.5, 3).astype(f32) for k in ("g", "b", "m", "v")}
    op("bn", [conv, node("BatchNormalization", ["h", "g", "b", "m", "v"], ["y"])], (2, 5, 5), {**w, **bn}, [7, 9, 15, 24])
    op("clip_attribute", [conv, node("Clip", ["h"], ["y"], min=-0.5, max=0.5)], (2, 5, 5), w, [7, 8, 10])
    op("dropout", [conv, node("Dropout", ["h"], ["y"], ratio=0.3)], (2, 5, 5), w, [7, 10])
    op("upsample", [conv, node("Upsample", ["h"], ["y"], scales=[1.0, 1.0, 2.0, 3.0], mode="nearest")], (2, 5, 5), w, [7, 8])
    s = {"s": np.array([1, 1, 2, 3], f32)}
    op("upsample_input", [conv, node("Upsample", ["h", "s"], ["y"])], (2, 5, 5), {**w, **s}, [9])
    op("resize10", [conv, node("Resize", ["h", "s"], ["y"])], (2, 5, 5), {**w, **s}, [10])
    down = {"s": np.array([1, 1, 0.5, 0.7], f32)}
    op("resize10_down", [conv, node("Resize", ["h", "s"], ["y"])], (2, 5, 5), {**w, **down}, [10])
    for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"):
        for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            for tag, scales in (("up", [1, 1, 2, 3]), ("odd", [1, 1, 1.7, 0.6])):
                opset = 19 if coordinates == "half_pixel_symmetric" else 13
                constants = {**w, "s": np.array(scales, f32)}
                resized = node("Resize", ["h", "", "s"], ["y"], coordinate_transformation_mode=coordinates,
                               nearest_mode=nearest)
                op(f"resize_{coordinates}_{nearest}_{tag}", [conv, resized], (2, 5, 5), constants, [opset])
    sizes = {"n": np.array([9, 2], np.int64)}
    op("resize_axes", [conv, node("Resize", ["h", "", "", "n"], ["y"], axes=[2, 3])], (2, 5, 5), {**w, **sizes}, [18, 24])
    for mode in ("DCR", "CRD"):
        op(f"depth_{mode}", [node("DepthToSpace", ["x"], ["d"], blocksize=2, mode=mode), node("Conv", ["d", "w"], ["y"])],
           (8, 3, 3), w, [11, 13])
    op("space", [node("SpaceToDepth", ["x"], ["d"], blocksize=2), node("Conv", ["d", "k"], ["y"])], (2, 4, 4),
       {"k": rng.normal(size=(3, 8, 1, 1)).astype(f32)}, [7, 13])
    for mode in ("reflect", "edge"):
        op(f"pad_{mode}_attribute", [node("Pad", ["x"], ["p"], pads=[0, 0, 1, 2, 0, 0, 2, 1], mode=mode),
                                     node("Conv", ["p", "w"], ["y"])], (2, 5, 5), w, [7, 10])
        pads = {"p": np.array([0, 0, 1, 2, 0, 0, 2, 1], np.int64)}
        op(f"pad_{mode}", [node("Pad", ["x", "p"], ["q"], mode=mode), node("Conv", ["q", "w"], ["y"])], (2, 5, 5), {**w, **pads}, [11, 21])
    wrap = {"p": np.array([1, 2, 2, 1], np.int64), "a": np.array([2, -1], np.int64)}
    op("pad_wrap", [node("Pad", ["x", "p", "", "a"], ["q"], mode="wrap"), node("Conv", ["q", "w"], ["y"])], (2, 5, 5), {**w, **wrap}, [19, 23])
    op("split_attribute", [node("Split", ["x"], ["a", "b"], axis=1, split=[2, 4]), node("Concat", ["b", "a"], ["y"], axis=1)], (6,), {}, [7, 11])
    op("split", [node("Split", ["x", "n"], ["a", "b"], axis=1), node("Concat", ["b", "a"], ["y"], axis=1)], (6,), {"n": np.array([2, 4])}, [13])
    op("split_count", [node("Split", ["x"], ["a", "b"], axis=-1, num_outputs=2), node("Concat", ["b", "a"], ["y"], axis=1)], (7,), {}, [18, 25])
    back = {"s": np.array([-1]), "e": np.array([-9]), "a": np.array([2]), "t": np.array([-2])}
    op("slice_back", [conv, node("Slice", ["h", "s", "e", "a", "t"], ["y"])], (2, 5, 5), {**w, **back}, [10, 13])
    op("tile", [conv, node("Tile", ["h", "n"], ["y"])], (2, 5, 5), {**w, "n": np.array([1, 2, 1, 3])}, [7, 13])
    op("gather", [conv, node("Gather", ["h", "i"], ["y"], axis=3)], (2, 5, 5), {**w, "i": np.array([[2, 0], [-1, 0]])}, [7, 13])
    op("gather_one", [conv, node("Gather", ["h", "i"], ["y"], axis=1)], (2, 5, 5), {**w, "i": np.array(2)}, [11])
    op("minmax", [node("Max", ["x", "a", "b"], ["m"]), node("Min", ["m", "c"], ["y"])], (6,),
       {"a": f32(-0.5), "b": np.full((1, 6), -0.6, f32), "c": np.linspace(0, 1, 6).astype(f32)}, [8, 12, 13])
    op("sum", [conv, node("Relu", ["h"], ["r"]), node("Sum", ["h", "r", "c"], ["y"])], (2, 5, 5), {**w, "c": f32(0.25)}, [8, 13])
    op("matmul_left", [node("MatMul", ["m", "x"], ["h"]), node("Relu", ["h"], ["y"])], (3, 4), {"m": rng.normal(size=(5, 3)).astype(f32)}, [9, 13])
    op("matmul_3", [node("MatMul", ["x", "m"], ["h"]), node("Add", ["h", "c"], ["k"]), node("Relu", ["k"], ["y"])], (2, 3, 4),
       {"m": rng.normal(size=(4, 5)).astype(f32), "c": rng.normal(size=5).astype(f32)}, [9, 13])
    op("nhwc", [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["h"]),
                node("Transpose", ["h"], ["u"], perm=[0, 2, 3, 1]), node("Mul", ["u", "c"], ["a"]), node("Add", ["a", "c"], ["b"]),
                node("Relu", ["b"], ["r"]), node("ReduceMean", ["r"], ["y"], axes=[1, 2], keepdims=0)],
       (5, 5, 2), {**w, "c": np.array([0.5, -1, 2], f32)}, [9, 13])
    op("binary_ops", [node("Greater", ["x", "z"], ["g"]), node("Cast", ["g"], ["c"], to=1), node("Mul", ["x", "c"], ["p"]),
                      node("Not", ["g"], ["n"]), node("Where", ["n", "k", "p"], ["y"])], (6,), {"z": f32(0.1), "k": f32(-2)}, [9, 16])
    op("pow_base", [node("Pow", ["b", "x"], ["y"])], (6,), {"b": f32(2)}, [13])
    for f in ("Sin", "Cos", "Tan", "Atan", "Softsign", "ThresholdedRelu", "Shrink", "Celu", "Mish", "HardSwish", "Gelu", "Erf", "Sinh",
              "Cosh", "Asinh"):
        least = {"Mish": 18, "HardSwish": 14, "Gelu": 20, "Celu": 12}.get(f, 10)
        op(f"f_{f}", [node(f, ["x"], ["y"])], (6,), {}, [max(least, 10), 22])
    # A function of the file's own, with an attribute.
    inner = [helper.make_node("Constant", [], ["c"]), helper.make_node("Mul", ["a", "c"], ["s"]),
             helper.make_node("Sigmoid", ["s"], ["g"]), helper.make_node("Mul", ["a", "g"], ["b"])]
    reference = helper.make_attribute_ref("value_float", onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "beta"
    inner[0].attribute.append(reference)
    swish = helper.make_function("own", "Swish2", ["a"], ["b"], inner, [helper.make_opsetid("", 18)], ["beta"])
    nodes = [node("Swish2", ["x"], ["m"], domain="own", beta=1.5), node("Swish2", ["m"], ["y"], domain="own", beta=0.5)]
    if model("op_function", nodes, (6,), {}, 18, [swish], ["own"]):
        by_ort("op_function", (6,), 8)


# ---- quantized: hand-made QONNX, and Brevitas ----


def quantized():
    node, f32 = helper.make_node, np.float32
    rng = np.random.default_rng(7)
    common = {"s": f32(0.25), "s2": f32(0.5), "z": f32(0), "b4": f32(4), "b3": f32(3), "b8": f32(8), "b6": f32(6), "z3": f32(3)}

    def quant(x, y, scale="s", zero="z", bits="b4", **attributes):
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        return node("Quant", [x, scale, zero, bits], [y], domain="qonnx.custom_op.general", **attributes)

    def case(name, nodes, shape, constants, opset=13, version=1):
        name = f"q_{name}"
        if model(name, nodes, shape, {**common, **constants}, opset, domains=["qonnx.custom_op.general"]):
            by_qonnx(name, shape)

    lin = {"w": rng.normal(size=(5, 4)).astype(f32), "ws": f32(0.2)}
    # No sum of steps lies between two levels of the next quantizer.
    conv = {"w": rng.normal(size=(4, 2, 3, 3)).astype(f32), "ws": f32(0.19)}
    head = [quant("x", "q"), quant("w", "wq", "ws", bits="b3")]
    case("relu_on_codes", head + [node("Relu", ["q"], ["r"]), node("MatMul", ["r", "wq"], ["y"])], (5,), lin)
    case("clip_on_codes", head + [node("Clip", ["q", "lo", "hi"], ["r"]), node("MatMul", ["r", "wq"], ["y"])], (5,), {**lin, "lo": f32(-0.5), "hi": f32(1)})
    case("abs_on_codes", head + [node("Abs", ["q"], ["r"]), node("Add", ["r", "q"], ["t"]), node("MatMul", ["t", "wq"], ["y"])], (5,), lin)
    case("product", head + [node("MatMul", ["q", "wq"], ["h"]), quant("h", "a", "s2"), quant("h", "b", "s", "z3", signed=0), node("Mul", ["a", "b"], ["p"]),
                            node("MatMul", ["p", "vq"], ["y"]), quant("v", "vq", "ws", bits="b3")], (5,), {**lin, "v": rng.normal(size=(4, 3)).astype(f32)})
    case("asymmetric", [quant("x", "q", zero="z3", signed=0), quant("w", "wq", "ws", bits="b3"), node("MatMul", ["q", "wq"], ["h"]),
                        node("Add", ["h", "c"], ["a"]), quant("a", "y", "s2", "z3", signed=0)], (5,), {**lin, "c": rng.normal(size=4).astype(f32)})
    case("silu", head + [node("MatMul", ["q", "wq"], ["h"]), node("Sigmoid", ["h"], ["g"]), node("Mul", ["h", "g"], ["a"]), quant("a", "y", "s")], (5,), lin)
    case("mul_add", [quant("x", "q"), quant("w", "wq", "ws", bits="b3"), node("Conv", ["q", "wq"], ["h"]), node("Mul", ["h", "m"], ["a"]), node("Add", ["a", "c"], ["b"]),
                     quant("b", "y", "s2")], (2, 5, 5), {**conv, "m": rng.uniform(0.5, 2, (1, 4, 1, 1)).astype(f32), "c": rng.normal(size=(1, 4, 1, 1)).astype(f32)})
    case("tokens", head + [node("MatMul", ["q", "wq"], ["h"]), node("Add", ["h", "c"], ["a"]), node("Relu", ["a"], ["r"]), quant("r", "y", "s2", signed=0)], (3, 5),
         {**lin, "c": rng.normal(size=4).astype(f32)})
    shuffle = [quant("x", "q"), quant("w", "wq", "ws", bits="b3"), node("Conv", ["q", "wq", "c"], ["h"])]
    for mode in ("DCR", "CRD"):
        case(f"shuffle_{mode}", shuffle + [node("DepthToSpace", ["h"], ["d"], blocksize=2, mode=mode), node("Relu", ["d"], ["r"]), quant("r", "y", "s2", signed=0)], (2, 5, 5),
             {**conv, "c": rng.normal(size=4).astype(f32)})
    case("resize", shuffle + [node("Relu", ["h"], ["r"]), node("Resize", ["r", "", "f"], ["d"]), quant("d", "y", "s2", signed=0)], (2, 5, 5),
         {**conv, "c": rng.normal(size=4).astype(f32), "f": np.array([1, 1, 2, 2], f32)})
    case("pad_reflect", [quant("x", "q"), node("Pad", ["q", "p"], ["d"], mode="reflect"), quant("w", "wq", "ws", bits="b3"), node("Conv", ["d", "wq"], ["y"])], (2, 5, 5),
         {**conv, "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])})
    case("split", [quant("x", "q"), quant("w", "wq", "ws", bits="b3"), node("Split", ["q", "n"], ["a", "b"], axis=1), node("Concat", ["b", "a"], ["c"], axis=1),
                   node("MatMul", ["c", "wq"], ["y"])], (5,), {**lin, "n": np.array([2, 3])})
    case("excite", [quant("x", "q"), quant("w", "wq", "ws", bits="b3"), node("Conv", ["q", "wq"], ["h"]), quant("h", "a", "s2", bits="b3"), node("GlobalAveragePool", ["h"], ["g"]),
                    node("Sigmoid", ["g"], ["t"]), quant("t", "b", "s", bits="b3", signed=0), node("Mul", ["a", "b"], ["y"])], (2, 5, 5), conv)
    # Trunc of both versions: 5 and 6 operands.
    trunc = [quant("x", "q", bits="b8"), node("Trunc", ["q", "s", "z", "b8", "b4"], ["y"], domain="qonnx.custom_op.general", rounding_mode="FLOOR")]
    case("trunc_v1", trunc, (5,), {})
    for zero, signed in (("z", 1), ("z", 0)):
        for mode in ("FLOOR", "ROUND", "CEIL"):
            name = f"q_trunc_v2_{zero}{signed}_{mode}"
            nodes = [quant("x", "q", "fine", zero, bits="b8", signed=signed),
                     node("Trunc", ["q", "fine", zero, "b8", "coarse", "b4"], ["y"], domain="qonnx.custom_op.general",
                          rounding_mode=mode, signed=signed, narrow=0)]
            if model(name, nodes, (5,), {**common, "fine": f32(1 / 32), "coarse": f32(1 / 4)}, 13, domains=["qonnx.custom_op.general"]):
                made = onnx.load(f"{FOLDER}/{name}.onnx")
                for entry in made.opset_import:
                    entry.version = 2 if entry.domain else entry.version
                onnx.save(made, f"{FOLDER}/{name}.onnx")
                by_qonnx(name, (5,))
    # qonnx's own transformation to channels-last.
    name = "q_channels_last"
    first = [quant("x", "q"), quant("w", "wq", "ws", bits="b3"), node("Conv", ["q", "wq"], ["h"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1),
             node("BatchNormalization", ["h", "g", "b", "m", "v"], ["n"]), quant("n", "r", "s2", signed=0), node("MaxPool", ["r"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])]
    bn = {k: rng.uniform(0.5, 1.5, 4).astype(f32) for k in ("g", "b", "m", "v")}
    if model(name, first, (2, 4, 4), {**common, **conv, **bn}, 13, domains=["qonnx.custom_op.general"]):
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
        from qonnx.transformation.infer_shapes import InferShapes

        made = ModelWrapper(f"{FOLDER}/{name}.onnx").transform(InferShapes())
        made = made.transform(ConvertToChannelsLastAndClean(make_input_channels_last=False))
        made.save(f"{FOLDER}/{name}.onnx")
        by_qonnx(name, (2, 4, 4))


def brevitas_exports():
    if not ("brevitas".startswith(PREFIX) or PREFIX.startswith("brevitas")):
        return
    import brevitas.nn as qnn
    from brevitas.export import export_onnx_qcdq, export_qonnx
    from brevitas.quant import (Int8ActPerTensorFloat, Int8Bias, Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias,
                                ShiftedUint8ActPerTensorFloat, Uint8ActPerTensorFloat)

    class Mlp(nn.Module):
        def __init__(self, act, weight, bias, bits=4, function=None):
            super().__init__()
            self.q = qnn.QuantIdentity(act_quant=act, bit_width=bits, return_quant_tensor=True)
            self.a = qnn.QuantLinear(6, 8, True, weight_quant=weight, bias_quant=bias, weight_bit_width=4)
            self.r = qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)
            self.b = qnn.QuantLinear(8, 3, True, weight_quant=weight, bias_quant=bias, weight_bit_width=4)
            self.f, self.fq = function, qnn.QuantIdentity(act_quant=act, bit_width=bits, return_quant_tensor=True)

        def forward(self, x):
            x = self.a(self.q(x))
            x = self.r(x) if self.f is None else self.fq(self.f(x.value if hasattr(x, "value") else x))
            return self.b(x)

    class Cnn(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.q = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
            self.c = qnn.QuantConv2d(2, 4, 3, padding=1, bias=False, weight_quant=weight, weight_bit_width=3)
            self.bn, self.r = nn.BatchNorm2d(4), qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
            self.p, self.l = nn.MaxPool2d(2), qnn.QuantLinear(16, 3, True, weight_bit_width=4)
            self.id = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)

        def forward(self, x):
            x = self.r(self.bn(self.c(self.q(x))))
            return self.l(self.p(x).flatten(1))

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
            self.a = qnn.QuantLinear(6, 6, True, weight_bit_width=4)
            self.b = qnn.QuantLinear(6, 3, True, weight_bit_width=4)

        def forward(self, x):
            x = self.q(x)
            x = self.q(self.a(x)) + torch.relu(x)
            return self.b(self.q(x))

    nets = {
        "default": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerTensorFloat, None), (6,)),
        "shifted": (lambda: Mlp(ShiftedUint8ActPerTensorFloat, Int8WeightPerTensorFloat, None), (6,)),
        "channel": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerChannelFloat, None), (6,)),
        "bias8": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Int8Bias), (6,)),
        "bias32": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias), (6,)),
        "bits8": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerChannelFloat, None, 8), (6,)),
        "silu": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerTensorFloat, None, 4, F.silu), (6,)),
        "gelu": (lambda: Mlp(Int8ActPerTensorFloat, Int8WeightPerTensorFloat, None, 4, F.gelu), (6,)),
        "cnn": (lambda: Cnn(Int8WeightPerTensorFloat), (2, 4, 4)), "cnn_channel": (lambda: Cnn(Int8WeightPerChannelFloat), (2, 4, 4)),
        "residual": (Residual, (6,)),
    }
    for kind, (make, shape) in nets.items():
        for dialect in ("qonnx", "qcdq"):
            for dynamo, opset in ((False, 13), (False, 17), (True, 18), (True, 21)):
                name = f"brevitas_{kind}_{dialect}_{'d' if dynamo else 's'}{opset}"
                if not wanted(name):
                    continue
                torch.manual_seed(3)
                net = make()
                settle(net, shape)
                export = export_qonnx if dialect == "qonnx" else export_onnx_qcdq
                try:
                    export(net, torch.randn(1, *shape), f"{FOLDER}/{name}.onnx", opset_version=opset, dynamo=dynamo)
                except Exception as error:
                    text = str(error).splitlines() or [repr(error)]
                    print(f"Brevitas does not export {name}: {text[0][:100]}")
                    continue
                by_torch(name, net, shape)


os.makedirs(FOLDER, exist_ok=True)
for stage in (operators, quantized, brevitas_exports, torch_exports):
    stage()
