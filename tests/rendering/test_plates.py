"""Drawn plates: legal texts, complete letterforms, the same seed the same picture."""

import hashlib
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.plate import (
    MOST_SERIAL_LETTERS,
    PROVINCES,
    RECOGNISER_ALPHABET,
    PlateColor,
    PlateKind,
    parse,
)
from benchmarks.rendering.glyphs import FONT_FILE, OfficialGlyphs, OwnGlyphs, Series
from benchmarks.rendering.layouts import layout_for, rows_of
from benchmarks.rendering.plates import draw_plate, random_plate
from benchmarks.rendering.strokes import draw_strokes
from benchmarks.rendering.texts import COLOR_OF

OWN = OwnGlyphs()
SEEDS = st.integers(0, 2**32 - 1)
ISSUED = [k for k in PlateKind if k not in {PlateKind.UNKNOWN, PlateKind.FOREIGN}]


@given(seed=SEEDS, kind=st.sampled_from(ISSUED))
def test_a_random_text_is_a_legal_plate_of_its_kind(seed: int, kind: PlateKind):
    text = random_plate(kind, np.random.default_rng(seed))
    number = parse(text, COLOR_OF[kind])
    assert number.is_legal
    # Motorcycles share the form of large vehicles.
    assert number.kind is (PlateKind.LARGE if kind is PlateKind.MOTORCYCLE else kind)


@given(seed=SEEDS, kind=st.sampled_from(ISSUED))
def test_a_serial_has_two_letters_at_most(seed: int, kind: PlateKind):
    text = random_plate(kind, np.random.default_rng(seed))
    form = parse(text, COLOR_OF[kind]).form
    assert form is not None
    assert form.serial_letters(text) <= MOST_SERIAL_LETTERS


@given(seed=SEEDS)
def test_a_foreign_text_is_never_a_chinese_plate(seed: int):
    text = random_plate(PlateKind.FOREIGN, np.random.default_rng(seed))
    assert text.isascii()
    assert text.isalnum()
    assert parse(text, PlateColor.OTHER).kind is PlateKind.FOREIGN


@given(seed=SEEDS, province=st.sampled_from(PROVINCES))
def test_a_given_province_is_kept(seed: int, province: str):
    assert random_plate(PlateKind.SMALL, np.random.default_rng(seed), province)[0] == province


def test_provinces_and_letters_are_drawn_evenly():
    rng = np.random.default_rng(1)
    texts = [random_plate(PlateKind.SMALL, rng, evenly=True) for _ in range(6200)]
    for place, pool in ((0, PROVINCES), (3, "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789")):
        counts = [sum(t[place] == c for t in texts) for c in pool]
        mean = len(texts) / len(pool)
        assert sum(counts) == len(texts)
        assert min(counts) > 0.6 * mean
        assert max(counts) < 1.4 * mean


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(list(PlateKind)), wear=st.floats(0, 1))
def test_every_kind_is_drawn_and_the_same_seed_draws_the_same(
    seed: int, kind: PlateKind, wear: float
):
    text = random_plate(kind, np.random.default_rng(seed))
    one, two = (
        draw_plate(text, kind, glyphs=OWN, rng=np.random.default_rng(seed), wear=wear)
        for _ in range(2)
    )
    assert np.array_equal(one.image, two.image)
    assert one.image.dtype == np.uint8
    assert one.image.shape == (round(one.height_mm / 2), round(one.width_mm / 2), 3)
    assert (one.text, one.kind) == (text, kind)
    assert one.image.std() > 8, "there is something to read"


@pytest.mark.parametrize("kind", ISSUED)
def test_the_number_of_rows_can_be_chosen_where_a_kind_has_both(kind: PlateKind):
    rng = np.random.default_rng(4)
    text = random_plate(kind, rng)
    for rows in rows_of(kind):
        drawn = draw_plate(text, kind, glyphs=OWN, rng=rng, rows=rows)
        assert drawn.rows == rows
        assert (drawn.height_mm / drawn.width_mm > 0.4) == (rows == 2)


@pytest.mark.parametrize(
    ("text", "kind", "rows"),
    [
        ("鲁H1234", PlateKind.SMALL, 1),
        ("鲁HD12345", PlateKind.SMALL, 1),
        ("鲁H12345", PlateKind.NEW_ENERGY_SMALL, 1),
        ("鲁HD12345", PlateKind.NEW_ENERGY_SMALL, 2),
    ],
)
def test_a_text_that_does_not_fit_is_refused(text: str, kind: PlateKind, rows: int):
    with pytest.raises(ValueError, match=text):
        draw_plate(text, kind, glyphs=OWN, rng=np.random.default_rng(1), rows=rows)


@pytest.mark.parametrize("kind", ISSUED)
def test_no_character_leaves_its_plate_or_overlaps_another(kind: PlateKind):
    text = random_plate(kind, np.random.default_rng(2))
    for rows in rows_of(kind):
        for variant in (0, 1):
            layout = layout_for(text, kind, rows, variant=variant)
            assert layout is not None
            assert len(layout.slots) == len(text)
            for slot in layout.slots:
                assert slot.x_mm >= 5
                assert slot.y_mm >= 5
                assert slot.x_mm + slot.w_mm <= layout.width_mm - 5
                assert slot.y_mm + slot.h_mm <= layout.height_mm - 5
            for a, b in combinations(layout.slots, 2):
                beside = a.x_mm + a.w_mm <= b.x_mm or b.x_mm + b.w_mm <= a.x_mm
                above = a.y_mm + a.h_mm <= b.y_mm or b.y_mm + b.h_mm <= a.y_mm
                assert beside or above


@pytest.mark.parametrize(
    ("color", "hue"),
    [
        (PlateColor.BLUE, range(100, 120)),
        (PlateColor.YELLOW, range(14, 32)),
        (PlateColor.GREEN, range(45, 75)),
    ],
)
def test_the_ground_has_the_colour_that_it_is_called(color: PlateColor, hue: range):
    kind = {v: k for k, v in reversed(COLOR_OF.items()) if k is not PlateKind.AGRICULTURAL}[color]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = draw_plate(random_plate(kind, rng), kind, glyphs=OWN, rng=rng)
        assert drawn.color is color
        hues = cv2.cvtColor(drawn.image, cv2.COLOR_BGR2HSV)[..., 0]
        assert int(np.median(hues)) in hue


@pytest.mark.parametrize("char", RECOGNISER_ALPHABET)
def test_every_character_of_the_reader_has_a_shape(char: str):
    mask = OWN.mask(char, Series.ONE_ROW, 45.0, 90.0)
    assert mask.shape == (180, 90)
    assert 0.05 < (mask > 128).mean() < 0.75


def test_no_two_characters_look_the_same():
    masks = {c: OWN.mask(c, Series.ONE_ROW, 45.0, 90.0) > 128 for c in RECOGNISER_ALPHABET}
    for a, b in combinations(RECOGNISER_ALPHABET, 2):
        if {a, b} == {"0", "O"}:
            continue  # the same shape on plates
        either, both = (masks[a] | masks[b]).sum(), (masks[a] & masks[b]).sum()
        assert both / either < 0.93, f"{a} and {b}"


@settings(max_examples=40, deadline=None)
@given(
    char=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
    width=st.floats(25, 90),
    height=st.floats(40, 120),
)
def test_letters_fill_their_cell_in_height_whatever_its_form(
    char: str, width: float, height: float
):
    ink = draw_strokes(char, width, height, 2.0, 8.0) > 100
    rows = np.flatnonzero(ink.any(axis=1))
    assert rows[0] <= 3
    assert rows[-1] >= ink.shape[0] - 4


def test_the_font_is_the_one_that_its_licence_note_names():
    digest = hashlib.sha256(FONT_FILE.read_bytes()).hexdigest()
    assert digest in (FONT_FILE.parent / "README.md").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in (FONT_FILE.parent / "OFL.txt").read_text(encoding="utf-8")


def test_a_folder_without_glyphs_is_refused_by_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        OfficialGlyphs(tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("char", "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ")
def test_our_letters_resemble_the_official_ones(char: str, imagery: Path):
    ours = OWN.mask(char, Series.ONE_ROW, 45.0, 90.0) > 128
    official = OfficialGlyphs(imagery / "glyphs").mask(char, Series.ONE_ROW, 45.0, 90.0) > 128
    near = cv2.dilate(official.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    assert (ours & near).sum() / ours.sum() > 0.93
