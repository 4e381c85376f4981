"""Train the recogniser: ``python -m models.training.recogniser --data ../shared/data --ccpd DIR``.

Resumable: started again with the same ``--runs`` folder it goes on where it stopped. ``--quick``
trains a few steps on drawn plates only, to show that everything fits together.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from anpr.plate import RECOGNISER_ALPHABET, PlateKind
from models.training.command import add_arguments, glyph_source, parse, real_plates
from models.training.crop_scores import Crop, Scores, labelled_crops, score
from models.training.drawn_plates import KIND_SHARES, DrawnSource
from models.training.export import export_onnx, write_inference_yml
from models.training.foreign_relettering import ForeignSource
from models.training.network_recogniser import (
    INPUT_PX,
    TIME_STEPS,
    RecogniserNet,
    WithSoftmax,
)
from models.training.plate_crops import BlankSource, GlyphMasks, Mixture, real_mixture
from models.training.schedule import (
    AveragedWeights,
    Journal,
    learning_rate,
    save_checkpoint,
    seed_everything,
)

CLASSES = 1 + len(RECOGNISER_ALPHABET)
DRAWN_SHARE = 0.5
_DRAWN_OF_FOREIGN = 0.12
"""Weight of drawn plates beside the 0.22 of real ones where only foreign plates are learnt."""
"""Part of the crops that are drawn plates."""
_INDEX = {char: i + 1 for i, char in enumerate(RECOGNISER_ALPHABET)}


class Batches(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless batches ``(pictures uint8 (N, 40, 144, 3), targets, lengths)``."""

    def __init__(self, mixture: Mixture, batch: int, seed: int) -> None:
        self.mixture, self.batch, self.seed = mixture, batch, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Each worker draws from its own generator."""
        import cv2  # noqa: PLC0415 (per worker: its thread pool must not be inherited)

        cv2.setNumThreads(0)
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        while True:
            pictures = np.empty((self.batch, INPUT_PX[1], INPUT_PX[0], 3), np.uint8)
            targets: list[int] = []
            lengths = []
            for i in range(self.batch):
                pictures[i], text = self.mixture.crop(rng)
                targets += [_INDEX[char] for char in text]
                lengths.append(len(text))
            yield torch.from_numpy(pictures), torch.tensor(targets), torch.tensor(lengths)


def normalised(pictures: Tensor) -> Tensor:
    """``uint8 (N, H, W, 3)`` → ``float32 (N, 3, H, W)`` in [-1, 1], channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


@dataclass(slots=True)
class Run:
    """Everything that a checkpoint holds."""

    net: RecogniserNet
    mean: AveragedWeights
    optimiser: torch.optim.Optimizer
    step: int = 0

    def state(self) -> dict[str, Any]:
        """For ``save_checkpoint``."""
        return {
            "net": self.net.state_dict(),
            "mean": self.mean.state,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }


def new_run(peak: float) -> Run:
    """Fresh weights."""
    net = RecogniserNet(CLASSES).to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return Run(net, AveragedWeights(net), torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98)))


def resume(run: Run, folder: Path, first_weights: Path | None) -> None:
    """Take up the folder's checkpoint, or else another run's averaged weights, or nothing."""
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        run.net.load_state_dict(state["net"])
        run.mean.state = state["mean"]
        run.optimiser.load_state_dict(state["optimiser"])
        run.step = state["step"]
    elif first_weights is not None:
        state = torch.load(first_weights, weights_only=True)
        run.net.load_state_dict(state["mean"])
        run.mean = AveragedWeights(run.net)


def train_step(run: Run, batch: tuple[Tensor, Tensor, Tensor], rate: float) -> float:
    """One step of gradient descent; returns the loss."""
    pictures, targets, lengths = batch
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    logits = run.net(normalised(pictures))
    scores = logits.log_softmax(-1).transpose(0, 1)
    steps = torch.full((pictures.shape[0],), TIME_STEPS, dtype=torch.long)
    losses = nn.functional.ctc_loss(
        scores, targets, steps, lengths, reduction="none", zero_infinity=True
    )
    loss = (losses / lengths.clamp(min=4)).mean()
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.net.parameters(), 2.0)
    run.optimiser.step()
    run.step += 1
    run.mean.update(run.net, run.step)
    return float(loss.detach())


def reader_of(run: Run) -> RecogniserNet:
    """A network with the averaged weights, ready to read."""
    net = RecogniserNet(CLASSES).to(memory_format=torch.channels_last)
    net.load_state_dict(run.mean.state)
    return net.eval()


def evaluate(net: RecogniserNet, crops: list[Crop]) -> Scores:
    """Score the network on crops."""

    def read(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return net(normalised(torch.from_numpy(pictures))).softmax(-1).numpy()

    return score(crops, read)


def is_chinese_street(group: str) -> bool:
    """Groups of the public benchmark that count together: no overlay, read by people."""
    return "overlay" not in group and "machine" not in group and "special" not in group


def report(run: Run, validation: dict[str, list[Crop]], folder: Path) -> dict[str, float]:
    """Score the averaged weights on all validation sets; misses go to a file."""
    net = reader_of(run)
    shares: dict[str, float] = {}
    with (folder / "misses.jsonl").open("w", encoding="utf-8") as out:
        for name, crops in validation.items():
            scores = evaluate(net, crops)
            shares[name] = round(scores.share(is_chinese_street), 4)
            for group, count in sorted(scores.count.items()):
                shares[f"{name}/{group}"] = round(scores.right[group] / count, 4)
            for crop, text, sureness in scores.misses:
                row = [name, crop.group, crop.name, crop.text, text, round(sureness, 3)]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return shares


def train(run: Run, loader: DataLoader[Any], args: argparse.Namespace, folder: Path) -> None:
    """The loop: steps, log, checkpoints, scores."""
    validation: dict[str, list[Crop]] = {}
    if args.data is not None:
        validation["dev"] = labelled_crops(args.data, "dev/scenes.jsonl", INPUT_PX)
        validation["dev_moved"] = labelled_crops(args.data, "dev/scenes.jsonl", INPUT_PX, 0.06)
    journal = Journal(folder / "metrics.jsonl", args.steps, run.step)
    losses: list[float] = []
    began = time.monotonic()
    run.net.train()
    for batch in loader:
        if run.step >= args.steps:
            break
        rate = learning_rate(run.step, args.steps, args.rate)
        losses.append(train_step(run, batch, rate))
        if run.step % args.log_every == 0 or run.step == args.steps:
            speed = len(losses) * args.batch / (time.monotonic() - began)
            loss = round(float(np.mean(losses)), 4)
            journal.write(run.step, loss=loss, rate=round(rate, 6), crops_per_s=round(speed))
            losses, began = [], time.monotonic()
        if run.step % args.score_every == 0 or run.step == args.steps:
            shares = report(run, validation, folder)
            main = {k: v for k, v in shares.items() if "/" not in k}
            journal.write(run.step, scores=shares, **main)
            save_checkpoint(folder / "checkpoint.pt", **run.state())
            began = time.monotonic()


def mixture_for(args: argparse.Namespace) -> Mixture:
    """The training data that the arguments ask for."""
    plates, glyphs = real_plates(args), glyph_source(args)
    shares = KIND_SHARES | {PlateKind.FOREIGN: args.foreign}
    if args.only_foreign:
        shares = {PlateKind.FOREIGN: 1.0}
    drawn = DrawnSource(glyphs, plates, shares=tuple(shares.items()))
    if plates is None:
        return Mixture(((1.0, drawn),))
    real = real_mixture(plates, GlyphMasks(args.data / "glyphs/font_model"), glyphs.typefaces)
    if args.only_foreign:
        foreign = [(share, s) for share, s in real if isinstance(s, ForeignSource | BlankSource)]
        return Mixture(((_DRAWN_OF_FOREIGN, drawn), *foreign))
    return Mixture(((DRAWN_SHARE, drawn), *((share * (1 - DRAWN_SHARE), s) for share, s in real)))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, name="recogniser", steps=30_000, batch=64, rate=2e-3)
    parser.add_argument("--from", dest="first", type=Path, help="checkpoint to begin from")
    parser.add_argument(
        "--foreign",
        type=float,
        default=KIND_SHARES[PlateKind.FOREIGN],
        help="weight of foreign plates among the drawn ones",
    )
    parser.add_argument(
        "--only-foreign", action="store_true", help="train a reader of foreign plates alone"
    )
    args = parse(parser)
    torch.set_num_threads(args.threads)
    seed_everything(args.seed)
    folder = args.runs / args.name
    folder.mkdir(parents=True, exist_ok=True)
    run = new_run(args.rate)
    resume(run, folder, args.first)
    batches = Batches(mixture_for(args), args.batch, args.seed + run.step)
    ahead = 4 if args.workers else None
    loader = DataLoader(batches, batch_size=None, num_workers=args.workers, prefetch_factor=ahead)
    train(run, loader, args, folder)
    if args.export is not None:
        net = WithSoftmax(reader_of(run))
        export_onnx(net, args.export / "inference.onnx", INPUT_PX, "probabilities")
        write_inference_yml(args.export / "inference.yml", INPUT_PX)


if __name__ == "__main__":
    main()
