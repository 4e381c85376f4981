"""The grammar as value tables; the examples of the standard forms were checked against sources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import (
    FORMS,
    PROVINCES,
    SERIAL,
    Contradiction,
    PlateColor,
    PlateKind,
    is_rubbish,
    normalise,
    parse,
    region_of,
)

BLUE, YELLOW, GREEN, WHITE, BLACK = (
    PlateColor.BLUE,
    PlateColor.YELLOW,
    PlateColor.GREEN,
    PlateColor.WHITE,
    PlateColor.BLACK,
)


@pytest.mark.parametrize(
    ("text", "color", "form", "kind"),
    [
        ("鲁H12345", BLUE, "standard", PlateKind.SMALL),
        ("鲁H12345", YELLOW, "standard", PlateKind.LARGE),
        ("鲁H12345", PlateColor.UNKNOWN, "standard", PlateKind.UNKNOWN),
        ("鲁HD12345", GREEN, "new_energy_small", PlateKind.NEW_ENERGY_SMALL),
        ("鲁HF12345", GREEN, "new_energy_small", PlateKind.NEW_ENERGY_SMALL),
        ("鲁H12345D", PlateColor.YELLOW_GREEN, "new_energy_large", PlateKind.NEW_ENERGY_LARGE),
        ("鲁H1234挂", YELLOW, "trailer", PlateKind.TRAILER),
        ("鲁H1234学", YELLOW, "coach", PlateKind.COACH),
        ("川A0001警", WHITE, "police", PlateKind.POLICE),
        ("川AA001警", WHITE, "police", PlateKind.POLICE),
        ("粤Z1234港", BLACK, "hong_kong", PlateKind.HONG_KONG),
        ("粤ZABC1澳", BLACK, "macao", PlateKind.MACAO),
        ("014578使", BLACK, "embassy_old", PlateKind.EMBASSY),
        ("使014578", BLACK, "embassy", PlateKind.EMBASSY),
        ("沪A1234领", BLACK, "consulate", PlateKind.CONSULATE),
        ("京X1234应急", WHITE, "emergency", PlateKind.EMERGENCY),
        ("WJ鲁1234J", WHITE, "armed_police", PlateKind.ARMED_POLICE),
        ("WJ1234T", WHITE, "armed_police_headquarters", PlateKind.ARMED_POLICE),
        ("VA12345", WHITE, "military", PlateKind.MILITARY),
        ("鲁0812345", GREEN, "agricultural", PlateKind.AGRICULTURAL),
        # Kinds with only one ground are known without seeing it.
        ("川A0001警", PlateColor.UNKNOWN, "police", PlateKind.POLICE),
        ("鲁HD12345", PlateColor.UNKNOWN, "new_energy_small", PlateKind.NEW_ENERGY_SMALL),
        # An unread place fits every class.
        ("鲁H1?345", BLUE, "standard", PlateKind.SMALL),
    ],
)
def test_legal_plates_have_their_form_and_kind(text, color, form, kind):
    number = parse(text, color)
    assert number.form is not None
    assert (number.form.name, number.kind, number.contradictions) == (form, kind, ())
    assert number.is_legal


@pytest.mark.parametrize("text", ["鲁HO1234", "鲁HI2345", "鲁H123456", "鲁HA1234挂", "鲁", "鲁挂"])
def test_a_chinese_beginning_without_a_form_is_a_contradiction(text):
    number = parse(text, BLUE)
    assert number.form is None
    assert number.contradictions == (Contradiction.NO_SUCH_FORM,)


@pytest.mark.parametrize(
    ("text", "color", "contradiction"),
    [
        ("鲁H12345", GREEN, Contradiction.GREEN_LOST_A_CHARACTER),
        ("鲁HD12345", BLUE, Contradiction.TOO_LONG_FOR_COLOR),
        ("川A0001警", BLUE, Contradiction.COLOR_OF_ANOTHER_KIND),
        ("粤Z1234港", YELLOW, Contradiction.COLOR_OF_ANOTHER_KIND),
    ],
)
def test_a_ground_on_which_a_form_is_not_issued_contradicts_it(text, color, contradiction):
    assert parse(text, color).contradictions == (contradiction,)
    assert not parse(text, color).is_legal


@pytest.mark.parametrize("text", ["ABC1234", "KZE9931", "34XYZ12", "HA1234"])
def test_text_without_a_han_character_is_foreign(text):
    assert parse(text, PlateColor.OTHER).kind is PlateKind.FOREIGN


@pytest.mark.parametrize(
    ("text", "color"), [("H12345", BLUE), ("H12345", YELLOW), ("HD12345", GREEN)]
)
def test_what_may_have_lost_its_province_is_not_called_foreign(text, color):
    assert parse(text, color).kind is PlateKind.UNKNOWN
    assert parse(text, PlateColor.OTHER).kind is PlateKind.FOREIGN


def test_a_military_number_is_one_only_on_white():
    assert parse("HA12345", WHITE).kind is PlateKind.MILITARY
    assert parse("HA12345", BLUE).kind is PlateKind.FOREIGN
    assert parse("HA12345", PlateColor.UNKNOWN).kind is PlateKind.FOREIGN


@pytest.mark.parametrize("text", ["军A12345", "海O12345", "空U12345", "济A12345"])
def test_the_withdrawn_military_series_is_nobodys_province(text):
    number = parse(text, WHITE)
    assert number.kind is PlateKind.UNKNOWN
    assert region_of(text) is None


def test_no_two_forms_of_one_color_accept_the_same_text():
    """The kind of a legal plate is decided by text and colour, never by the order of a table."""
    for i, a in enumerate(FORMS):
        for b in FORMS[i + 1 :]:
            if len(a.places) != len(b.places) or not set(a.kinds) & set(b.kinds):
                continue
            common = [set(p) & set(q) for p, q in zip(a.places, b.places, strict=True)]
            assert not all(common), (a.name, b.name)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("鲁H·12345", "鲁H12345"),
        ("鲁H 12345", "鲁H12345"),
        ("鲁H-12345", "鲁H12345"),
        ("鲁ｈ１２３４５", "鲁H12345"),
        ("蓝鲁H12345", "鲁H12345"),
        ("黄绿鲁H12345D", "鲁H12345D"),
        ("黑A12345", "黑A12345"),
        ("蓝黑A12345", "黑A12345"),
        ("鲁HO1I34", "鲁H01134"),
        ("鲁O12345", "鲁O12345"),
        ("WJ·鲁1234J", "WJ鲁1234J"),
        ("BOI-123", "BOI123"),
        ("鲁H1-345", "鲁H1?345"),
        ("鲁H-123?5", "鲁H123?5"),
        ("鲁H1？3*", "鲁H1?3*"),
        ("使O14578", "使014578"),
    ],
)
def test_each_plate_has_one_spelling(raw, plain):
    assert normalise(raw) == plain


@given(st.text(max_size=12))
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=PROVINCES + SERIAL + "OI?*-·. 蓝黄绿渐变使挂WJ", max_size=12))
def test_normalising_plate_like_text_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once


@st.composite
def legal_plates(draw):
    form = draw(st.sampled_from(FORMS))
    return "".join(draw(st.sampled_from(place)) for place in form.places), form


@given(legal_plates(), st.sampled_from(["", " ", "·", "-"]))
def test_a_legal_plate_survives_normalisation_with_any_separator(plate, separator):
    text, form = plate
    assert normalise(text[:2] + separator + text[2:]) == text
    assert parse(text, next(iter(form.kinds))).is_legal


@pytest.mark.parametrize(
    "value",
    [
        "无牌", "NoPlate", "未识别牌", "NA", "未检测", " ", "", "NOPLATE", "*", "拒识/无牌", "--------",
        "------------", "车牌", "未识别", "11111111", "-------", "0000000", "号牌未知", "无车牌",
        "nullplate", "湘", "noPlate", "unknown", "???????",
    ],
)  # fmt: skip
def test_values_that_say_no_plate_are_rubbish(value):
    assert is_rubbish(value)


@given(legal_plates())
def test_a_legal_plate_is_never_rubbish(plate):
    assert not is_rubbish(plate[0])


@pytest.mark.parametrize(
    ("text", "province", "city"),
    [
        ("鲁H12345", "山东", "济宁"),
        ("京A12345", "北京", "北京"),
        ("沪R12345", "上海", "崇明"),
        ("WJ鲁1234J", "山东", None),
        ("宁Z12345", "宁夏", None),
        ("粤Z1234港", "广东", "港澳"),
    ],
)
def test_the_prefix_names_the_region(text, province, city):
    region = region_of(text)
    assert region is not None
    assert (region.province, region.city) == (province, city)


def test_every_province_has_a_name_and_a_capital():
    for province in PROVINCES:
        region = region_of(f"{province}A12345")
        assert region is not None
        assert region.city
