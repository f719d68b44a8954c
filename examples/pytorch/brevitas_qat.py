"""Trains a small CNN with 4-bit weights and activations with Brevitas, and exports it as QONNX and QCDQ."""

import brevitas.nn as qnn
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from torch import nn

from digits import train

BITS = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        weights = dict(weight_bit_width=BITS, weight_scaling_per_output_channel=True, bias=False)
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=BITS),
            qnn.QuantConv2d(1, 8, 3, **weights),
            nn.BatchNorm2d(8),
            qnn.QuantReLU(bit_width=BITS),
            qnn.QuantConv2d(8, 16, 3, stride=2, **weights),
            nn.BatchNorm2d(16),
            qnn.QuantReLU(bit_width=BITS),
            nn.Flatten(),
            qnn.QuantLinear(64, 10, bias=True, weight_bit_width=BITS),
        )

    def forward(self, x):
        return self.layers(x / 16)


torch.manual_seed(0)
net = train(Net(), epochs=30)
sample = torch.rand(1, 1, 8, 8) * 16
export_qonnx(net, sample, "digits_qat.qonnx.onnx")
export_onnx_qcdq(net, sample, "digits_qat.qcdq.onnx")
print("wrote digits_qat.qonnx.onnx and digits_qat.qcdq.onnx")
