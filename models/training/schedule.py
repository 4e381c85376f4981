"""What every training run here shares: seeds, learning rate, averaged weights, log, checkpoint."""

import json
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


def seed_everything(seed: int) -> None:
    """Fix all generators that training draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries still draw from it)
    torch.manual_seed(seed)


def learning_rate(step: int, steps: int, peak: float, warmup: int = 300) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    warmup = min(warmup, max(1, steps // 50))
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class AveragedWeights:
    """An exponential moving average of a network's weights and statistics."""

    def __init__(self, net: nn.Module, decay: float = 0.998) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take one step's weights in; early steps are forgotten faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            mean = self.state[name]
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


class Journal:
    """Metrics as JSON lines, and the same shortly on the screen with the time that is left."""

    def __init__(self, path: Path, steps: int, first: int) -> None:
        self.path, self.steps, self.first = path, steps, first
        self.began = time.monotonic()

    def write(self, step: int, **values: Any) -> None:
        """One line."""
        passed = time.monotonic() - self.began
        done = max(1, step - self.first)
        eta_s = round(passed / done * (self.steps - step))
        row = {"step": step, "eta_s": eta_s, **values}
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
        shown = " ".join(f"{k}={v}" for k, v in row.items() if not isinstance(v, dict))
        print(f"{shown} of {self.steps}", flush=True)


def save_checkpoint(path: Path, **state: Any) -> None:
    """Write a checkpoint so that an interruption leaves the former one whole."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
