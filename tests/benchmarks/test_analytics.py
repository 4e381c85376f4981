"""The benchmark of analyses: its bars, and its quality part on a very small city."""

import argparse

from benchmarks import analytics


def test_bars_are_judged_by_what_was_measured() -> None:
    good = {
        "clones": {"precision": 0.95, "recall": 0.9, "clocks_as_clones": 0},
        "companions": {"precision_at_20": 0.8, "naive_precision_at_20": 0.2},
        "city": {"ratio": 2.0},
        "route": {"p50": 100, "p95": 100}, "route_crowd": {"p95": 100}, "collision": {"p95": 500},
        "one_plate": {"p50": 200, "p95": 200}, "one_plate_crowd": {"p95": 200},
    }  # fmt: skip
    assert all(analytics.judged(good).values())
    assert len(analytics.judged(good)) == 12
    bad = good | {"city": {"ratio": 2.1}, "clones": good["clones"] | {"clocks_as_clones": 1}}
    assert sum(not kept for kept in analytics.judged(bad).values()) == 2
    slow = good | {"route": {"p50": 99, "p95": 101}, "one_plate_crowd": {"p95": 201}}
    assert sum(not kept for kept in analytics.judged(slow).values()) == 2


def test_vehicles_that_travel_together_are_found_in_a_small_city() -> None:
    sizes = argparse.Namespace(seed=5, days=3, vehicles=800, checkpoints=150, clones=10)
    found = analytics.quality(sizes)
    assert found["companions"]["true_pairs"] >= 20
    assert found["companions"]["precision_at_20"] >= 0.9
