"""The simulated city keeps the laws that everything measured on it relies on."""

from dataclasses import replace

import numpy as np
import pytest

from anpr.plate.vocabulary import RECOGNISER_ALPHABET
from benchmarks.simulation import Plan, World, simulate
from benchmarks.simulation.fleet import as_texts
from benchmarks.simulation.misreads import confusion_matrix, misread

PLAN = Plan(seed=3, days=2, vehicles=1_500, checkpoints=150, zones=30, clones=5, convoys=4,
            clock_faults=0.03)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(PLAN)


def test_the_same_plan_gives_the_same_world(world: World) -> None:
    again = simulate(PLAN)
    assert np.array_equal(world.passages.at_s, again.passages.at_s)
    assert np.array_equal(world.passages.plate, again.passages.plate)
    assert world.truth() == again.truth()
    other = simulate(replace(PLAN, seed=4))
    assert len(other.passages) != len(world.passages)


def test_no_vehicle_is_at_two_places_at_once(world: World) -> None:
    p = world.passages
    order = np.lexsort((p.true_s, p.vehicle))
    same = np.diff(p.vehicle[order]) == 0
    gap = np.diff(p.true_s[order])
    assert (gap[same] > 0).all()
    moved = same & (np.diff(p.checkpoint[order]) != 0)
    city, watched = world.city, world.city.checkpoint_link
    east = (city.east_m[city.link_from[watched]] + city.east_m[city.link_to[watched]]) / 2
    north = (city.north_m[city.link_from[watched]] + city.north_m[city.link_to[watched]]) / 2
    a, b = p.checkpoint[order][:-1][moved], p.checkpoint[order][1:][moved]
    kmh = np.hypot(east[a] - east[b], north[a] - north[b]) / gap[moved] * 3.6
    assert kmh.max() < 150


def test_a_clone_and_its_victim_show_one_plate_and_live_two_lives(world: World) -> None:
    fleet = world.fleet
    clones = np.flatnonzero(fleet.plate_of != np.arange(len(fleet.plate_of)))
    assert len(clones) == PLAN.clones
    for clone in clones.tolist():
        victim = int(fleet.plate_of[clone])
        assert world.plate_of(clone) == world.plate_of(victim)
    honest = np.delete(np.arange(len(fleet.plate_of)), clones)
    texts = as_texts(fleet.codes[honest])
    assert len(np.unique(texts)) == len(honest)


def test_followers_pass_the_same_checkpoints_seconds_after_their_leader(world: World) -> None:
    p = world.passages
    for follower in np.flatnonzero(world.fleet.leader >= 0).tolist():
        leader = int(world.fleet.leader[follower])
        together = world.trips.convoy[p.trip] == 1
        behind = np.flatnonzero(together & (p.vehicle == follower))
        ahead = np.flatnonzero(together & (p.vehicle == leader))
        assert len(behind) == len(ahead)
        behind, ahead = (rows[np.lexsort((p.true_s[rows],))] for rows in (behind, ahead))
        assert np.array_equal(p.checkpoint[behind], p.checkpoint[ahead])
        gap = p.true_s[behind] - p.true_s[ahead]
        assert ((gap > 0) & (gap < 60)).all()


def test_a_misread_differs_in_one_character_and_as_the_reader_was_measured(world: World) -> None:
    matrix = confusion_matrix()
    assert ((matrix >= 0) & (matrix < 1)).all()
    assert (matrix.sum(axis=1) < 1).all()
    zero, letter_d = (RECOGNISER_ALPHABET.index(c) for c in "0D")
    assert matrix[zero, letter_d] > matrix[zero].sum() / 4
    codes = world.fleet.codes[:500]
    wrong = misread(np.random.default_rng(1), codes, matrix)
    assert ((codes != wrong).sum(axis=1) == 1).all()
    p = world.passages
    true = as_texts(world.fleet.codes)[p.vehicle]
    differs = (world.texts[p.plate] != true) & (p.plate > 0)
    assert np.array_equal(differs, p.misread)
    assert abs(p.misread.mean() - PLAN.misread) < 0.005


def test_checkpoints_with_a_wrong_clock_and_no_others_say_another_time(world: World) -> None:
    p = world.passages
    wrong = (world.clock_offset_s[p.checkpoint] != 0) & (
        p.true_s >= world.clock_since_s[p.checkpoint]
    )
    assert wrong.any()
    assert np.abs(p.at_s - p.true_s)[~wrong].max() < 4
    off = p.at_s[wrong] - p.true_s[wrong] - world.clock_offset_s[p.checkpoint[wrong]]
    assert np.abs(off).max() < 4


def test_hidden_plates_are_unread_at_night_and_read_by_day(world: World) -> None:
    p = world.passages
    hour = p.true_s / 3600 % 24
    hidden = world.fleet.hides[p.vehicle]
    night = (hour < 5.5) | (hour > 21)
    assert (p.plate[hidden & night] == 0).all()
    assert (p.plate[hidden & ~night] > 0).mean() > 0.95
