"""A route as a file to take away: GeoJSON, GPX, KML, or a report as PDF with its pictures.

What was inferred is marked as such in each of them. The account is on the log before the first
byte leaves, with the file's hash, as of every export.
"""

import json
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from server.auth.sight import sight_of
from server.context import AppContext
from server.errors import InvalidRequest
from server.exports.fonts import chinese_font
from server.exports.service import PDF, ExportedFile, about_of, made_of, new_file, said_of
from server.passages.lookup import Inquiry, in_utc, record, stated
from server.passages.patterns import normal_pattern
from server.trajectories.drawing import geojson, gpx, kml
from server.trajectories.route import Trajectory
from server.trajectories.service import look_alikes_of, trajectory_of

MEDIA_TYPES: Final = {
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "kml": "application/vnd.google-earth.kml+xml",
    "pdf": PDF,
}


def export_trajectory(  # noqa: PLR0913 - whose route, of when, for whom, as what
    context: AppContext,
    plate: str,
    inquiry: Inquiry,
    ending: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ExportedFile:
    """Write the route of a whole plate as ``geojson``, ``gpx``, ``kml`` or ``pdf``.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: not a whole plate, an empty period, or no such format.
        ApprovalNeeded: it goes further back than is open to him.
        Unavailable: there is no font for the PDF.
    """
    if ending not in MEDIA_TYPES:
        raise InvalidRequest(f"format: one of {', '.join(MEDIA_TYPES)}", field="format")
    settings = context.settings
    purpose = stated(inquiry, settings)
    whole = normal_pattern(plate)
    with context.database.read() as session:
        sight = sight_of(
            session, inquiry.account, inquiry.now, settings,
            case_number=purpose.case_number, plate=whole,
        )  # fmt: skip
        since, until = sight.reach(in_utc("since", since)), in_utc("until", until)
        trajectory = trajectory_of(
            session, plate, since=since, until=until, sight=sight, settings=settings.trajectory,
            traffic=context.traffic.get(session),
            look_alikes=look_alikes_of(
                session, whole, inquiry.now, context.plates, settings.trajectory
            ),
            details=False,
        )  # fmt: skip
    name = f"trajectory-{inquiry.now:%Y%m%d-%H%M%S}.{ending}"
    with new_file() as file:
        file.write(_written(context, trajectory, inquiry, ending))
        made = made_of(file, name, MEDIA_TYPES[ending], len(trajectory.stops))
        detail = {
            "plate": trajectory.plate,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
        }
        with context.database.write() as session:
            record(session, inquiry, "export.trajectory", purpose, detail, **said_of(made))
    return made


def _written(context: AppContext, trajectory: Trajectory, inquiry: Inquiry, ending: str) -> bytes:
    if ending == "geojson":
        return json.dumps(geojson(trajectory), ensure_ascii=False).encode()
    if ending in {"gpx", "kml"}:
        return gpx(trajectory) if ending == "gpx" else kml(trajectory)
    # see export_package
    from server.exports.route_report import report_of  # noqa: PLC0415

    font = chinese_font(context.settings.export.font_file)
    zone = ZoneInfo(context.settings.display.time_zone)
    return report_of(trajectory, about_of(inquiry, context), font, zone, inquiry.now)
