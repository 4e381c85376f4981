"""What the reader's tests share: hand-made lattices and tiny networks that need no training."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from anpr.ctc import Lattice
from anpr.plate import RECOGNISER_ALPHABET

ALPHABET = ("", *RECOGNISER_ALPHABET)
INDEX = {char: i for i, char in enumerate(ALPHABET) if char}


def _lattice(
    places: Sequence[Mapping[str, float] | str],
    at: Sequence[float] | None = None,
    steps: int = 40,
) -> Lattice:
    """A peaky lattice with one peak for each place.

    A place is a character or a mapping of characters to probabilities; what is missing from 1 is
    blank. ``at`` are the centres of the places along the lattice, evenly spread by default.
    """
    p = np.zeros((steps, len(ALPHABET)))
    p[:, 0] = 1.0
    centres = at or [(k + 0.5) / len(places) for k in range(len(places))]
    for place, centre in zip(places, centres, strict=True):
        options = {place: 0.9999} if isinstance(place, str) else place
        step = int(centre * steps)
        for char, probability in options.items():
            p[step, INDEX[char]] = probability
        p[step, 0] = 1.0 - sum(options.values())
    return Lattice(p.astype(np.float32), ALPHABET)


@pytest.fixture(scope="session")
def make_lattice():
    """A lattice from what is considered in each place: see ``_lattice``."""
    return _lattice
