"""A route as a report to print: the sightings in order, and the legs between them."""

import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from server.exports.fonts import Font
from server.exports.package import Pages, local
from server.trajectories.route import Leg, Trajectory

_FLAGS: Final = {
    "believable": "正常",
    "fast": "偏快",
    "slow": "偏慢（停留或漏拍）",
    "impossible": "不可能（套牌或时钟）",
}


def report_of(
    trajectory: Trajectory, about: Mapping[str, str], font: Font, zone: ZoneInfo, made_at: datetime
) -> bytes:
    """The PDF."""
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
