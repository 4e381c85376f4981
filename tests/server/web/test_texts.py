"""The catalogues say everything that the pages ask for, in every language, and nothing else."""

import re
import string
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from anpr.plate.confusion import DifferenceKind
from server.alerts.states import AlertState, Finding
from server.analyses.clones import CloneCause
from server.analyses.jobs import JobState
from server.analyses.queue import STATES as CLONE_STATES
from server.auth.accounts import Role
from server.cases.figures import AlertFigures
from server.cases.service import AttachmentKind
from server.notices.channels import ChannelKind
from server.settings import Settings
from server.trajectories.build import LegFlag
from server.watchlists.entries import MATCHES
from server.watchlists.service import WITHDRAW_CODES
from server.watchlists.states import EntryState, Step
from server.web.analysis_forms import CITY_FORMS, FORMS
from server.web.case_pages import FIGURES
from server.web.texts import LANGUAGES, load_texts
from server.wire import (
    Direction,
    EvidenceRole,
    PlateColor,
    PlateKind,
    PlateState,
    VehicleColor,
)

WEB = Path(__file__).parents[3] / "server" / "web"

ANALYSES = {*FORMS, *CITY_FORMS}


def reasons() -> set[str]:
    """Every reason that an analysis gives."""
    found = re.compile(r"""Reason\(\s*"([a-z_]+)\"""")
    code = "".join(file.read_text("utf-8") for file in (WEB.parent / "analyses").glob("*.py"))
    return (
        set(found.findall(code))
        | {f"cause_{cause}" for cause in get_args(CloneCause)}
        | {f"register_{why}" for why in ("unregistered", "kind", "color")}
    )


VOCABULARIES = {
    "color": get_args(PlateColor),
    "kind": get_args(PlateKind),
    "plate_state": get_args(PlateState),
    "direction": get_args(Direction),
    "vehicle_color": get_args(VehicleColor),
    "role_of_picture": get_args(EvidenceRole),
    "role": tuple(Role),
    "state": tuple(AlertState),
    "finding": tuple(Finding),
    "entry_match": MATCHES,
    "entry_step": tuple(Step),
    "withdraw_code": WITHDRAW_CODES,
    "import_outcome": ("new", "unchanged", "refused"),
    "channel": get_args(ChannelKind),
    "case_kind": Settings().cases.kinds,
    "case_thing": get_args(AttachmentKind),
    "notice_state": ("waiting", "sent", "dead"),
    "figures": (
        *FIGURES,
        *(field.name for field in fields(AlertFigures)),
        "title",
        "month",
        "show",
        "kind",
        "whole",
    ),
    "entry_state": tuple(EntryState),
    "agent_state": ("online", "late", "never", "faulty", "alarmed"),
    "alarm": (
        "outbox_full",
        "passages_given_up",
        "camera_lost",
        "picture_bad",
        "pictures_given_up",
        "outbox_damaged",
        "disk_low",
        "dead_letters",
        "link_down",
        "clock_off",
        "hot",
        "watchlist_stale",
        "hook_failed",
        "config_rejected",
    ),
    "leg": tuple(flag for flag in get_args(LegFlag) if flag != "believable"),
    "difference": get_args(DifferenceKind),
    "analysis": ANALYSES,
    "analysis_hint": ANALYSES,
    "analysis_field": {
        one.name for form in (*FORMS.values(), *CITY_FORMS.values()) for one in form
    },
    "analysis_reason": reasons(),
    "job_state": get_args(JobState),
    "clone_state": CLONE_STATES,
    "clone_cause": get_args(CloneCause),
    "purpose": Settings().search.purposes,
    "reason": Settings().watchlist.reasons,
}
"""Sections that translate a vocabulary word by word."""

LITERAL = re.compile(r"""\bt\(\s*["']([a-z_]+\.[a-z0-9_]+)["'](?!\s*~)""")
QUOTED = re.compile(r"""["']([a-z_]+\.[a-z0-9_]+)["']""")
COMPOSED = {"level": ("l1", "l2", "l3", "l4"), "error": ("s403", "s404", "s429", "s503"),
            "nav": ("wall", "alerts", "notices", "passages", "search", "analyses", "watchlist",
                    "checkpoints", "approvals", "cases", "protected", "audit", "users"),
            "audit_thing": ("passage", "trajectory", "export", "alert", "watchlist", "approval",
                            "login", "user", "audit", "analysis", "clone", "vehicle"),
            "watchlist": ("plate_kinds", "plate_colors", "vehicle_colors"),
            "story": ("vehicle_color", "plate_state", "plate_color", "plate_kind", "direction"),
            "approval_state": ("requested", "approved", "refused", "expired")}  # fmt: skip


def sources() -> str:
    files = [*WEB.glob("*.py"), *WEB.glob("templates/*.html")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def actions() -> set[str]:
    """Every action that the server writes to the audit log."""
    called = re.compile(
        r"""(?:action=|(?:account_for|_?record|account)\(\s*(?:\w+,\s*)*)"([a-z_]+\.[a-z_]+)\""""
    )
    otherwise = re.compile(r"""action="[a-z_.]+" if \w+ else "([a-z_]+\.[a-z_]+)\"""")
    server = WEB.parent
    return {f"watchlist.{step.value}" for step in Step} | {
        action
        for file in server.rglob("*.py")
        for shape in (called, otherwise)
        for action in shape.findall(file.read_text(encoding="utf-8"))
    }


def test_all_languages_have_the_same_keys() -> None:
    first, *others = (load_texts(language).by_key for language in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()


def test_all_languages_have_the_same_places_in_each_text() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    first, *others = (load_texts(language).by_key for language in LANGUAGES)
    for other in others:
        assert {key: places(text) for key, text in other.items()} == {
            key: places(text) for key, text in first.items()
        }


def test_no_text_is_empty() -> None:
    for language in LANGUAGES:
        assert [key for key, text in load_texts(language).by_key.items() if not text.strip()] == []


def test_every_key_that_a_page_asks_for_is_there() -> None:
    assert set(LITERAL.findall(sources())) <= load_texts("zh").by_key.keys()


@pytest.mark.parametrize("section", VOCABULARIES)
def test_a_vocabulary_is_translated_whole_and_holds_nothing_else(section: str) -> None:
    keys = load_texts("zh").by_key
    assert {key for key in keys if key.startswith(f"{section}.")} == {
        f"{section}.{word}" for word in VOCABULARIES[section]
    }


def test_every_action_of_the_audit_log_has_a_name() -> None:
    keys = load_texts("zh").by_key
    named = {key.removeprefix("action.") for key in keys if key.startswith("action.")}
    earlier = {"watchlist.add"}  # in the logs of databases that are older than the states
    assert named == actions() | earlier


def test_no_key_is_unused() -> None:
    quoted = set(QUOTED.findall(sources()))
    composed = {f"{section}.{name}" for section, names in COMPOSED.items() for name in names}
    unused = {
        key
        for key in load_texts("zh").by_key
        if key.split(".")[0] not in {*VOCABULARIES, "action"}
    } - quoted - composed  # fmt: skip
    assert unused == set()


def test_a_sites_own_code_is_shown_as_it_is() -> None:
    texts = load_texts("zh")
    assert texts.code("purpose", "border_control") == "border_control"
    assert texts.code("purpose", "stolen_vehicle") == "被盗抢车辆"
