"""Train the colour network: ``python -m models.training.color --data ../shared/data --ccpd DIR``.

Real plates with a colour that can be trusted, drawn plates of every kind, and parts of photographs
that are no plates. Resumable like the recogniser; ``--quick`` runs a few steps on drawn plates.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from anpr.rectify import rectify_whole
from anpr.types import Quad
from models.training.command import add_arguments, glyph_source, parse, real_plates
from models.training.degrade import Harshness, Mounted, photograph
from models.training.drawn_plates import KIND_SHARES, DrawnSource
from models.training.export import export_onnx
from models.training.network_color import CLASSES, INPUT_PX, ColorNet, FromBytes
from models.training.plate_canvas import CANVAS_PX, CORE
from models.training.real_plates import RealPlates
from models.training.schedule import (
    AveragedWeights,
    Journal,
    learning_rate,
    save_checkpoint,
    seed_everything,
)

Picture = NDArray[np.uint8]

_TRUSTED: Final = ("blue", "yellow", "green", "white", "black")
_HARSH: Final = Harshness(grey=0.0)
"""In a grey picture nobody can tell the colour."""
_REAL_SHARES: Final = {
    "blue": 0.42,
    "green": 0.2,
    "yellow": 0.2,
    "white": 0.07,
    "black": 0.03,
    "other": 0.08,
}
"""A little like the road: a greyish plate is far more often a pale blue one than a black one."""
_PATCHES_PER_SCENE: Final = 5
_KEPT_BATCHES: Final = 400
_FEWEST_KEPT: Final = 40


def real_indices(plates: RealPlates) -> dict[str, NDArray[np.int64]]:
    """The real plates of each colour."""
    found: dict[str, list[int]] = {name: [] for name in (*_TRUSTED, "other")}
    for i, sample in enumerate(plates.samples):
        if sample.group.startswith("foreign"):
            found["other"].append(i)
        elif sample.color in _TRUSTED:
            found[sample.color].append(i)
    return {name: np.array(indices) for name, indices in found.items() if indices}


def _shares(weights: list[float]) -> NDArray[np.float64]:
    """Cumulative shares, for ``searchsorted``."""
    total = np.cumsum(weights)
    return total / total[-1] if total.size else total


def patches_without_plates(data: Path, seed: int) -> Picture:
    """Rich parts of photographs away from every labelled plate, as canvases ``(N, 88, 224, 3)``."""
    rng = np.random.default_rng(seed)
    patches = []
    for index in ("train/scenes.jsonl", "train/negative.jsonl"):
        for line in (data / index).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["overlay"]:
                continue
            image = cv2.imread(str(data / row["file"]))
            taken = [p["box"] or _around(p["quad"]) for p in row["plates"] if p["box"] or p["quad"]]
            many = _PATCHES_PER_SCENE * (6 if not row["plates"] else 1)
            patches += _rich_windows(image, taken, many, rng)
    return np.stack(patches)


def _around(quad: list[list[float]]) -> list[float]:
    corners = np.array(quad)
    return [*corners.min(axis=0), *corners.max(axis=0)]


def _rich_windows(
    image: Picture, taken: list[list[float]], many: int, rng: np.random.Generator
) -> list[Picture]:
    """Windows of a plate's shape that touch no plate, those with most edges of many."""
    high, wide = image.shape[:2]
    edges = np.abs(cv2.Sobel(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_32F, 1, 0))
    total = cv2.integral(edges)
    found = []
    for _ in range(many * 8):
        w = int(wide * rng.uniform(0.06, 0.4))
        h = int(w * rng.uniform(0.3, 0.6))
        if w < 30 or h < 10 or w >= wide or h >= high:
            continue
        x, y = int(rng.integers(0, wide - w)), int(rng.integers(0, high - h))
        if any(x < b[2] and b[0] < x + w and y < b[3] and b[1] < y + h for b in taken):
            continue
        inside = total[y + h, x + w] - total[y, x + w] - total[y + h, x] + total[y, x]
        found.append((inside / (w * h) * rng.uniform(0.4, 1), x, y, w, h))
    found.sort(reverse=True)
    cuts = [image[y : y + h, x : x + w] for _, x, y, w, h in found[:many]]
    return [cv2.resize(cut, CANVAS_PX, interpolation=cv2.INTER_AREA) for cut in cuts]


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches ``(pictures uint8 (N, 24, 72, 3), classes (N,))``."""

    def __init__(
        self, drawn: DrawnSource, plates: RealPlates | None, patches: Picture | None, args: Any
    ) -> None:
        self.drawn, self.plates, self.patches = drawn, plates, patches
        self.batch, self.seed = args.batch, args.seed
        self.by_color = {} if plates is None else real_indices(plates)
        self.kinds = list(KIND_SHARES)
        self.kind_shares = _shares(list(KIND_SHARES.values()))
        self.color_shares = _shares([_REAL_SHARES[name] for name in self.by_color])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each worker draws from its own generator."""
        cv2.setNumThreads(0)
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        while True:
            pictures = np.empty((self.batch, INPUT_PX[1], INPUT_PX[0], 3), np.uint8)
            classes = np.empty(self.batch, np.int64)
            for i in range(self.batch):
                pictures[i], classes[i] = self._one(rng)
            yield torch.from_numpy(pictures), torch.from_numpy(classes)

    def _one(self, rng: np.random.Generator) -> tuple[Picture, int]:
        share = rng.random()
        if self.plates is None or share < 0.40:
            kind = self.kinds[int(np.searchsorted(self.kind_shares, rng.random()))]
            mounted, drawn = self.drawn.mounted(kind, rng)
            # The whole plate is looked at, never its rows apart.
            mounted, name = Mounted(mounted.picture, mounted.core), str(drawn.color)
        elif share < 0.72 or self.patches is None:
            name = list(self.by_color)[int(np.searchsorted(self.color_shares, rng.random()))]
            mounted = Mounted(self.plates.canvases[int(rng.choice(self.by_color[name]))], CORE)
        else:
            name = "not_a_plate"
            patch = self.patches[int(rng.integers(len(self.patches)))]
            mounted = Mounted(patch, (10.0, 5.0, CANVAS_PX[0] - 10.0, CANVAS_PX[1] - 5.0))
        picture = photograph(mounted, INPUT_PX, rng, _HARSH)
        return picture, CLASSES.index(name)


def normalised(pictures: Tensor) -> Tensor:
    """``uint8 (N, H, W, 3)`` → ``float32 (N, 3, H, W)`` in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def dev_plates(data: Path) -> tuple[Picture, list[str], list[str]]:
    """Plates of the public benchmark with a known colour: pictures, colours, groups."""
    pictures, colors, groups = [], [], []
    for line in (data / "dev/scenes.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        image = None
        for plate in row["plates"]:
            color = (plate["color"] or "unknown").split("(")
            name = "yellow_green" if "yellow-green" in color[-1] else color[0]
            if plate["quad"] is None or name not in CLASSES or "one det" in plate["label"]:
                continue
            image = cv2.imread(str(data / row["file"])) if image is None else image
            quad = Quad(*((float(x), float(y)) for x, y in plate["quad"]))
            pictures.append(rectify_whole(image, quad, INPUT_PX))
            colors.append(name)
            groups.append(row["group"])
    return np.stack(pictures), colors, groups


def report(net: nn.Module, sets: dict[str, tuple[Picture, list[str]]]) -> dict[str, float]:
    """Share of right answers per set and colour."""
    shares: dict[str, float] = {}
    for set_name, (pictures, colors) in sets.items():
        with torch.inference_mode():
            best = net(normalised(torch.from_numpy(pictures))).argmax(-1).numpy()
        right = np.array([CLASSES[b] == c for b, c in zip(best, colors, strict=True)])
        shares[set_name] = round(float(right.mean()), 4)
        for color in sorted(set(colors)):
            mask = np.array([c == color for c in colors])
            shares[f"{set_name}/{color} ({mask.sum()})"] = round(float(right[mask].mean()), 4)
    return shares


def averaged(mean: AveragedWeights) -> ColorNet:
    """A network with the averaged weights, ready to answer."""
    net = ColorNet()
    net.load_state_dict(mean.state)
    return net.eval()


def _replayed(
    batches: Iterable[tuple[Tensor, Tensor]], rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every batch once when it is new and about three times later: making it costs most."""
    kept: list[tuple[Tensor, Tensor]] = []
    for new in batches:
        yield new
        kept.append(new)
        if len(kept) > _KEPT_BATCHES:
            kept.pop(int(rng.integers(_KEPT_BATCHES)))
        for _ in range(3 if len(kept) >= _FEWEST_KEPT else 0):
            yield kept[int(rng.integers(len(kept)))]


def train(
    args: argparse.Namespace, batches: Batches, sets: dict[str, Any], folder: Path
) -> ColorNet:
    """The loop, resumable from ``folder``."""
    net = ColorNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.01)
    mean, step = AveragedWeights(net), 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        mean.state, step = state["mean"], state["step"]
        batches.seed += step
    journal = Journal(folder / "metrics.jsonl", args.steps, step)
    loader = DataLoader(batches, batch_size=None, num_workers=args.workers)
    began, first = time.monotonic(), step
    loss_of: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()
    for pictures, classes in _replayed(loader, np.random.default_rng(args.seed + step)):
        if step >= args.steps:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.rate)
        loss = loss_of(net(normalised(pictures)), classes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        mean.update(net, step)
        if step % args.score_every == 0 or step == args.steps:
            shares = report(averaged(mean), sets)
            speed = round((step - first) * args.batch / (time.monotonic() - began))
            loss_now = round(float(loss.detach()), 4)
            main = {k: v for k, v in shares.items() if "/" not in k}
            journal.write(step, loss=loss_now, crops_per_s=speed, scores=shares, **main)
            state = {"net": net.state_dict(), "mean": mean.state, "step": step}
            save_checkpoint(checkpoint, **state, optimiser=optimiser.state_dict())
    return averaged(mean)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, name="color", steps=4_000, batch=128, rate=3e-3)
    args = parse(parser)
    torch.set_num_threads(args.threads)
    seed_everything(args.seed)
    folder = args.runs / args.name
    folder.mkdir(parents=True, exist_ok=True)
    plates = real_plates(args)
    drawn = DrawnSource(glyph_source(args), plates)
    patches, sets = None, {}
    if args.data is not None:
        patches = patches_without_plates(args.data, args.seed)
        held = patches[::10].copy()
        patches = np.delete(patches, np.arange(0, len(patches), 10), axis=0)
        small = np.stack([cv2.resize(p, INPUT_PX, interpolation=cv2.INTER_AREA) for p in held])
        pictures, colors, _ = dev_plates(args.data)
        sets = {"dev": (pictures, colors), "patches": (small, ["not_a_plate"] * len(small))}
    net = train(args, Batches(drawn, plates, patches, args), sets, folder)
    if args.export is not None:
        file = args.export / "color.onnx"
        export_onnx(FromBytes(net), file, INPUT_PX, "colors", from_bytes=True)


if __name__ == "__main__":
    main()
