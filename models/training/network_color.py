"""The colour network: which ground a plate has, or that there is no plate at all."""

from typing import Final

from torch import Tensor, nn

INPUT_PX: Final = (72, 24)
"""Width and height of the network's input: the whole plate, both rows."""
CLASSES: Final = (
    "blue",
    "yellow",
    "green",
    "yellow_green",
    "white",
    "black",
    "other",
    "not_a_plate",
)


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class ColorNet(nn.Module):
    """``(N, 3, 24, 72)`` BGR in [-1, 1] → logits ``(N, 8)``; 43,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 16, 2),
            _conv(16, 24, 2),
            _conv(24, 32, 1),
            _conv(32, 48, 2),
            _conv(48, 48, 1),
        )
        self.pool = nn.AvgPool2d((3, 3))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(48 * 3, len(CLASSES)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits per class."""
        return self.head(self.pool(self.trunk(x)))


class FromBytes(nn.Module):
    """What is exported: ``uint8 (N, 24, 72, 3)`` BGR as cut from a picture to probabilities."""

    def __init__(self, net: ColorNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities per class."""
        return self.net(x.permute(0, 3, 1, 2).float() / 127.5 - 1).softmax(-1)
