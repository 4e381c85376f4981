"""Who may see what: the one question that every look at passages asks first.

::

    sight = sight_of(session, account, now, settings, case_number=…, plate=…)
    since = sight.reach(query.since)                       # how far back, or ApprovalNeeded
    statement = statement.where(*sight.conditions(Passage))  # in SQL
    sight.shows(plate, checkpoint_id)                      # the same in Python

Four rules:

* **area** (辖区): whoever does not see everywhere sees the checkpoints of his areas alone;
* **protected plates** (红名单): nobody but the custodian sees them. They are left out as if the
  vehicle had not passed, so that an answer does not tell that there was something to hide;
* **secret entries** (秘密布控): their alerts reach only the people whom the entry names, and
  whoever applied for it;
* **age**: what is older than ``approval.after_days`` is open to whoever holds an approval of
  another person for that case (:mod:`server.auth.approvals`), as far back as it says.

Everything that shows, counts, exports or analyses passages or alerts has to ask. Ingest and
matching do not: they work for nobody.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    cast,
    exists,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from server import audit
from server.auth.accounts import Account, Role
from server.errors import ApprovalNeeded
from server.settings import Settings
from server.tables import (
    Alert,
    Approval,
    AreaCheckpoint,
    Passage,
    ProtectedPlate,
    UserArea,
    UtcDateTime,
    WatchlistEntry,
    WatchlistPerson,
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one person may see, as of one transaction."""

    user_name: str
    checkpoint_ids: frozenset[str] | None
    """The only checkpoints he sees; None = all."""
    hidden_plates: frozenset[str]
    """Protected plates that he does not see; empty for the custodian."""
    floor: datetime | None
    """Nothing captured earlier is open to him; None = no limit."""

    def shows(self, plate: str, checkpoint_id: str) -> bool:
        """Whether he sees this plate at this checkpoint."""
        return plate not in self.hidden_plates and self.covers(checkpoint_id)

    def covers(self, checkpoint_id: str) -> bool:
        """Whether a checkpoint lies in his areas."""
        return self.checkpoint_ids is None or checkpoint_id in self.checkpoint_ids

    def conditions(self, table: type[Passage | Alert]) -> tuple[ColumnElement[bool], ...]:
        """The same for a statement on a table, to go into its WHERE.

        On passages nothing at all for whoever sees everything, so that his statements stay as fast
        as raw ones.
        """
        found: list[ColumnElement[bool]] = []
        if self.checkpoint_ids is not None:
            found.append(table.checkpoint_id.in_(_checkpoints_of(self.user_name)))
        if self.hidden_plates:
            found.append(not_protected(table.plate))
        if table is Alert:
            found.append(~_is_secret_to(self.user_name, Alert.entry_id))
        return tuple(found)

    def entries(self) -> tuple[ColumnElement[bool], ...]:
        """The same for a statement on the watchlist's entries: secret ones only if he is named."""
        return (~_is_secret_to(self.user_name, WatchlistEntry.id),)

    def reach(self, since: datetime | None) -> datetime | None:
        """How far back a query goes: as far as it asks, or without that as far as is open to him.

        Raises:
            ApprovalNeeded: it asks for more than is open to him.
        """
        if self.floor is None or (since is not None and since >= self.floor):
            return since
        if since is None:
            return self.floor
        raise ApprovalNeeded(
            f"since: what is older than {self.floor:%Y-%m-%d} needs an approval", field="since"
        )


def not_protected(plate: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """The condition that a row is of no protected plate."""
    protected = select(ProtectedPlate.plate).where(ProtectedPlate.lifted_at.is_(None))
    return plate.not_in(protected)


def sight_of(  # noqa: PLR0913 - who, when, by which rules, for what
    session: Session,
    account: Account,
    now: datetime,
    settings: Settings,
    *,
    case_number: str | None = None,
    plate: str | None = None,
) -> Sight:
    """What a person may see now; an accounted query gives its case number, and its plate.

    An approval counts if it is for the query's case (any case, if the query has none) and for
    any plate, or for the very plate or pattern that the query names, as it is normalised.

    Raises:
        TooManyRequests: he has made too many accounted queries within the hour.
    """
    if case_number:
        audit.require_pace(session, account.name, now, settings.limits)
    protected, floor = _limits(
        session, account, now, settings.approval.after_days, case_number, plate
    )
    return Sight(
        user_name=account.name,
        checkpoint_ids=None
        if account.sees_everywhere
        else frozenset(session.scalars(_checkpoints_of(account.name))),
        hidden_plates=frozenset() if account.role.covers(Role.CUSTODIAN) else protected,
        floor=floor,
    )


_GRANTED = select(literal(""), Approval.since).where(
    Approval.user_name == bindparam("user"),
    Approval.state == "approved",
    Approval.expires_at > bindparam("now"),
    or_(Approval.plate == "", Approval.plate == bindparam("plate")),
)
_PROTECTED = select(ProtectedPlate.plate, cast(null(), UtcDateTime)).where(
    ProtectedPlate.lifted_at.is_(None)
)
# made once, and two short lists in one go: every search asks
_LIMITS = union_all(_PROTECTED, _GRANTED)
_LIMITS_FOR_CASE = union_all(
    _PROTECTED, _GRANTED.where(Approval.case_number == bindparam("case_number"))
)
"""Rows of a protected plate and nothing, or of nothing and how far back an approval reaches."""


def _checkpoints_of(user_name: str) -> Select[str]:
    return (
        select(AreaCheckpoint.checkpoint_id)
        .join(UserArea, UserArea.area_id == AreaCheckpoint.area_id)
        .where(UserArea.user_name == user_name)
    )


def _is_secret_to(user_name: str, entry_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Whether a row's entry is a secret one (秘密布控) that somebody must not learn of.

    Asked of each row that is found, by its entry's key. To list the secret entries first, a list of
    a million would be gone through each time a wall is told of an alert.
    """
    entry = aliased(WatchlistEntry)
    named = select(WatchlistPerson.entry_id).where(WatchlistPerson.user_name == user_name)
    return (
        exists()
        .where(
            entry.id == entry_id,
            entry.secret.is_(True),
            entry.created_by != user_name,
            entry.id.not_in(named),
        )
        .correlate(entry_id.parent.local_table)
    )


def _limits(  # noqa: PLR0913, PLR0917 - as of sight_of
    session: Session,
    account: Account,
    now: datetime,
    after_days: int,
    case_number: str | None,
    plate: str | None,
) -> tuple[frozenset[str], datetime | None]:
    """The plates that are protected now, and how far back he may look; None = any far."""
    asked = {"user": account.name, "now": now, "plate": plate or ""}
    if case_number is None:
        rows = session.connection().execute(_LIMITS, asked).all()
    else:
        asked |= {"case_number": case_number.strip()}
        rows = session.connection().execute(_LIMITS_FOR_CASE, asked).all()
    protected = frozenset(plate for plate, since in rows if since is None)
    if after_days == 0:
        return protected, None
    # whole days, so that "90 days ago", typed a minute ago, is not a minute too far
    oldest = (now - timedelta(days=after_days)).astimezone(UTC)
    oldest = oldest.replace(hour=0, minute=0, second=0, microsecond=0)
    return protected, min([oldest, *(since for _, since in rows if since is not None)])
