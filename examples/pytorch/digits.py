"""The digits of crates/cml-data/data/digits.csv as tensors, and a training loop that both scripts share."""

import csv
from pathlib import Path

import torch
from torch import nn

DATA = Path(__file__).resolve().parents[2] / "crates/cml-data/data" / "digits.csv"


def digits():
    """Training and test samples [n, 1, 8, 8] of 0 to 16, with their classes."""
    parts = {"train": ([], []), "test": ([], [])}
    with open(DATA) as file:
        for row in csv.DictReader(file):
            pixels, labels = parts[row["split"]]
            pixels.append([float(v) for k, v in row.items() if k not in ("label", "split")])
            labels.append(int(row["label"]))
    return {name: (torch.tensor(x).view(-1, 1, 8, 8), torch.tensor(y)) for name, (x, y) in parts.items()}


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


def train(net, epochs, rate=3e-3):
    """Adam with a falling rate; the same seed gives the same network."""
    torch.manual_seed(0)
    data = digits()
    x, y = data["train"]
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss = nn.CrossEntropyLoss()
    for _ in range(epochs):
        net.train()
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            loss(net(x[batch]), y[batch]).backward()
            optimizer.step()
        schedule.step()
    print(f"test accuracy {100 * accuracy(net, *data['test']):.2f}%")
    return net.eval()
