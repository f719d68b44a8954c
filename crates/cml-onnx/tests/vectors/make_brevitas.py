"""Networks of many kinds for the tests, exported by Brevitas as QONNX and QCDQ, with the outputs that it computes.

    python make_brevitas.py FOLDER [NAME ..]

Needs torch and brevitas 0.10 (made with torch 2.1.2, brevitas 0.10.2, onnx 1.15).
"""

import sys
import warnings

import numpy as np
import torch
from torch import nn

import brevitas.nn as qnn
from brevitas.core.quant import QuantType
from brevitas.core.restrict_val import RestrictValueType
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
    Uint8ActPerTensorFloat,
)

warnings.filterwarnings("ignore")


class Residual(nn.Module):
    """Two convolutions with a sum, both sides quantized alike, then an average over the plane."""

    def __init__(self, bits):
        super().__init__()
        self.inp = qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)
        w = dict(weight_bit_width=bits, weight_scaling_per_output_channel=True, bias=False, padding=1)
        self.c1, self.b1 = qnn.QuantConv2d(1, 4, 3, **w), nn.BatchNorm2d(4)
        self.r1 = qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)
        self.c2, self.b2 = qnn.QuantConv2d(4, 4, 3, **w), nn.BatchNorm2d(4)
        self.c3 = qnn.QuantConv2d(4, 4, 1, weight_bit_width=bits, bias=True)
        self.shared = qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)
        self.r2 = qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)
        self.r3 = qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)
        self.f = qnn.QuantLinear(4, 5, bias=True, weight_bit_width=bits)

    def forward(self, x):
        x = self.r1(self.b1(self.c1(self.inp(x))))
        x = self.shared(self.b2(self.c2(x))) + self.shared(self.c3(x))
        x = self.r2(x)
        x = self.r3(nn.functional.adaptive_avg_pool2d(x.value, 1))
        return self.f(x.flatten(1) if not hasattr(x, "value") else x.value.flatten(1))


class Joined(nn.Module):
    """Two branches joined along the channels, a maximum before and an average after."""

    def __init__(self, bits):
        super().__init__()
        self.inp = qnn.QuantIdentity(bit_width=bits)
        self.a = qnn.QuantConv2d(2, 3, (3, 1), padding=(1, 0), weight_bit_width=bits, bias=True)
        self.b = qnn.QuantConv2d(2, 2, (1, 3), padding=(0, 1), weight_bit_width=bits, bias=False)
        self.shared = qnn.QuantReLU(bit_width=bits)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.c = qnn.QuantConv2d(5, 10, 3, groups=5, stride=2, padding=1, weight_bit_width=bits)
        self.q = qnn.QuantReLU(bit_width=bits)
        self.avg = nn.AvgPool2d(2)
        self.f = qnn.QuantLinear(10, 4, bias=True, weight_bit_width=bits)
        self.q2 = qnn.QuantIdentity(bit_width=bits)

    def forward(self, x):
        x = self.inp(x)
        x = torch.cat([self.shared(self.a(x)), self.shared(self.b(x))], 1)
        x = self.q(self.c(self.pool(x)))
        return self.f(self.q2(self.avg(x)).flatten(1))


class Sequence(nn.Module):
    """Convolutions in one dimension, strided, dilated, with batch normalization."""

    def __init__(self):
        super().__init__()
        w = dict(weight_bit_width=5, weight_scaling_per_output_channel=True)
        self.net = nn.Sequential(
            qnn.QuantIdentity(bit_width=6),
            qnn.QuantConv1d(3, 6, 3, padding=1, stride=2, bias=False, **w),
            nn.BatchNorm1d(6),
            qnn.QuantReLU(bit_width=5),
            nn.MaxPool1d(2),
            qnn.QuantConv1d(6, 6, 3, dilation=2, groups=2, bias=True, **w),
            qnn.QuantHardTanh(bit_width=5, min_val=-1.0, max_val=1.0),
            nn.Flatten(),
            qnn.QuantLinear(12, 3, bias=True, weight_bit_width=5),
        )

    def forward(self, x):
        return self.net(x)


def mlp(bits, **kinds):
    act = kinds.get("act", {})
    weight = kinds.get("weight", {})
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=bits, **act),
        qnn.QuantLinear(6, 12, bias=kinds.get("bias", True), weight_bit_width=bits, **weight),
        *([nn.BatchNorm1d(12)] if kinds.get("norm") else []),
        kinds["middle"]() if "middle" in kinds else qnn.QuantReLU(bit_width=bits),
        qnn.QuantLinear(12, 8, bias=False, weight_bit_width=bits, **weight),
        *([nn.BatchNorm1d(8)] if kinds.get("norm") else []),
        qnn.QuantReLU(bit_width=bits) if "last" not in kinds else kinds["last"](),
        qnn.QuantLinear(8, 3, bias=kinds.get("bias", True), weight_bit_width=bits, **weight),
        *kinds.get("end", []),
    )


class Moves(nn.Module):
    """What only moves elements: a view before the quantizer, a permutation, a slice, padding."""

    def __init__(self):
        super().__init__()
        self.q = qnn.QuantIdentity(bit_width=4)
        self.c = qnn.QuantConv2d(2, 3, 3, weight_bit_width=4)
        self.r = qnn.QuantReLU(bit_width=4)
        self.f = qnn.QuantLinear(3 * 2 * 4, 4, weight_bit_width=4, bias=True)

    def forward(self, x):
        x = self.q(x.view(x.shape[0], 2, 4, 6))
        x = nn.functional.pad(x, (1, 0, 2, 1))
        x = self.r(self.c(x))
        x = x[:, :, 1:5:2, :-1].permute(0, 2, 3, 1)
        return self.f(x.flatten(1))


class Affine(nn.Module):
    """Normalized inputs, factors between layers, several functions."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, -0.2]).view(1, 2, 1, 1))
        self.register_buffer("std", torch.tensor([0.5, 1.5]).view(1, 2, 1, 1))
        self.q = qnn.QuantIdentity(bit_width=5)
        self.c = qnn.QuantConv2d(2, 4, 3, weight_bit_width=4, bias=True)
        self.b = nn.BatchNorm2d(4)
        self.q1 = qnn.QuantIdentity(bit_width=4)
        self.c2 = qnn.QuantConv2d(4, 4, 2, weight_bit_width=4, bias=False)
        self.slope = nn.PReLU(4)
        self.q2 = qnn.QuantIdentity(bit_width=4)
        self.f = qnn.QuantLinear(4 * 9, 3, weight_bit_width=4, bias=True)

    def forward(self, x):
        x = self.q((x - self.mean) / self.std)
        x = self.q1(torch.nn.functional.gelu(self.b(self.c(x))) * 1.25 + 0.1)
        x = self.q2(self.slope(self.c2(x)))
        return self.f(x.flatten(1)) * 0.5


class Elementwise(nn.Module):
    """Brevitas' own layers for sums and concatenations."""

    def __init__(self):
        super().__init__()
        w = dict(padding=1, weight_bit_width=4, bias=True)
        self.i = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
        self.a, self.b = qnn.QuantConv2d(1, 3, 3, **w), qnn.QuantConv2d(1, 3, 3, **w)
        q = dict(input_quant=Int8ActPerTensorFloat, input_bit_width=5, return_quant_tensor=True)
        self.add = qnn.QuantEltwiseAdd(output_quant=Uint8ActPerTensorFloat, output_bit_width=4, **q)
        self.cat = qnn.QuantCat(output_quant=Int8ActPerTensorFloat, output_bit_width=5, **q)
        self.f = qnn.QuantLinear(96, 3, bias=True, weight_bit_width=4)

    def forward(self, x):
        x = self.i(x)
        y = self.add(self.a(x), self.b(x))
        return self.f(self.cat([y, y]).value.flatten(1))


def averaged():
    """A normalization before the first convolution, and an average that no quantizer follows."""
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=4),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantConv2d(2, 6, 3, stride=2, padding=1, weight_bit_width=4, bias=False),
        nn.BatchNorm2d(6),
        qnn.QuantReLU(bit_width=4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        qnn.QuantLinear(6, 4, bias=True, weight_bit_width=4),
    )


PO2 = dict(act=dict(act_quant=Int8ActPerTensorFixedPoint), weight=dict(weight_quant=Int8WeightPerTensorFixedPoint))
BINARY = dict(weight_quant=SignedBinaryWeightPerTensorConst, weight_scaling_init=0.1)
NETWORKS = {
    "residual4": (lambda: Residual(4), (1, 6, 6), {}),
    "residual7": (lambda: Residual(7), (1, 6, 6), {}),
    "joined3": (lambda: Joined(3), (2, 8, 8), {}),
    "joined6": (lambda: Joined(6), (2, 8, 8), {}),
    "sequence": (Sequence, (3, 24), {}),
    "mlp2": (lambda: mlp(2), (6,), {}),
    "mlp8_bn": (lambda: mlp(8, norm=True, weight=dict(weight_scaling_per_output_channel=True)), (6,), {}),
    "mlp5_bn": (lambda: mlp(5, norm=True), (6,), {}),
    "mlp4_po2": (lambda: mlp(4, **PO2), (6,), {}),
    "mlp4_sigmoid": (lambda: mlp(4, middle=lambda: qnn.QuantSigmoid(bit_width=4), last=lambda: qnn.QuantTanh(bit_width=3)), (6,), {}),
    "mlp8_shifted": (lambda: mlp(6, act=dict(act_quant=ShiftedUint8ActPerTensorFloat), middle=lambda: qnn.QuantIdentity(bit_width=6, act_quant=ShiftedUint8ActPerTensorFloat)), (6,), {}),
    "mlp4_output": (lambda: mlp(4, end=[qnn.QuantIdentity(bit_width=6)]), (6,), {}),
    "mlp4_fullrange": (lambda: mlp(4, weight=dict(weight_narrow_range=False)), (6,), {}),
    "mlp_binary": (lambda: mlp(4, weight=BINARY, middle=lambda: qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, scaling_init=0.5)), (6,), {"only": "qonnx"}),
    "elementwise": (Elementwise, (1, 4, 4), {}),
    "averaged": (averaged, (2, 6, 6), {}),
    "moves": (Moves, (48,), {}),
    "affine": (Affine, (2, 6, 6), {}),
    "trunc": (lambda: nn.Sequential(
        qnn.QuantIdentity(bit_width=5, return_quant_tensor=True),
        qnn.QuantConv2d(1, 3, 3, weight_bit_width=4, bias=True),
        qnn.QuantReLU(bit_width=5, return_quant_tensor=True),
        qnn.TruncAvgPool2d(2, bit_width=5),
        nn.Flatten(),
        qnn.QuantLinear(27, 3, weight_bit_width=4, bias=True),
    ), (1, 8, 8), {"only": "qonnx"}),
    "mlp4_bias": (lambda: nn.Sequential(
        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        qnn.QuantLinear(6, 12, bias=True, weight_bit_width=4, bias_quant=Int32Bias),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        qnn.QuantLinear(12, 3, bias=True, weight_bit_width=4, bias_quant=Int8BiasPerTensorFloatInternalScaling),
    ), (6,), {}),
}


def settle(net, shape, rng):
    """Lets scales and running statistics meet data, and gives normalizations factors of both signs."""
    net.train()
    for _ in range(40):
        net(torch.tensor(rng.normal(0.2, 1.0, (32, *shape)).astype(np.float32)))
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            n = module.num_features
            signs = np.where(rng.random(n) < 0.3, -1.0, 1.0)
            module.weight.data = torch.tensor((rng.uniform(0.5, 1.5, n) * signs).astype(np.float32))
            module.bias.data = torch.tensor(rng.normal(0, 0.3, n).astype(np.float32))
    net.eval()


def main(folder, names):
    for name, (build, shape, extra) in NETWORKS.items():
        if names and name not in names:
            continue
        torch.manual_seed(7)
        rng = np.random.default_rng(7)
        try:
            net = build()
            settle(net, shape, rng)
            x = torch.tensor(rng.normal(0.2, 1.0, (64, *shape)).astype(np.float32))
            with torch.no_grad():
                y = torch.cat([net(row[None]) for row in x])
            for dialect, export in [("qonnx", export_qonnx), ("qcdq", export_onnx_qcdq)]:
                if extra.get("only", dialect) == dialect:
                    try:
                        export(net, x[:1], f"{folder}/{name}.{dialect}.onnx")
                    except Exception as error:
                        print(f"{name} {dialect}: {error}")
        except Exception as error:
            print(f"{name}: {type(error).__name__} {error}")
            continue
        x, y = x.flatten(1).numpy(), y.flatten(1).numpy()
        head = [f"x{i}" for i in range(x.shape[1])] + [f"y{i}" for i in range(y.shape[1])]
        with open(f"{folder}/{name}.io.csv", "w") as out:
            out.write(",".join(head) + "\n")
            for row in np.concatenate([x, y], 1):
                out.write(",".join(f"{v:.9g}" for v in row) + "\n")
        print(name, "ok")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
