"""Find what the labels of the training frames leave out, with a detector trained before.

``python -m models.training.detector_mine --weights RUN/last.pt --found FILE ...`` writes, for each
frame looked at, the regions where the detector is sure of a plate that no label explains. Given to
the training as ``--mined FILE``, they teach nothing: most are small plates that nobody labelled,
and to learn them as background would teach the network to overlook such plates. Frames that were
not looked at are then left out of the training.
"""

import argparse
import json
import random
from pathlib import Path

import cv2
import torch

from models.training.detector_eval import box_iou, find
from models.training.detector_net import PlateNet
from models.training.detector_sources import Sources
from models.training.plate_scenes import Scene, frame_key

_EXPLAINED_IOU = 0.15


def unexplained(net: PlateNet, scene: Scene, threshold: float) -> list[list[list[float]]]:
    """Corners of the sure finds in a frame that no label and no ignored region explains."""
    known = [plate.corners for plate in scene.plates] + list(scene.ignored)
    return [
        [[round(float(v), 1) for v in corner] for corner in found.corners]
        for found in find(net, scene.image(), threshold)
        if all(box_iou(found.corners, corners) < _EXPLAINED_IOU for corners in known)
    ]


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
    regions: dict[str, list] = {}
    for name, scenes in Sources.real(given.data, given.ccpd, given.cache, None).scenes.items():
        if name == "negative":
            continue  # they are known to show none
        chosen = random.Random(1).sample(scenes, min(given.most, len(scenes)))
        for number, scene in enumerate(chosen):
            regions[frame_key(scene)] = unexplained(net, scene, given.threshold)
            if number % 500 == 499:
                print(f"{name}: {number + 1} of {len(chosen)}", flush=True)
    given.found.parent.mkdir(parents=True, exist_ok=True)
    given.found.write_text(json.dumps(regions), encoding="utf-8")
    count = sum(len(found) for found in regions.values())
    print(f"{count} unexplained finds in {len(regions)} frames")


if __name__ == "__main__":
    main()
