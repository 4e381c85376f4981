"""The plate detector: one small fully convolutional network and its export to ONNX.

An anchor-free centre-point design (Zhou et al., "Objects as Points", 2019) with the four corners
regressed at the centre, as LPRNet-style readers need a quadrilateral and not a box. Plain dense
3x3 convolutions throughout: on a CPU with AVX2 they run near the machine's peak, which depthwise
ones do not.
"""

import copy
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE_PX = 8
"""One output cell covers this many input pixels in each direction."""

INPUT_MULTIPLE_PX = 32
"""Height and width of the input must be multiples of this."""

MOST_PLATES = 64
"""At most so many peaks of a picture come out of the exported network."""

_CELL_NUMBERS = 11
"""Of each cell: heat, rows, logarithm of the size, and eight corner offsets in units of that size."""

_NO_PLATE = -100.0
"""A logit whose probability is nothing."""


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        pad = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, pad, dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity; ``dilation`` widens what the second one sees."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = ConvUnit(channels, channels, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same shape."""
        return x + self.second(self.first(x))


class Refined(nn.Module):
    """One 3x3 convolution beside an identity: half a residual block's cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.only = ConvUnit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same shape."""
        return x + self.only(x)


class PlateNet(nn.Module):
    """Image to centre heat, corner offsets and row count.

    Input: ``float32 (N, 3, H, W)`` BGR in [0, 1]; H and W multiples of ``INPUT_MULTIPLE_PX``.
    Output, h = H / STRIDE_PX, w = W / STRIDE_PX, all logits except ``quad``:
    ``heat (N, 1, h, w)``; ``quad (N, 8, h, w)`` offsets of tl, tr, br, bl (x, y each) from the
    cell's centre in units of the stride; ``rows (N, 1, h, w)``.
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (16, 24, 32, 64, 96)) -> None:
        super().__init__()
        self.widths = widths
        w2, w4, w8, w16, w32 = widths
        self.stem = ConvUnit(3, w2, stride=2)
        self.down4 = ConvUnit(w2, w4, stride=2)
        self.down8 = nn.Sequential(ConvUnit(w4, w8, stride=2), Refined(w8))
        self.down16 = nn.Sequential(ConvUnit(w8, w16, stride=2), Residual(w16))
        self.down32 = nn.Sequential(ConvUnit(w16, w32, stride=2), Residual(w32, dilation=3))
        self.up16 = ConvUnit(w32, w16, kernel=1)
        self.mix16 = ConvUnit(w16, w16)
        self.up8 = ConvUnit(w16, w8, kernel=1)
        self.mix8 = ConvUnit(w8, w8)
        self.head = nn.Conv2d(w8, _CELL_NUMBERS, 1)
        self._start_from_rare_plates()

    def _start_from_rare_plates(self) -> None:
        """Bias the heat to about 1 % so that the first steps are not spent on the background."""
        with torch.no_grad():
            bias = self.head.bias
            bias.zero_()
            bias[0] = -4.6
            self.head.weight.mul_(0.3)
            # a plausible upright plate, so that the first corners are already near
            bias[3:] = torch.tensor([-1.0, -0.3, 1.0, -0.3, 1.0, 0.3, -1.0, 0.3])
            bias[2] = 1.0

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(heat logits, quad, rows logits)``; see the class for shapes."""
        grid = self.grid(image)
        return grid[:, 0:1], grid[:, 3:11] * _size(grid[:, 2:3]), grid[:, 1:2]

    def grid(self, image: Tensor) -> Tensor:
        """``(N, 11, h, w)`` before anything is made of it: what :func:`peaks` takes."""
        c8 = self.down8(self.down4(self.stem(image)))
        c16 = self.down16(c8)
        c32 = self.down32(c16)
        p16 = self.mix16(c16 + functional.interpolate(self.up16(c32), scale_factor=2.0))
        p8 = self.mix8(c8 + functional.interpolate(self.up8(p16), scale_factor=2.0))
        return self.head(p8)


def _size(logarithm: Tensor) -> Tensor:
    """The unit of a plate's corners, from what the network says of it."""
    return torch.exp(logarithm.clamp(-2.0, 5.0))


def peaks(grid: Tensor) -> Tensor:
    """The cells that none of their eight neighbours outdoes, best first, as the reader takes them.

    Sorted and gathered first, made into probabilities and corners afterwards: of a picture's
    thousands of cells the reader wants a few.

    Args:
        grid: ``(1, 11, h, w)``: logits of a plate and of two rows, logarithm of the size, and
            eight corner offsets in units of that size.

    Returns:
        ``(k, 11)``, k = min(MOST_PLATES, h w): score, probability of two rows, number of the cell
        row by row, and x and y of tl, tr, br, bl in cells from the cell's centre. Where fewer
        cells are peaks, others follow with score 0.
    """
    heat = grid[:, 0:1]
    outdone = heat < functional.max_pool2d(heat, 3, stride=1, padding=1)
    line = heat.masked_fill(outdone, _NO_PLATE).reshape(-1)
    # the number of cells as the exporter understands it: another one for each size of picture
    cells = torch._shape_as_tensor(line)[0]  # noqa: SLF001 - it has no public name
    logits, at = torch.topk(line, cells.clamp(max=MOST_PLATES))
    there = grid.reshape(_CELL_NUMBERS, -1)[:, at]
    plates = [
        torch.sigmoid(logits).unsqueeze(0),
        torch.sigmoid(there[1:2]),
        at.unsqueeze(0).to(grid.dtype),
        there[3:11] * _size(there[2:3]),
    ]
    return torch.cat(plates).transpose(0, 1)


class _Exported(nn.Module):
    """The network as the reader sees it: a camera's bytes in, peaks out.

    The first convolution is rewritten for rows of interleaved bytes. In the picture
    ``(H, W, 3)``, read as one channel of H rows of 3 W numbers, a 3x3 window of three channels is
    one of 3x9, and two pixels to the right are six numbers. Its weights hold the 1/255 too. So
    nothing has to be reordered or scaled before the network runs, to the same result.
    """

    def __init__(self, net: PlateNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        self.net.stem[0] = _for_interleaved(net.stem[0])

    def forward(self, image: Tensor) -> Tensor:
        rows_of_bytes = image.flatten(2).unsqueeze(1)
        return peaks(self.net.grid(rows_of_bytes.float()))


def _for_interleaved(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution of three planes in [0, 1] as one of interleaved bytes."""
    high, wide = conv.kernel_size
    (down, across), (above, left) = conv.stride, conv.padding
    out = nn.Conv2d(
        1, conv.out_channels, (high, 3 * wide), (down, 3 * across), (above, 3 * left), bias=False
    )
    weights = conv.weight.detach().permute(0, 2, 3, 1) / 255
    out.weight = nn.Parameter(weights.reshape(conv.out_channels, 1, high, 3 * wide))
    return out


def parameter_count(net: nn.Module) -> int:
    """Number of trained numbers in the network."""
    return sum(p.numel() for p in net.parameters())


def multiply_adds(net: PlateNet, height_px: int, width_px: int) -> int:
    """Multiply-accumulate operations of all convolutions for one image of this size."""
    total = 0

    def count(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * output.shape[2] * output.shape[3]

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    was_training = net.training
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, 3, height_px, width_px))
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    return total


def export_onnx(net: PlateNet, path: Path, metadata: dict[str, str]) -> None:
    """Write the network as ONNX with batch normalisation folded in.

    Its input ``image`` is ``uint8 (1, H, W, 3)`` BGR, a picture as a camera gives it; its output
    ``plates`` is what :func:`peaks` gives.
    The file's metadata holds ``stride``, ``outputs`` and whatever ``metadata`` adds, so that the
    reader needs nothing but the file.
    """
    import onnx  # noqa: PLC0415 - needed by the export alone

    exported = _Exported(net).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # the exporter that is to replace this one needs a further package for the same result
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            exported,
            (torch.zeros(1, 384, 640, 3, dtype=torch.uint8),),
            str(path),
            input_names=["image"],
            output_names=["plates"],
            dynamic_axes={"image": {1: "height", 2: "width"}, "plates": {0: "plates"}},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load(str(path))
    del model.metadata_props[:]
    entries = {"stride": str(STRIDE_PX), "outputs": json.dumps(["plates"])} | metadata
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
