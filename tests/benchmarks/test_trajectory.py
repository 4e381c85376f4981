"""The measurement of routes measures the server's code, and its bars are held at a small size."""

from benchmarks.simulation import Plan
from benchmarks.trajectory import make_town, measure


def test_routes_and_pursuits_are_as_right_as_promised_in_a_small_city() -> None:
    town = make_town(Plan(seed=11, days=2, vehicles=2_500, checkpoints=120, zones=30))
    result = measure(town, 40)
    assert result["legs"] > 100
    assert result["legs_right"] >= 0.9
    assert result["recovered"] >= 0.8
    assert result["top3"] > result["top1"] > 0.4
    assert result["window_coverage"] >= 0.8
    assert result["interception"]["advised"] <= result["interception"]["oracle"]
