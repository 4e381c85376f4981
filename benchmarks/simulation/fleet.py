"""Who drives: vehicles with plates, colors, homes and habits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anpr.plate.vocabulary import PROVINCES, RECOGNISER_ALPHABET
from benchmarks.simulation.city import City, Floats, Ints
from benchmarks.simulation.plan import Plan
from benchmarks.simulation.routes import VARIANTS

COMMUTER, PRIVATE, LORRY, BUS, TAXI, TRANSIT, NIGHT, CONVOY, CLONE = range(9)
CLASSES = ("commuter", "private", "lorry", "bus", "taxi", "transit", "night", "convoy", "clone")
_SHARES = (0.62, 0.17, 0.07, 0.02, 0.03, 0.08, 0.01)
KINDS = ("small", "new_energy_small", "large")
COLOR_OF_KIND = ("blue", "green", "yellow")
VEHICLE_COLORS = ("white", "black", "grey", "silver", "red", "blue", "brown", "green", "yellow")
_COLOR_SHARES = (0.34, 0.18, 0.14, 0.12, 0.07, 0.07, 0.05, 0.02, 0.01)

Codes = NDArray[np.uint8]
CODE = {char: number for number, char in enumerate(RECOGNISER_ALPHABET)}
BLANK = 255
"""Fills a plate of seven characters up to eight."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """One row a vehicle; ``codes`` (vehicles, 8): places in RECOGNISER_ALPHABET, 255 = none.

    ``plate_of`` is the vehicle whose plate it carries: its own number unless it is a clone.
    ``home``/``work`` are zones. ``kind``/``color`` index :data:`KINDS` and
    :data:`VEHICLE_COLORS`; ``registered_*`` what the register says of its plate. ``leader`` is
    the vehicle that a convoy's follower follows, else -1.
    """

    role: Ints
    home: Ints
    work: Ints
    variant: Ints
    kind: Ints
    color: Ints
    registered_kind: Ints
    registered_color: Ints
    codes: Codes
    plate_of: Ints
    leader: Ints
    hides: NDArray[np.bool_]
    fake: NDArray[np.bool_]
    pace: Floats
    """Mean factor on travel times."""


def make_fleet(rng: np.random.Generator, plan: Plan, city: City) -> Fleet:
    """All vehicles: those of the plan first, then followers, then clones."""
    base = plan.vehicles
    sizes = rng.integers(1, 4, plan.convoys)
    followers, clones = int(sizes.sum()), plan.clones
    count = base + followers + clones
    role = np.concatenate([
        rng.choice(len(_SHARES), base, p=_SHARES),
        np.full(followers, CONVOY), np.full(clones, CLONE),
    ])  # fmt: skip
    private = np.flatnonzero(role == PRIVATE)
    leaders = rng.choice(private, plan.convoys, replace=False)
    leader = np.full(count, -1)
    leader[base : base + followers] = np.repeat(leaders, sizes)
    role[leaders] = CONVOY
    zones = len(city.zones)
    inner = zones - city.exits
    kind = np.where(rng.random(count) < 0.22, 1, 0)
    kind[np.isin(role, (LORRY, BUS))] = 2
    color = rng.choice(len(VEHICLE_COLORS), count, p=_COLOR_SHARES)
    home, work = rng.integers(0, inner, count), rng.integers(0, inner, count)
    transit = role == TRANSIT
    home[transit] = inner + rng.integers(0, max(1, city.exits), int(transit.sum()))
    plate_of = np.arange(count)
    victims = rng.choice(np.flatnonzero(np.isin(role[:base], (COMMUTER, PRIVATE, TAXI))), clones,
                         replace=False)  # fmt: skip
    plate_of[base + followers :] = victims
    same = rng.random(clones) < 0.5
    color[base + followers :] = np.where(same, color[victims], color[base + followers :])
    kind[base + followers :] = kind[victims]
    registered_kind, registered_color = kind.copy(), color.copy()
    fake = np.zeros(count, bool)
    fake[rng.choice(private, min(plan.fakes, len(private)), replace=False)] = True
    registered_color[fake] = (color[fake] + 1 + rng.integers(0, 7, int(fake.sum()))) % len(
        VEHICLE_COLORS
    )
    hides = np.zeros(count, bool)
    night_life = np.flatnonzero(np.isin(role, (NIGHT, LORRY, TAXI)))
    hides[rng.choice(night_life, min(plan.hiders, len(night_life)), replace=False)] = True
    codes = _plates(rng, kind, role)
    return Fleet(
        role, home, work, rng.integers(0, VARIANTS, count), kind, color, registered_kind,
        registered_color, codes[plate_of], plate_of, leader, hides, fake,
        rng.lognormal(0.0, 0.07, count) * np.where(role == BUS, 1.5, 1.0)
        * np.where(role == LORRY, 1.18, 1.0),
    )  # fmt: skip


def _plates(rng: np.random.Generator, kind: Ints, role: Ints) -> Codes:
    """Different legal plates: three in four local ones."""
    count = len(kind)
    letters = np.array([CODE[c] for c in "ABCDEFGHJKLMNPQRSTUVWXYZ"], np.uint8)
    digits = np.array([CODE[c] for c in "0123456789"], np.uint8)
    provinces = np.array([CODE[c] for c in PROVINCES], np.uint8)
    codes = np.full((count, 8), BLANK, np.uint8)
    todo = np.arange(count)
    while todo.size:
        size = len(todo)
        away = rng.random(size) < np.where(role[todo] == TRANSIT, 0.7, 0.12)
        codes[todo, 0] = np.where(away, provinces[rng.integers(0, 31, size)], CODE["鲁"])
        near = rng.random(size) < 0.7
        codes[todo, 1] = np.where(
            near & ~away, CODE["H"], letters[rng.integers(0, len(letters), size)]
        )
        energy = kind[todo] == 1
        serial = digits[rng.integers(0, 10, (size, 5))]
        lettered = (rng.random((size, 5)) < (0.3, 0.3, 0.08, 0.08, 0.08)) & ~energy[:, None]
        serial = np.where(lettered, letters[rng.integers(0, len(letters), (size, 5))], serial)
        codes[todo, 2:7] = serial
        mark = np.where(rng.random(size) < 0.5, CODE["D"], CODE["F"])
        codes[todo[energy], 3:8] = serial[energy]
        codes[todo[energy], 2] = mark[energy]
        _, first = np.unique(as_number(codes), return_index=True)
        again = np.ones(count, bool)
        again[first] = False
        todo = np.flatnonzero(again)
    return codes


def as_number(codes: Codes) -> NDArray[np.uint64]:
    """Plates (n, 8) as one number each."""
    return np.ascontiguousarray(codes).view(np.uint64).ravel()


def as_texts(codes: Codes) -> NDArray[np.str_]:
    """Plates (n, 8) as text."""
    alphabet = np.array([*RECOGNISER_ALPHABET, *[""] * (256 - len(RECOGNISER_ALPHABET))])
    characters = alphabet[codes]
    text = characters[:, 0]
    for place in range(1, 8):
        text = np.char.add(text, characters[:, place])
    return text.astype("<U8")
