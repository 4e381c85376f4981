"""The recogniser's network: a small convolutional trunk, one attention layer, CTC classes."""

from typing import Final

import torch
from torch import Tensor, nn

INPUT_PX: Final = (144, 40)
"""Width and height of the network's input."""
TIME_STEPS: Final = 36
"""Columns of the output: one per four input pixels."""


def _conv(inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class _Attention(nn.Module):
    """One pre-norm transformer layer, written out so that it exports to plain ONNX operators."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        parts = self.mix(self.norm_in(x)).view(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(-1, -2)) * (width // self.heads) ** -0.5
        mixed = weights.softmax(-1) @ value
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, steps, width))
        return x + self.mlp(self.norm_mlp(x))


class RecogniserNet(nn.Module):
    """``(N, 3, 40, 144)`` BGR in [-1, 1] → logits ``(N, 36, classes)``; class 0 is the blank.

    About 0.6 M parameters and 60 million multiply-adds a plate.
    """

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 48, 72, 112, 144)) -> None:
        super().__init__()
        a, b, c, d, e, f = widths
        self.trunk = nn.Sequential(
            _conv(3, a, 2),
            _conv(a, b, 2),
            _conv(b, c),
            _Residual(c),
            _conv(c, d, (2, 1)),
            _Residual(d),
            _conv(d, e, (2, 1)),
            _Residual(e),
            nn.Conv2d(e, f, (3, 1), bias=False),
            nn.BatchNorm2d(f),
            nn.ReLU(inplace=True),
        )
        self.position = nn.Parameter(torch.randn(1, TIME_STEPS, f) * 0.02)
        self.attention = _Attention(f, 4)
        self.local = nn.Conv1d(f, f, 3, padding=1)
        self.norm = nn.LayerNorm(f)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(f, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits per time step."""
        columns = self.trunk(x).squeeze(2)
        columns = columns + torch.relu(self.local(columns))
        sequence = self.attention(columns.transpose(1, 2) + self.position)
        return self.head(self.drop(self.norm(sequence)))


class WithSoftmax(nn.Module):
    """What is exported: probabilities instead of logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities over the last axis."""
        return self.net(x).softmax(-1)
