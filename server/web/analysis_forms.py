"""The forms of the analyses: which fields each has, and from what people typed to a question."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from server.analyses import ask
from server.checkpoints.service import CheckpointPlace
from server.errors import InvalidRequest
from server.web.forms import local_instant

CONDITIONS = 4
"""Places of an area collision that the form offers."""
_ASK: TypeAdapter[ask.Ask] = TypeAdapter(ask.Ask)
_ASK_CITY: TypeAdapter[ask.AskCity] = TypeAdapter(ask.AskCity)
_CIRCLE = re.compile(r"-?[\d.]+\s*,\s*-?[\d.]+\s*,\s*[\d.]+")
_POLYGON = re.compile(r"-?[\d.]+,-?[\d.]+( -?[\d.]+,-?[\d.]+){2,}")
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. ``default`` as typed."""

    name: str
    kind: Literal["plate", "place", "checkpoint", "number", "direction"]
    required: bool = False
    default: str = ""
    least: float = 0
    most: float = 0
    step: str = "1"


def _number(name: str, default: str, least: float, most: float, step: str = "1") -> FormField:
    return FormField(name, "number", default=default, least=least, most=most, step=step)


_PLATE = FormField("plate", "plate", required=True)
_WHERE = FormField("where", "place", required=True)
FORMS: Mapping[str, tuple[FormField, ...]] = {
    "clones": (_PLATE,),
    "companions": (
        _PLATE,
        _number("gap_s", "60", 1, 600),
        _number("min_checkpoints", "3", 1, 100),
        _number("min_meetings", "1", 1, 100),
    ),
    "collision": (_number("at_least", "", 2, CONDITIONS),),
    "first_entry": (
        FormField("where", "place"),
        FormField("direction", "direction"),
        _number("quiet_days", "30", 1, 366),
    ),
    "frequent": (_WHERE, _number("at_least", "10", 2, 10_000)),
    "nocturnal": (_PLATE,),
    "stays": (
        _PLATE,
        _number("stay_hours", "4", 0.5, 72, "0.5"),
        _number("min_stays", "3", 1, 100),
    ),
    "hidden": (
        _PLATE,
        _number("min_times", "5", 1, 100),
        _number("min_share", "0.8", 0.5, 1, "0.05"),
    ),
    "counterfeit": (
        FormField("plate", "plate"),
        FormField("where", "place"),
        _number("min_passages", "2", 1, 100),
    ),
    "section_speed": (
        FormField("from_id", "checkpoint", required=True),
        FormField("to_id", "checkpoint", required=True),
        FormField("length_m", "number", required=True, least=200, most=200_000),
        _number("limit_kmh", "80", 10, 200),
    ),
    "flow": (_WHERE,),
    "travel_times": (_WHERE,),
}
CITY_FORMS: Mapping[str, tuple[FormField, ...]] = {
    "clones": (),
    "companions": (
        _number("gap_s", "60", 1, 600),
        _number("min_checkpoints", "3", 2, 100),
        _number("min_meetings", "2", 1, 100),
    ),
    "nocturnal": (
        FormField("where", "place"),
        _number("min_share", "0.8", 0.5, 1, "0.05"),
        _number("min_nights", "3", 1, 31),
    ),
    "transit": (_number("within_hours", "6", 0.25, 24, "0.25"),),
    "hidden": (
        _number("min_times", "5", 2, 100),
        _number("min_share", "0.8", 0.5, 1, "0.05"),
    ),
}
COMMON = ("from", "to", "purpose", "case_number")


def field_names(form: tuple[FormField, ...], kind: str) -> tuple[str, ...]:
    """The names of all fields of a form."""
    names = [*(one.name for one in form), *COMMON]
    if kind == "collision":
        names += [
            f"{name}_{n}" for n in range(1, CONDITIONS + 1) for name in ("where", "from", "to")
        ]
    return tuple(names)


def question_of(
    kind: str, fields: Fields, zone: ZoneInfo, places: Mapping[str, CheckpointPlace]
) -> ask.Ask:
    """An interactive question from a form.

    Raises:
        InvalidRequest: a field cannot be read; the message names it.
    """
    values = _values(FORMS[kind], fields, places)
    if kind == "collision":
        values["conditions"] = _conditions(fields, zone, places)
    else:
        values |= _period(fields, zone)
    question: ask.Ask = _checked(_ASK, kind, values, fields)
    return question


def city_question_of(
    kind: str, fields: Fields, zone: ZoneInfo, places: Mapping[str, CheckpointPlace]
) -> ask.AskCity:
    """A city-wide question from a form.

    Raises:
        InvalidRequest: a field cannot be read; the message names it.
    """
    values = _values(CITY_FORMS[kind], fields, places) | _period(fields, zone)
    question: ask.AskCity = _checked(_ASK_CITY, kind, values, fields)
    return question


def where_of(text: str, places: Mapping[str, CheckpointPlace], field: str) -> dict[str, Any]:
    """Checkpoints as people write them: identifiers or names, a road, or an area.

    An area is lon,lat,radius in metres, or the corners of a polygon: lon,lat lon,lat lon,lat …

    Raises:
        InvalidRequest: nothing is known by that name.
    """
    text = text.strip()
    if not text:
        return {}
    if _CIRCLE.fullmatch(text):
        return {"circle": text}
    if _POLYGON.fullmatch(text):
        return {"polygon": text}
    by_name = {place.name: place.id for place in places.values()}
    parts = [part for part in re.split(r"[,，、;；\s]+", text) if part]
    meant = [part if part in places else by_name.get(part, "") for part in parts]
    if all(meant):
        return {"checkpoint_ids": meant}
    if any(text.lower() in place.road.lower() for place in places.values()):
        return {"road": text}
    unknown = next(part for part, one in zip(parts, meant, strict=True) if not one)
    raise InvalidRequest(f"{field}: {unknown[:40]}", field=field)


def _values(
    form: tuple[FormField, ...], fields: Fields, places: Mapping[str, CheckpointPlace]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in form:
        text = fields[one.name]
        if not text:
            if one.required:
                raise InvalidRequest(f"{one.name}: –", field=one.name)
            continue
        if one.kind == "place":
            values[one.name] = where_of(text, places, one.name)
        elif one.kind == "checkpoint":
            meant = where_of(text, places, one.name).get("checkpoint_ids", ())
            if len(meant) != 1:
                raise InvalidRequest(f"{one.name}: {text[:40]}", field=one.name)
            values[one.name] = meant[0]
        else:
            values[one.name] = text
    return values


def _period(fields: Fields, zone: ZoneInfo, number: str = "") -> dict[str, Any]:
    values = {}
    for name, field in (("since", f"from{number}"), ("until", f"to{number}")):
        at = local_instant(fields[field], zone, field)
        if at is None:
            raise InvalidRequest(f"{field}: –", field=field)
        values[name] = at
    if values["since"] >= values["until"]:
        raise InvalidRequest(f"to{number}: ≤ from", field=f"to{number}")
    return values


def _conditions(
    fields: Fields, zone: ZoneInfo, places: Mapping[str, CheckpointPlace]
) -> list[dict[str, Any]]:
    found = []
    for n in range(1, CONDITIONS + 1):
        if any(fields[f"{name}_{n}"] for name in ("where", "from", "to")):
            where = where_of(fields[f"where_{n}"], places, f"where_{n}")
            if not where:
                raise InvalidRequest(f"where_{n}: –", field=f"where_{n}")
            found.append({"where": where, **_period(fields, zone, f"_{n}")})
    if len(found) < 2:
        raise InvalidRequest("where_2: –", field="where_2")
    return found


def _checked(adapter: TypeAdapter[Any], kind: str, values: dict[str, Any], fields: Fields) -> Any:
    given = {
        "kind": kind,
        **values,
        "purpose": fields["purpose"] or None,
        "case_number": fields["case_number"] or None,
    }
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        named = [str(part) for part in fault["loc"] if isinstance(part, str) and part != kind]
        field = named[0] if named else "query"
        raise InvalidRequest(f"{field}: {fault['msg']}", field=field) from None
