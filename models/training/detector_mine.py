"""Find what the labels of the training frames leave out, with a detector trained before.

``python -m models.training.detector_mine --weights RUN/last.pt --found FILE ...`` looks through
training frames for sure finds that no label explains. What may be a plate that nobody labelled
teaches nothing, for to learn it as background would teach the network to overlook plates. All else (badges, lamps, numbers of parking bays) is a *lure*. Given to the
training as ``--mined FILE``, frames with lures are shown more often, and the lures are looked at.
"""

import argparse
import json
import random
from pathlib import Path

import cv2
import torch

from anpr import PlateReader, load_reader
from anpr.plate import PlateColor, PlateKind
from anpr.types import Detection, Image, Quad
from models.training.detector_eval import Found, box_iou, find
from models.training.detector_net import PlateNet
from models.training.detector_sources import Sources
from models.training.plate_scenes import Scene, frame_key

_EXPLAINED_IOU = 0.15
_FOREIGN_READ_FROM = 0.25


def unexplained(net: PlateNet, scene: Scene, threshold: float) -> list[Found]:
    """The sure finds in a frame that no label and no ignored region explains."""
    known = [plate.corners for plate in scene.plates] + list(scene.ignored)
    return [
        found
        for found in find(net, scene.image(), threshold)
        if all(box_iou(found.corners, corners) < _EXPLAINED_IOU for corners in known)
    ]


def may_be_plate(reader: PlateReader, image: Image, found: Found) -> bool:
    """Whether a plate is there, or something too much like one to be called none.

    That is what reads like a Chinese plate or like a foreign one of letters and digits, and what is
    blue and unread: a far plate as often as a badge.
    """
    corners = ((x, y) for x, y in found.corners.tolist())
    reads = reader.read_detections(image, [Detection(Quad(*corners), found.score, found.rows)])
    for read in reads:
        if read.kind is PlateKind.FOREIGN:
            mixed = not read.text.isdigit() and any(c.isdigit() for c in read.text)
            if mixed and read.score >= _FOREIGN_READ_FROM:
                return True
        elif read.kind is not PlateKind.UNKNOWN or read.color is PlateColor.BLUE:
            return True
    return False


def sort_finds(reader: PlateReader, scene: Scene, found: list[Found]) -> dict[str, list]:
    """The finds of one frame as ``{"plates": [corners], "lures": [corners]}``."""
    sorted_finds: dict[str, list] = {"plates": [], "lures": []}
    for one in found:
        corners = [[round(float(v), 1) for v in corner] for corner in one.corners]
        name = "plates" if may_be_plate(reader, scene.image(), one) else "lures"
        sorted_finds[name].append(corners)
    return sorted_finds


def main() -> None:
    """Parse the command line and look through the frames."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ccpd", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="last.pt of a finished run")
    parser.add_argument("--found", type=Path, required=True, help="the file to write")
    parser.add_argument("--threshold", type=float, default=0.6)
    parser.add_argument("--most", type=int, default=3000, help="frames of each source to look at")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(1)
    net = PlateNet()
    net.load_state_dict(torch.load(given.weights, weights_only=True)["averaged"])
    net.eval()
    reader = load_reader(recogniser="onnxruntime")
    finds: dict[str, dict[str, list]] = {}
    for name, scenes in Sources.real(given.data, given.ccpd, given.cache, None).scenes.items():
        if name == "negative":
            continue  # they are known to show none
        chosen = random.Random(1).sample(scenes, min(given.most, len(scenes)))
        for number, scene in enumerate(chosen):
            found = unexplained(net, scene, given.threshold)
            if found:
                finds[frame_key(scene)] = sort_finds(reader, scene, found)
            if number % 500 == 499:
                print(f"{name}: {number + 1} of {len(chosen)}", flush=True)
    given.found.parent.mkdir(parents=True, exist_ok=True)
    given.found.write_text(json.dumps(finds), encoding="utf-8")
    for name in ("plates", "lures"):
        count = sum(len(found[name]) for found in finds.values())
        print(f"{count} {name} that no label explains")


if __name__ == "__main__":
    main()
