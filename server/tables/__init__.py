"""The whole schema: a module for each part of it, one door for all.

Two engines, one schema: SQLite (a county PC) and PostgreSQL (a city). Times are aware UTC,
positions WGS-84. No relationship is declared: every join is written where it is needed, so no
attribute access ever becomes a hidden query.

``counter`` rows give numbers in *commit* order: the row is locked from the moment a number is
taken until the transaction ends. A plain sequence would not do: number 6 may commit before
number 5, and a listener that has seen 6 would never ask for 5 again.
"""

from server.tables.accountability import (
    Approval,
    AuditRecord,
    CaseMember,
    ProtectedPlate,
    ProtectedSought,
)
from server.tables.accounts import (
    Area,
    AreaCheckpoint,
    LoginFailure,
    LoginSession,
    OidcLogin,
    User,
    UserArea,
)
from server.tables.alerts import Alert, AlertSighting
from server.tables.analyses import AnalysisFinding, AnalysisJob, CloneCandidate, CloneLesson
from server.tables.checkpoints import Agent, AgentCamera, AgentToken, Camera, Checkpoint
from server.tables.columns import NAME, PLATE_TEXT, Base, Counter, JsonValue, Packed, UtcDateTime
from server.tables.handling import (
    AlertFeedback,
    AlertOrder,
    AlertPicture,
    CaseAttachment,
    CaseFile,
    CaseOutcome,
    Notice,
)
from server.tables.packed import PackedChange, PackedName, PackedPeriod, PackedPlate
from server.tables.passages import (
    Deletion,
    Evidence,
    Passage,
    PassageHold,
    Plate,
    PlateCandidate,
    PlateJournal,
)
from server.tables.travel import RoadLink, TravelMark, TravelPair, TravelPlace, TravelTurn
from server.tables.watchlists import WatchlistEntry, WatchlistPerson, WatchlistStep

__all__ = [
    "NAME",
    "PLATE_TEXT",
    "Agent",
    "AgentCamera",
    "AgentToken",
    "Alert",
    "AlertFeedback",
    "AlertOrder",
    "AlertPicture",
    "AlertSighting",
    "AnalysisFinding",
    "AnalysisJob",
    "Approval",
    "Area",
    "AreaCheckpoint",
    "AuditRecord",
    "Base",
    "Camera",
    "CaseAttachment",
    "CaseFile",
    "CaseMember",
    "CaseOutcome",
    "Checkpoint",
    "CloneCandidate",
    "CloneLesson",
    "Counter",
    "Deletion",
    "Evidence",
    "JsonValue",
    "LoginFailure",
    "LoginSession",
    "Notice",
    "OidcLogin",
    "Packed",
    "PackedChange",
    "PackedName",
    "PackedPeriod",
    "PackedPlate",
    "Passage",
    "PassageHold",
    "Plate",
    "PlateCandidate",
    "PlateJournal",
    "ProtectedPlate",
    "ProtectedSought",
    "RoadLink",
    "TravelMark",
    "TravelPair",
    "TravelPlace",
    "TravelTurn",
    "User",
    "UserArea",
    "UtcDateTime",
    "WatchlistEntry",
    "WatchlistPerson",
    "WatchlistStep",
]
