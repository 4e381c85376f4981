"""Several reads of one vehicle become one plate: characters first, grammar last. Pure.

Each read votes for each character with its own score and with its alternatives; reads of another
length are aligned first. The grammar then chooses among the few texts that the votes leave open,
and a character is claimed only where enough reads agree. The order of the reads means nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import fsum, prod

from anpr.plate import (
    UNREAD,
    Hypothesis,
    PlateColor,
    PlateKind,
    claims_too_little,
    decode,
    distance,
    parse,
)
from anpr.types import Character, PlateRead
from checkpoint_agent.tracker import DIFFERENT, apart
from server.wire import PlateState

_OPEN_PLACES = 3
_OPEN_SHARE = 0.1
"""A runner-up with at least this share of the votes is offered to the grammar."""
_CLAIMED_ALONE = 0.9
"""Score of a character that a lone doubtful read still claims."""
_LONGEST = 16
_ALTERNATIVES = 5
_LEGAL_WORTH = 5.0

_Tally = dict[str, float]
"""Character → share of the votes for one place, adding up to at most 1."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What the reads of a vehicle say together."""

    state: PlateState
    text: str
    """The plate; ``?`` in places that are not sure; "" if unread."""
    score: float
    """How sure the text is as a whole, [0, 1]."""
    kind: PlateKind
    color: PlateColor
    characters: tuple[Character, ...]
    votes: int
    """Reads that agree with every claimed character."""


def vote(reads: Sequence[PlateRead], *, sure_reads: int, sure_alone_score: float) -> Vote:
    """The plate that several reads of one vehicle agree on.

    Args:
        reads: In any order; reads without text are allowed and say nothing.
        sure_reads: A character is claimed if so many reads agree on it.
        sure_alone_score: A lone read of a higher score is claimed whole; 1 = none is.
    """
    group = _agreeing_group([read for read in reads if read.text and len(read.text) <= _LONGEST])
    if not group:
        color = _most(_colors(reads)) if reads else PlateColor.UNKNOWN
        return Vote("unread", "", 0.0, PlateKind.UNKNOWN, color, (), 0)
    template = _template(group)
    lined_up = [(read, aligned(template, read)) for read in group]
    tallies = [_tally(lined_up, place) for place in range(len(template))]
    colors = _colors(group)
    text = _by_grammar(tallies, colors)
    claimed = [
        char
        if _is_claimed(char, place, lined_up, sure_reads=sure_reads, alone=sure_alone_score)
        else UNREAD
        for place, char in enumerate(text)
    ]
    if len(group) < sure_reads and UNREAD not in claimed and group[0].score <= sure_alone_score:
        claimed[_weakest(text, tallies)] = UNREAD
    return _as_vote(text, "".join(claimed), tallies, lined_up, colors)


def _agreeing_group(reads: Sequence[PlateRead]) -> list[PlateRead]:
    """The reads around the text with the most support, best first."""
    if not reads:
        return []
    support = {
        text: fsum(read.score * max(0.0, 1 - apart(text, read.text) / DIFFERENT) for read in reads)
        for text in {read.text for read in reads}
    }
    centre = max(support, key=lambda text: (support[text], text))
    near = [read for read in reads if apart(centre, read.text) < DIFFERENT]
    return sorted(near, key=lambda r: (-r.score, r.text, r.color, repr(r.characters)))


def _template(group: Sequence[PlateRead]) -> str:
    """The best text of the length that has the most votes.

    Characters are lost more often than they are gained, so a length that makes a legal plate
    outweighs one that makes none; what only few then saw is left open.
    """
    weights: dict[int, list[float]] = {}
    for read in group:
        worth = _LEGAL_WORTH if parse(read.text, read.color).is_legal else 1.0
        weights.setdefault(len(read.text), []).append(read.score * worth)
    length = max(weights, key=lambda n: (fsum(weights[n]), n))
    return next(read.text for read in group if len(read.text) == length)


def aligned(template: str, read: PlateRead) -> tuple[Character | None, ...]:
    """The character of a read for each place of a template, ``None`` where it has none.

    Least edit distance with the costs of misreading; of equal ways the one that keeps to the
    left.
    """
    text = read.text
    if len(text) == len(template):
        return read.characters if len(read.characters) == len(text) else (None,) * len(template)
    if len(read.characters) != len(text):
        return (None,) * len(template)
    rows, columns = len(template), len(text)
    cost = [[float(i + j) for j in range(columns + 1)] for i in range(rows + 1)]
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            cost[i][j] = min(
                cost[i - 1][j - 1] + distance(template[i - 1], text[j - 1]),
                cost[i - 1][j] + 1,
                cost[i][j - 1] + 1,
            )
    places: list[Character | None] = [None] * rows
    i, j = rows, columns
    while i and j:
        if cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        elif cost[i][j] == cost[i][j - 1] + 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            places[i] = read.characters[j]
    return tuple(places)


_LinedUp = Sequence[tuple[PlateRead, tuple[Character | None, ...]]]


def _tally(lined_up: _LinedUp, place: int) -> _Tally:
    """The shares of the votes for one place."""
    total = fsum(read.score for read, _ in lined_up)
    ballots: dict[str, list[float]] = {}
    for read, characters in lined_up:
        character = characters[place]
        if character is None:
            continue
        if character.char != UNREAD:
            ballots.setdefault(character.char, []).append(read.score * character.score)
        for char, score in character.alternatives:
            ballots.setdefault(char, []).append(read.score * score)
    if total <= 0:
        return {char: 1 / len(ballots) for char in ballots}
    return {char: min(1.0, fsum(weights) / total) for char, weights in ballots.items()}


def _by_grammar(tallies: Sequence[_Tally], colors: dict[PlateColor, float]) -> str:
    """The text that votes and grammar make together; as long as there are places."""
    ranked = [
        sorted(tally.items(), key=lambda item: (-item[1], item[0])) or [(UNREAD, 1.0)]
        for tally in tallies
    ]
    doubt = {
        place: options[1][1] / options[0][1]
        for place, options in enumerate(ranked)
        if len(options) > 1 and options[0][1] > 0 and options[1][1] >= _OPEN_SHARE
    }
    open_places = set(sorted(doubt, key=lambda place: (-doubt[place], place))[:_OPEN_PLACES])
    options = [
        options[:2] if place in open_places else options[:1] for place, options in enumerate(ranked)
    ]
    texts = {
        "".join(char for char, _ in choice): prod(share for _, share in choice)
        for choice in product(*options)
    }
    total = fsum(texts.values())
    plain = "".join(options[0][0] for options in ranked)
    if total <= 0:
        return plain
    decoded = decode(
        [Hypothesis(text, weight / total) for text, weight in sorted(texts.items())], colors
    )
    return decoded.number.text if len(decoded.number.text) == len(tallies) else plain


def _is_claimed(
    char: str, place: int, lined_up: _LinedUp, *, sure_reads: int, alone: float
) -> bool:
    """Whether enough reads agree on a character to claim it, and not fewer than contradict it."""
    if char == UNREAD:
        return False
    said = [
        (read, character)
        for read, characters in lined_up
        if (character := characters[place]) is not None and character.char != UNREAD
    ]
    agreeing = [(read, character) for read, character in said if character.char == char]
    if len(lined_up) >= sure_reads:
        weight = fsum(read.score for read, _ in agreeing)
        return len(agreeing) >= sure_reads and 2 * weight > fsum(read.score for read, _ in said)
    if lined_up[0][0].score > alone:
        return bool(agreeing)
    return any(character.score >= _CLAIMED_ALONE for _, character in agreeing)


def _weakest(text: str, tallies: Sequence[_Tally]) -> int:
    return min(range(len(text)), key=lambda place: (tallies[place].get(text[place], 0.0), place))


def _as_vote(
    text: str,
    claimed: str,
    tallies: Sequence[_Tally],
    lined_up: _LinedUp,
    colors: dict[PlateColor, float],
) -> Vote:
    number = parse(claimed, _most(colors))
    if claims_too_little(claimed):
        return Vote("unread", "", 0.0, PlateKind.UNKNOWN, number.color, (), 0)
    characters = tuple(
        _character(claimed[place], text[place], tally) for place, tally in enumerate(tallies)
    )
    agreeing = [read for read, places in lined_up if _agrees(claimed, places)]
    share = fsum(read.score for read in agreeing) / (fsum(r.score for r, _ in lined_up) or 1.0)
    best = max((read.score for read in agreeing), default=0.0)
    state: PlateState = "partial" if UNREAD in claimed else "read"
    return Vote(
        state=state,
        text=claimed,
        score=min(1.0, share * best),
        kind=number.kind,
        color=number.color,
        characters=characters,
        votes=len(agreeing),
    )


def _character(claimed: str, voted: str, tally: _Tally) -> Character:
    others = sorted(
        ((char, share) for char, share in tally.items() if char != claimed),
        key=lambda item: (-item[1], item[0]),
    )
    return Character(claimed, tally.get(voted, 0.0), tuple(others[:_ALTERNATIVES]))


def _agrees(claimed: str, places: Sequence[Character | None]) -> bool:
    return all(
        char == UNREAD or (place is not None and place.char == char)
        for char, place in zip(claimed, places, strict=True)
    )


def _colors(reads: Sequence[PlateRead]) -> dict[PlateColor, float]:
    """Colour → share of the votes; empty if no read knows."""
    weights: dict[PlateColor, list[float]] = {}
    for read in reads:
        if read.color is not PlateColor.UNKNOWN:
            weights.setdefault(read.color, []).append(max(read.score, 0.01))
    total = fsum(weight for ballots in weights.values() for weight in ballots)
    return {color: fsum(ballots) / total for color, ballots in sorted(weights.items())}


def _most(colors: dict[PlateColor, float]) -> PlateColor:
    return max(colors, key=lambda color: (colors[color], color)) if colors else PlateColor.UNKNOWN
