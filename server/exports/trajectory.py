"""A route as a file to take away: GeoJSON, GPX, KML, or a report as PDF with its pictures.

What was inferred is marked as such in each of them. The account is on the log before the first
byte leaves, with the file's hash, as of every export.
"""

import json
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from server.auth.sight import sight_of
from server.context import AppContext
from server.errors import InvalidRequest
from server.exports.package import Font, Pages, chinese_font, local
from server.exports.service import PDF, ExportedFile, about_of, made_of, new_file, said_of
from server.passages.lookup import Inquiry, in_utc, record, stated
from server.passages.patterns import normal_pattern
from server.trajectories.drawing import geojson, gpx, kml
from server.trajectories.route import Leg, Trajectory
from server.trajectories.service import look_alikes_of, trajectory_of

MEDIA_TYPES: Final = {
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "kml": "application/vnd.google-earth.kml+xml",
    "pdf": PDF,
}
_FLAGS: Final = {
    "believable": "正常",
    "fast": "偏快",
    "slow": "偏慢（停留或漏拍）",
    "impossible": "不可能（套牌或时钟）",
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
    font = chinese_font(context.settings.export.font_file)
    zone = ZoneInfo(context.settings.display.time_zone)
    return _report(trajectory, about_of(inquiry, context), font, zone, inquiry.now)


def _report(
    trajectory: Trajectory, about: Mapping[str, str], font: Font, zone: ZoneInfo, made_at: datetime
) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fonts' optional tables
        pdf = Pages(font)
        pdf.set_creation_date(made_at)
        pdf.set_title("车辆轨迹")
        pdf.add_page()
        pdf.line_of(f"车辆轨迹  {trajectory.plate}", 18, 13)
        pdf.line_of("Route of a vehicle", 11, 9)
        for name, value in about.items():
            pdf.fact(name, value)
        pdf.fact("过车 / 出行 / 里程", f"{len(trajectory.stops)} / {len(trajectory.trips)} / "
                 f"{trajectory.distance_m / 1000:.1f} km")  # fmt: skip
        if trajectory.vehicles > 1:
            pdf.text_of("同一号牌出现在不同车辆上，或有识读错误：以 车辆 # 区分。", 10)
        into: dict[int, list[Leg]] = {}
        for leg in trajectory.legs:
            into.setdefault(leg.to_number, []).append(leg)
        for stop in trajectory.stops:
            for leg in into.get(stop.number, ()):
                pdf.text_of(_leg_said(leg), 8)
            vehicle = f"  车辆 #{stop.vehicle}" if trajectory.vehicles > 1 else ""
            misread = f"  识读为 {stop.read_as}" if stop.read_as else ""
            clock = f"  时钟快 {stop.clock_offset_s:.0f} s" if stop.clock_offset_s else ""
            pdf.line_of(
                f"{stop.number}.  {local(stop.first_seen_at, zone)}  {stop.place.name}"
                f"{vehicle}{misread}{clock}",
                10,
                7,
            )
        pdf.ln(3)
        pdf.text_of("推断的卡口没有拍到该车，仅为可能经过，并注明概率。"
                    "Inferred checkpoints did not see the vehicle.", 9)  # fmt: skip
        return bytes(pdf.output())


def _leg_said(leg: Leg) -> str:
    said = f"      ↓ {leg.distance_m / 1000:.1f} km  {leg.duration_s / 60:.1f} min"
    if leg.speed_kmh is not None:
        said += f"  {leg.speed_kmh:.0f} km/h"
    said += f"  {_FLAGS[leg.flag]}"
    if leg.between:
        said += "  推断经过 " + "、".join(
            f"{one.place.name} ({one.probability:.0%})" for one in leg.between
        )
    return said
