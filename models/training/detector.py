"""Train the plate detector, from nothing or from where an earlier run stopped.

``python -m models.training.detector --data ../shared/data --ccpd DIR --runs DIR`` trains on real
frames with drawn plates pasted in; ``--quick`` is a run of seconds on drawn pictures alone. What a
run leaves in its folder: ``last.pt`` (everything needed to go on), ``metrics.jsonl`` (one JSON
object a line) and, after every evaluation, ``detector.onnx``.
"""

import argparse
import json
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from models.training.detector_eval import evaluate
from models.training.detector_net import PlateNet, export_onnx, multiply_adds, parameter_count
from models.training.detector_samples import ScenePool, make_targets, random_view
from models.training.detector_sources import Sources, scene_stream

CORNER_LOSS_WEIGHT = 12.0
ROWS_LOSS_WEIGHT = 0.3
SMALL_PLATE_SOFTENING = 1.0
"""Added to a plate's size in strides where errors are divided by it: nobody finds a corner to a
fraction of a pixel."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run; kept in the checkpoint."""

    steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    average: float = 0.998
    seed: int = 1
    views: tuple[tuple[int, int], ...] = ((256, 16), (256, 16), (384, 8), (512, 4))
    """(side in pixels, views a batch), taken in turn."""
    pool: int = 160


class Batches(IterableDataset):
    """An endless stream of batches, a pure function of seed, first step and worker number."""

    def __init__(self, recipe: Recipe, sources: Sources, first_step: int) -> None:
        super().__init__()
        self._recipe, self._sources, self._first_step = recipe, sources, first_step

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield dictionaries of stacked tensors: ``image`` (uint8) and the fields of Targets."""
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        number = worker.id if worker else 0
        rng = np.random.default_rng([self._recipe.seed, self._first_step, number])
        pool = ScenePool(scene_stream(self._sources, rng), self._recipe.pool, rng)
        turn = 0
        while True:
            side, count = self._recipe.views[turn % len(self._recipe.views)]
            turn += 1
            views = [random_view(pool.pick, side, rng) for _ in range(count)]
            targets = [make_targets(view) for view in views]
            batch = {"image": np.stack([view.image.transpose(2, 0, 1) for view in views])}
            for field in fields(targets[0]):
                batch[field.name] = np.stack([getattr(t, field.name) for t in targets])
            yield {name: torch.from_numpy(array) for name, array in batch.items()}


def detector_loss(
    heat: Tensor, quad: Tensor, rows: Tensor, target: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Penalty-reduced focal loss on the heat, L1 in parts of the plate's size on the corners.

    The focal loss is that of "Objects as Points" (alpha 2, beta 4), divided by the number of
    plates; a smooth L1 with a knee at 2 % of the plate's size for the corners; cross-entropy for
    the rows. Shapes as in ``PlateNet`` and ``Targets``.
    """
    plates = target["quad_weight"].sum().clamp(min=1.0)
    truth, probability = target["heat"], torch.sigmoid(heat)
    centre = (truth >= 1.0).float()
    hit = functional.logsigmoid(heat) * (1 - probability).square() * centre
    quiet = functional.logsigmoid(-heat) * probability.square() * (1 - truth).pow(4) * (1 - centre)
    heat_loss = -((hit + quiet) * target["heat_weight"]).sum() / plates
    scale = target["size"] + SMALL_PLATE_SOFTENING
    off = functional.smooth_l1_loss(
        quad / scale, target["quad"] / scale, reduction="none", beta=0.02
    )
    quad_loss = (off.mean(dim=1, keepdim=True) * target["quad_weight"]).sum() / plates
    doubt = functional.binary_cross_entropy_with_logits(rows, target["rows"], reduction="none")
    rows_loss = (doubt * target["rows_weight"]).sum() / plates
    total = heat_loss + CORNER_LOSS_WEIGHT * quad_loss + ROWS_LOSS_WEIGHT * rows_loss
    return {"loss": total, "heat": heat_loss, "quad": quad_loss, "rows": rows_loss}


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a run reports and measures itself."""

    report_every: int = 50
    save_every: int = 200
    evaluate_every: int = 1000
    workers: int = 1
    threshold: float = 0.35
    """Score from which a find counts."""


class Run:
    """One training run and its folder."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        # on a CPU, training is a fifth faster with the channels last in memory
        self.net = PlateNet().to(memory_format=torch.channels_last)
        self.averaged = PlateNet()
        self.averaged.load_state_dict(self.net.state_dict())
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        free = [p for p in self.net.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": free, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
        )
        self.step = 0

    def resume(self) -> bool:
        """Load ``last.pt`` if there is one; the optimiser's state goes with it."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        return True

    def begin_from(self, path: Path) -> None:
        """Start from another run's averaged weights, with a fresh optimiser."""
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["averaged"])
        self.averaged.load_state_dict(state["averaged"])

    def save(self) -> None:
        """Write ``last.pt`` in one move, so that a kill leaves the old or the new file."""
        part = self.folder / "last.pt.part"
        torch.save(
            {
                "net": self.net.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "recipe": asdict(self.recipe),
            },
            part,
        )
        part.replace(self.folder / "last.pt")

    def learn(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        rate = learning_rate(self.recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.net.train()
        image = batch["image"].float().contiguous(memory_format=torch.channels_last) / 255
        losses = detector_loss(*self.net(image), batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._average()
        return {name: float(value.detach()) for name, value in losses.items()} | {
            "learning_rate": rate
        }

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        trained = self.net.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(trained[name], 1 - keep)
            else:
                value.copy_(trained[name])

    def note(self, entry: dict) -> None:
        """Append one line to ``metrics.jsonl``."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that a run stops between two steps."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    run: Run, sources: Sources, data: Path | None, pace: Pace, stopping: threading.Event
) -> None:
    """Go on from ``run.step`` to the recipe's end, reporting, saving and measuring on the way."""
    loader = DataLoader(
        Batches(run.recipe, sources, run.step),
        batch_size=None,
        num_workers=pace.workers,
        prefetch_factor=4 if pace.workers else None,
    )
    began, first = time.monotonic(), run.step
    sums: Counter[str] = Counter()
    for batch in loader:
        if run.step >= run.recipe.steps:
            break
        sums.update(run.learn(batch) | {"steps": 1})
        last = stopping.is_set() or run.step == run.recipe.steps
        if run.step % pace.report_every == 0 or last:
            report(run, sums, (time.monotonic() - began) / (run.step - first))
            sums.clear()
        if run.step % pace.save_every == 0 or last:
            run.save()
        if stopping.is_set():
            print(f"stopped at step {run.step}; the same command goes on from there", flush=True)
            return
        if run.step % pace.evaluate_every == 0 or last:
            finish(run, data, pace.threshold)


def report(run: Run, sums: Counter[str], pace_s: float) -> None:
    """Note the mean losses since the last report, and say how long it will still take."""
    steps = sums["steps"]
    means = {name: round(value / steps, 6) for name, value in sums.items() if name != "steps"}
    run.note({"step": run.step, "seconds_a_step": round(pace_s, 3)} | means)
    losses = "  ".join(f"{name} {means[name]:.3f}" for name in ("loss", "heat", "quad", "rows"))
    left_min = pace_s * (run.recipe.steps - run.step) / 60
    print(
        f"step {run.step}/{run.recipe.steps}  {losses}  {pace_s:.2f} s/step  {left_min:.0f} min left",
        flush=True,
    )


def finish(run: Run, data: Path | None, threshold: float) -> None:
    """Export the averaged weights and, where there is a development set, measure them on it."""
    export_onnx(run.averaged, run.folder / "detector.onnx", {"step": str(run.step)})
    if data is None:
        return
    figures, _ = evaluate(run.averaged, data, data / "dev" / "scenes.jsonl", threshold)
    negatives, _ = evaluate(run.averaged, data, data / "train" / "negative.jsonl", threshold)
    extra = negatives["all but overlay"]["extra"]
    run.note({"step": run.step, "development": figures, "extra_on_negatives": extra})
    print(
        f"dev {json.dumps(figures['all but overlay'])}  false plates on negatives: {extra:.0f}",
        flush=True,
    )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the imagery folder (train/, dev/, glyphs/)")
    parser.add_argument("--ccpd", type=Path, help="folder of the full-size CCPD pictures")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where runs keep their state"
    )
    parser.add_argument("--cache", type=Path, help="shrunken frames (default: RUNS/cache)")
    parser.add_argument("--name", default="detector", help="folder of this run inside RUNS")
    parser.add_argument("--begin", type=Path, help="start from the weights of this last.pt")
    parser.add_argument("--mined", type=Path, help="regions to ignore, as written by detector_mine")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--evaluate-every", type=int, default=1000)
    parser.add_argument(
        "--threshold", type=float, default=0.35, help="score from which a find counts"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny run on drawn pictures only")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(1)
    if given.quick:
        recipe = Recipe(
            steps=min(given.steps, 8), warmup_steps=2, views=((160, 4),), pool=6, seed=given.seed
        )
        sources, workers, data = Sources.drawn_only(), 0, None
    else:
        if given.data is None:
            parser.error("--data is needed (or --quick)")
        recipe = Recipe(steps=given.steps, learning_rate=given.learning_rate, seed=given.seed)
        cache = given.cache or given.runs / "cache"
        sources, workers, data = (
            Sources.real(given.data, given.ccpd, cache, given.mined),
            given.workers,
            given.data,
        )
    run = Run(given.runs / given.name, recipe)
    if not run.resume() and given.begin:
        run.begin_from(given.begin)
    size = f"{parameter_count(run.net):,} parameters, {multiply_adds(run.net, 384, 640) / 1e6:.0f} M multiply-adds at 640x384"
    print(f"{size}; {sources.summary()}; starting at step {run.step}", flush=True)
    pace = Pace(
        report_every=2 if given.quick else 50,
        evaluate_every=given.evaluate_every,
        workers=workers,
        threshold=given.threshold,
    )
    with stop_signals() as stopping:
        train(run, sources, data, pace, stopping)


if __name__ == "__main__":
    main()
