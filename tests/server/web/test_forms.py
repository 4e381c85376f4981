"""What is typed into forms, and where a log-in may lead."""

from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.web.forms import local_instant, local_path

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2026-11-22T18:15", datetime(2026, 11, 22, 10, 15, tzinfo=UTC)),
        ("2026-11-22T18:15:30", datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)),
        ("2026-01-01T00:00", datetime(2025, 12, 31, 16, 0, tzinfo=UTC)),
        ("", None),
        ("  ", None),
    ],
)
def test_a_time_is_read_in_the_zone_of_the_pages(typed: str, expected: datetime | None) -> None:
    assert local_instant(typed, SHANGHAI, "from") == expected


@pytest.mark.parametrize("typed", ["yesterday", "2026-13-01T00:00", "0001-01-01T00:00", "18:15"])
def test_what_is_no_time_is_refused_by_field(typed: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^from: not a time") as caught:
        local_instant(typed, SHANGHAI, "from")
    assert caught.value.field == "from"


@given(st.text(max_size=60) | st.text("/\\.:@ehtp\t\n%", max_size=30))
@example("//evil.example/")
@example("/\\evil.example")
@example("https://evil.example/")
@example("/\t/evil.example")
@example("\\\\evil.example")
def test_a_login_never_leads_off_this_server(text: str) -> None:
    path = local_path(text)
    # a browser drops tabs and newlines and reads backslashes as slashes
    as_read = path.replace("\\", "/").replace("\t", "").replace("\n", "").replace("\r", "")
    target = urlsplit(urljoin("https://kakou.test/login", as_read))
    assert (target.scheme, target.netloc) == ("https", "kakou.test")


@pytest.mark.parametrize("path", ["/wall", "/search", "/passages?checkpoint=kk-west&from="])
def test_a_path_of_ours_is_kept(path: str) -> None:
    assert local_path(path) == path
