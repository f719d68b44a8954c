"""Trains a small CNN with plain PyTorch, and exports it as float ONNX."""

import torch
from torch import nn

from digits import train


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 10),
        )

    def forward(self, x):
        # Pixels of 0 to 16: the factor becomes part of the input's quantizer.
        return self.layers(x / 16)


torch.manual_seed(0)
net = train(Net(), epochs=30)
torch.onnx.export(
    net,
    torch.zeros(1, 1, 8, 8),
    "digits_float.onnx",
    opset_version=17,
    input_names=["pixels"],
    output_names=["scores"],
    dynamic_axes={"pixels": {0: "batch"}, "scores": {0: "batch"}},
)
print("wrote digits_float.onnx")
