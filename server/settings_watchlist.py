"""server.toml, the sections about watchlists and the cases they serve."""

from pydantic import Field

from server.settings_section import Section


class WatchlistSettings(Section):
    """Entries of the watchlist."""

    reasons: tuple[str, ...] = Field(
        default=(
            "stolen",
            "wanted",
            "cloned",
            "kidnapping",
            "missing_person",
            "hit_and_run",
            "overdue_inspection",
            "other",
        ),
        min_length=1,
        description="The reasons (布控原因) an entry may give.",
    )
    overdue_s: float = Field(
        default=7200.0,
        ge=60,
        le=30 * 86_400,
        description="An entry that waits longer for its review or approval is overdue.",
    )
    urgent_s: float = Field(
        default=7200.0,
        ge=60,
        le=7 * 86_400,
        description="An urgent entry lapses if nobody has approved it within this time.",
    )
    max_tolerance: float = Field(
        default=0.9, gt=0, le=1, description="The widest tolerance that a fuzzy entry may have."
    )
    preview_days: int = Field(
        default=7, ge=1, le=31, description="A preview looks at the passages of so many days."
    )
    max_import_rows: int = Field(
        default=20_000, ge=1, le=1_000_000, description="Most entries in one imported file."
    )


class CaseSettings(Section):
    """Case files."""

    kinds: tuple[str, ...] = Field(
        default=(
            "criminal",
            "clue",
            "traffic_accident",
            "hit_and_run",
            "lost_property",
            "missing_person",
            "citizen_service",
            "other",
        ),
        min_length=1,
        description="The kinds (案件类别) of which a case may be.",
    )
