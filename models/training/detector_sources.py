"""Where training frames come from and in which proportion."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.training.detector_paste import drawn_scene, dress, with_drawn_plates
from models.training.detector_samples import LoadedScene
from models.training.plate_canvas import held_out_foreign_frames
from models.training.plate_scenes import (
    Scene,
    ccpd_scenes,
    general_scenes,
    negative_scenes,
    with_mined,
)
from models.training.rendered_frames import rendered_scenes

_PARTS = {
    "ccpd": 0.34,
    "general": 0.24,
    "foreign": 0.1,
    "small ccpd": 0.06,
    "rendered": 0.12,
    "negative": 0.06,
    "drawn": 0.08,
}
"""Share of each source among the scenes drawn; the general frames are few but varied."""

_NEGATIVES_WITH_PLATES = 0.4
"""Part of the frames without plates that get drawn ones: not the frame, the plate must decide."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Labelled frames by source name; ``drawn`` needs none. Glyphs: folder of official shapes."""

    scenes: dict[str, tuple[Scene, ...]]
    glyphs: Path | None = None

    @staticmethod
    def drawn_only() -> "Sources":
        """No data folder at all: everything is drawn."""
        return Sources({})

    @staticmethod
    def real(data: Path, ccpd: Path | None, cache: Path, mined: Path | None) -> "Sources":
        """All that the folders hold; frames are shrunk into ``cache`` once."""
        general = list(general_scenes(data, cache))
        held_out = {Path(name).stem for name in held_out_foreign_frames(data)}
        by_source = {
            "ccpd": list(ccpd_scenes(data, ccpd, cache)) if ccpd else [],
            "small ccpd": [s for s in general if s.group.startswith("ccpd")],
            "foreign": [
                s for s in general if s.group.startswith("foreign") and s.path.stem not in held_out
            ],
            "general": [s for s in general if s.group.startswith("scenes")],
            "negative": list(negative_scenes(data, cache)),
            "rendered": list(rendered_scenes(cache, data)),
        }
        if mined:
            by_source |= {name: with_mined(scenes, mined) for name, scenes in by_source.items()}
            frames = (scene for scenes in by_source.values() for scene in scenes)
            by_source["lures"] = [scene for scene in frames if scene.lures]
        return Sources(
            {name: tuple(scenes) for name, scenes in by_source.items() if scenes}, data / "glyphs"
        )

    def summary(self) -> str:
        """One line of counts."""
        counts = Counter({name: len(scenes) for name, scenes in self.scenes.items()})
        return ", ".join(f"{n} {name}" for name, n in counts.items()) or "drawn pictures only"


def scene_stream(sources: Sources, rng: np.random.Generator) -> Iterator[LoadedScene]:
    """Endless decoded scenes, some with their plates replaced by drawn ones."""
    names = [n for n in _PARTS if n in sources.scenes] + ["drawn"]
    shares = np.array([_PARTS[n] for n in names])
    shares /= shares.sum()
    while True:
        name = names[int(rng.choice(len(names), p=shares))]
        if name == "drawn":
            yield drawn_scene(sources.glyphs, rng)
            continue
        scenes = sources.scenes[name]
        scene = scenes[int(rng.integers(len(scenes)))]
        loaded = LoadedScene(scene.image(), scene.plates, scene.ignored, scene.lures)
        if scene.plates:
            yield dress(loaded, sources.glyphs, rng, foreign=name == "foreign")
        elif rng.random() < _NEGATIVES_WITH_PLATES:
            yield with_drawn_plates(loaded.image, sources.glyphs, rng)
        else:
            yield loaded
