"""Average recognisers: ``python -m models.training.averaging CHECKPOINT... --export models/plate_rec``.

Runs that were begun from one another stay near enough for the mean of their weights to read as well
as each of them and to be right where only most of them are ("model soup", Wortsman et al. 2022). With
``--checkpoint FILE`` the mean is written as a checkpoint, from which a further run may begin
(``--from FILE``).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.training.export import export_onnx, write_inference_yml
from models.training.network_recogniser import INPUT_PX, RecogniserNet, WithSoftmax
from models.training.recogniser import CLASSES

State = dict[str, Tensor]


def mean_of(states: Sequence[State]) -> State:
    """The mean of some networks' weights and statistics, each entry in its own type.

    Raises:
        ValueError: the networks differ in their entries or their shapes.
    """
    first = states[0]
    shapes = {name: value.shape for name, value in first.items()}
    if any({name: value.shape for name, value in s.items()} != shapes for s in states):
        raise ValueError("these checkpoints are of different networks")
    return {
        name: torch.stack([s[name].double() for s in states]).mean(0).to(first[name].dtype)
        for name in first
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.averaging", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoints", type=Path, nargs="+", help="checkpoint.pt of runs")
    parser.add_argument("--export", type=Path, help="write the network into this folder")
    parser.add_argument("--checkpoint", type=Path, help="write the mean as a checkpoint")
    options = parser.parse_args(arguments)
    mean = mean_of([torch.load(f, weights_only=True)["mean"] for f in options.checkpoints])
    if options.checkpoint is not None:
        torch.save({"mean": mean}, options.checkpoint)
    if options.export is not None:
        net = RecogniserNet(CLASSES).to(memory_format=torch.channels_last)
        net.load_state_dict(mean)
        options.export.mkdir(parents=True, exist_ok=True)
        export_onnx(
            WithSoftmax(net.eval()), options.export / "inference.onnx", INPUT_PX, "probabilities"
        )
        write_inference_yml(options.export / "inference.yml", INPUT_PX)


if __name__ == "__main__":
    main()
