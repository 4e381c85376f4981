"""Whether a vehicle that was seen is one that is looked for: the same code on box and server.

Pure: no clock, no disk, no network. :class:`WatchIndex` finds in microseconds which entries may be
meant; :func:`judge` says whether one is, and why.
"""

from anpr.watch.index import Indexed, WatchIndex
from anpr.watch.judging import Match, Seen, Watched, fits, judge
from anpr.watch.likeness import Alternative, Difference, Glyph, likely_instead, misreads_of
from anpr.watch.patterns import Shape, is_shaped, shape_of
from anpr.watch.reading import seen_of

__all__ = [
    "Alternative",
    "Difference",
    "Glyph",
    "Indexed",
    "Match",
    "Seen",
    "Shape",
    "WatchIndex",
    "Watched",
    "fits",
    "is_shaped",
    "judge",
    "likely_instead",
    "misreads_of",
    "seen_of",
    "shape_of",
]
