"""Plain float networks for the tests, exported by torch.onnx, with the outputs that torch computes.

    python make_float.py FOLDER [NAME ..]

Needs torch (made with torch 2.1.2 and its exporter, operator sets 9 to 17).
"""

import sys
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")


class Block(nn.Module):
    """A residual sum, a concatenation, a mean over the plane."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.c = nn.Conv2d(4, 3, 3, stride=2, padding=(1, 1), dilation=(1, 2))
        self.f = nn.Linear(3, 4)

    def forward(self, x):
        x = (x - 0.5) / 0.25
        x = self.a(x)
        x = nn.functional.leaky_relu(x + self.b(x), 0.1)
        x = torch.cat([x[:, :2], x[:, 2:] * 2.0], 1)
        x = nn.functional.avg_pool2d(x, 2)
        x = nn.functional.hardswish(self.c(x))
        return self.f(x.mean((2, 3)))


class Functions(nn.Module):
    """Every function of one variable that torch exports."""

    def __init__(self):
        super().__init__()
        self.f = nn.ModuleList([nn.Linear(5, 5) for _ in range(16)])
        self.prelu = nn.PReLU(5)

    def forward(self, x):
        g = nn.functional
        functions = [
            torch.relu, torch.sigmoid, torch.tanh, g.gelu, g.elu, g.selu, g.softplus, torch.erf, g.hardsigmoid,
            g.hardtanh, lambda v: torch.exp(v * 0.3), lambda v: torch.log(v.abs() + 0.5), lambda v: torch.sqrt(v.abs()),
            lambda v: torch.floor(v * 3) / 3, lambda v: v.clamp(min=-0.3), self.prelu,
        ]
        for layer, function in zip(self.f, functions):
            x = function(layer(x) * 1.5)
        return 1.0 / (torch.abs(x) + 1.0)


class Wave(nn.Module):
    """One dimension, views that depend on the batch."""

    def __init__(self):
        super().__init__()
        self.c = nn.Conv1d(2, 4, 5, stride=2, padding=2)
        self.n = nn.BatchNorm1d(4)
        self.d = nn.Conv1d(4, 4, 3, groups=4, dilation=2)
        self.f = nn.Linear(8, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = torch.nn.functional.max_pool1d(torch.relu(self.n(self.c(x))), 2)
        x = torch.nn.functional.adaptive_avg_pool1d(torch.relu(self.d(x)), 2)
        return self.f(self.drop(x.view(x.size(0), -1)))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 16),
        nn.BatchNorm1d(16), nn.Hardtanh(), nn.Linear(16, 10, bias=False),
    )


NETWORKS = {
    "float_block": (Block, (2, 8, 8), 13, True),
    "float_block_opset9": (Block, (2, 8, 8), 9, False),
    "float_functions": (Functions, (5,), 17, True),
    "float_functions_opset11": (Functions, (5,), 11, False),
    "float_wave": (Wave, (2, 24), 16, True),
    "float_wave_opset9": (Wave, (2, 24), 10, False),
    "float_cnn": (cnn, (1, 8, 8), 17, True),
    "float_cnn_opset9": (cnn, (1, 8, 8), 9, False),
}


def main(folder, names):
    for name, (build, shape, opset, symbolic) in NETWORKS.items():
        if names and name not in names:
            continue
        torch.manual_seed(3)
        rng = np.random.default_rng(3)
        net = build()
        net.train()
        for _ in range(10):
            net(torch.tensor(rng.normal(0.3, 1.0, (32, *shape)).astype(np.float32)))
        net.eval()
        x = torch.tensor(rng.normal(0.3, 1.0, (24, *shape)).astype(np.float32))
        with torch.no_grad():
            y = net(x)
        axes = {"x": {0: "batch"}, "y": {0: "batch"}} if symbolic else None
        torch.onnx.export(
            net, x[:1], f"{folder}/{name}.onnx", opset_version=opset, input_names=["x"], output_names=["y"], dynamic_axes=axes
        )
        x, y = x.flatten(1).numpy(), y.flatten(1).numpy()
        head = [f"x{i}" for i in range(x.shape[1])] + [f"y{i}" for i in range(y.shape[1])]
        with open(f"{folder}/{name}.io.csv", "w") as out:
            out.write(",".join(head) + "\n")
            for row in np.concatenate([x, y], 1):
                out.write(",".join(f"{v:.9g}" for v in row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
