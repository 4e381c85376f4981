"""Laws of judging passages: the evidence decides whose passage it is, and nothing is flattered."""

import pytest

from benchmarks.agent_truth import figures, judge

A, B = "京A12345", "沪B77777"


def plate(x):
    return [x, 100.0, x + 80.0, 100.0, x + 80.0, 124.0, x, 124.0]


def truth(*vehicles):
    """Vehicles ``(name, plate, x)`` that stand side by side through 25 frames."""
    lines = [
        {
            "vehicle_id": name,
            "plate": text,
            "max_width_px": 80.0 if text else 0.0,
            "kind": "small",
            "color": "blue",
            "vehicle_color": "silver",
            "direction": "approaching",
            "lane": 0,
            "speed_kmh": 50.0,
        }
        for name, text, _ in vehicles
    ]
    frame = {
        "plates": {name: plate(x) for name, text, x in vehicles if text},
        "vehicles": {name: [x - 60, 10.0, x + 140, 140.0] for name, _, x in vehicles},
    }
    return {
        "start_at": "2026-11-22T04:00:00+00:00",
        "fps": 25.0,
        "size_px": [1920, 1080],
        "vehicles": lines,
        "frames": [frame] * 25,
    }


def passage(text, x, *, at_s=0.4, state="read", box=None, scale=1280 / 1920):
    corners = plate(x)
    quad = [[corners[i] * scale, corners[i + 1] * scale] for i in range(0, 8, 2)]
    return {
        "captured_at": f"2026-11-22T04:00:00.{int(at_s * 1000):03d}+00:00",
        "plate": {"text": text, "state": state, "kind": "small", "color": "blue", "score": 0.9},
        "plate_quad_px": None if box else quad,
        "vehicle_box_px": box and [v * scale for v in box],
        "vehicle_color": "grey",
        "direction": "approaching",
        "lane": 1,
        "speed_kmh": 55.0,
        "evidence": [{"role": "scene", "width_px": 1280, "sha256": "0"}],
        "track": {"frames": 9},
    }


TWO = truth(("a", A, 300.0), ("b", B, 900.0))


@pytest.mark.parametrize(
    ("law", "passages", "wanted"),
    [
        ("nothing is nothing", [], {"captured": 0, "plates_right": 0, "passages": 0}),
        (
            "each once and right",
            [passage(A, 300), passage(B, 900)],
            {"captured": 2, "plates_right": 2, "duplicates": 0, "mixed": 0, "ghosts": 0},
        ),
        (
            "twice is a duplicate",
            [passage(A, 300), passage(A, 300, at_s=0.8)],
            {"captured": 1, "duplicates": 1},
        ),
        (
            "one's text on the other's picture is mixed, and not right",
            [passage(A, 900)],
            {"captured": 1, "plates_right": 0, "mixed": 1, "wrong_plate_claimed": 1},
        ),
        (
            "a misread is wrong and not mixed",
            [passage("京A12346", 300)],
            {"plates_right": 0, "mixed": 0, "wrong_plate_claimed": 1},
        ),
        (
            "a partial plate claims nothing wrong",
            [passage("京A1234?", 300, state="partial")],
            {"plates_right": 0, "wrong_plate_claimed": 0},
        ),
        (
            "evidence without a vehicle is a ghost",
            [passage(A, 1500)],
            {"captured": 0, "ghosts": 1, "wrong_plate_claimed": 1},
        ),
        (
            "evidence from outside the clip is a ghost",
            [passage(A, 300) | {"captured_at": "2026-11-22T05:00:00+00:00"}],
            {"ghosts": 1},
        ),
    ],
)
def test_what_is_counted(law, passages, wanted):
    found = figures(TWO, judge(TWO, passages))
    assert {key: found[key] for key in wanted} == wanted, law


def test_a_vehicle_without_a_plate_is_known_by_its_box():
    bare = truth(("a", "", 300.0), ("b", B, 900.0))
    known = passage("", 0, state="none", box=[240.0, 10.0, 440.0, 140.0])
    found = figures(bare, judge(bare, [known, passage(B, 900)]))
    assert (found["unplated"], found["unplated_captured"]) == (1, 1)
    assert (found["vehicles"], found["captured"]) == (1, 1)
    assert found["vehicle_box"] == {"given": 1, "median_iou": 1.0}


def test_shares_are_of_what_was_answered():
    unknown = passage(A, 300) | {"direction": "unknown", "lane": 2}
    found = figures(TWO, judge(TWO, [unknown, passage(B, 900)]))
    assert found["direction"] == {"given": 1, "of": 2, "right": 1}
    assert found["lane"] == {"given": 2, "of": 2, "right": 1}
    assert found["vehicle_color"]["right"] == 2  # silver is called grey
    assert found["speed"]["median_error"] == pytest.approx(0.1)
