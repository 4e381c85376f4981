"""The agent's figures for Prometheus. No figure and no label ever holds a plate."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from checkpoint_agent.health import Look

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(look: Look, alarms: tuple[str, ...]) -> bytes:
    """A look at the agent in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(look, alarms))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, look: Look, alarms: tuple[str, ...]) -> None:
        self._look = look
        self._alarms = alarms

    def collect(self) -> Iterator[Metric]:
        yield from _box(self._look)
        yield from _outbox(self._look)
        yield from _cameras(self._look)
        firing = GaugeMetricFamily("kakou_agent_alarm", "What to look at.", labels=["code"])
        for code in self._alarms:
            firing.add_metric([code], 1)
        yield firing


def _box(look: Look) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "kakou_agent_info",
        "What is at work.",
        labels=["agent", "version", "detector", "recogniser"],
    )
    models = look.models
    info.add_metric([look.agent_id, models.agent, models.detector, models.recogniser], 1)
    yield info
    vitals, clock = look.vitals, look.clock
    synchronised = None if clock.synchronised is None else float(clock.synchronised)
    figures = (
        ("up_seconds", "Since the start.", look.up_s),
        ("cpu_share", "Of all cores; 1 = all of them.", look.cpu_share),
        ("memory_bytes", "Resident.", vitals.memory_bytes),
        ("temperature_celsius", "The hottest sensor.", vitals.temperature_c),
        ("disk_free_bytes", "Where the outbox lies.", vitals.disk_free_bytes),
        ("disk_total_bytes", "Where the outbox lies.", vitals.disk_total_bytes),
        ("clock_synchronised", "1 if a time service disciplines it.", synchronised),
        ("clock_offset_ms", "This clock minus its reference.", clock.offset_ms),
        ("link_up", "1 if the server took what was sent last.", look.link_fault is None),
        ("watchlist_revision", "Of the copy on the box.", look.watchlist_revision),
        ("watchlist_age_seconds", "Since the server confirmed it.", look.watchlist_age_s),
        ("config_rejected", "1 if the file on the disk is faulty.", look.config_fault is not None),
    )
    for name, said, value in figures:
        if value is not None:
            yield GaugeMetricFamily(f"kakou_agent_{name}", said, value=float(value))
    yield CounterMetricFamily("kakou_agent_hook_runs", "Commands run.", value=look.hook_runs)
    yield CounterMetricFamily(
        "kakou_agent_hook_failures", "Commands that failed.", value=look.hook_failures
    )


def _outbox(look: Look) -> Iterator[Metric]:
    outbox = look.outbox
    age_s = 0.0 if outbox.oldest_at is None else (look.at - outbox.oldest_at).total_seconds()
    figures = (
        ("queued", "Passages that wait.", outbox.queued),
        ("dead_letters", "Passages that the server rejected.", outbox.dead),
        ("pictures", "Pictures that wait.", outbox.pictures),
        ("pictures_bytes", "Their size.", outbox.pictures_bytes),
        ("oldest_age_seconds", "Of the oldest passage that waits.", max(0.0, age_s)),
        ("unsaved", "Passages in memory alone: the disk takes nothing.", look.unsaved),
        ("damaged_files", "Databases that were set aside.", look.damaged_files),
    )
    for name, said, value in figures:
        yield GaugeMetricFamily(f"kakou_outbox_{name}", said, value=float(value))
    fate = CounterMetricFamily(
        "kakou_outbox_fate", "What became of passages and pictures.", labels=["fate"]
    )
    for name, times in sorted(outbox.counters.items()):
        fate.add_metric([name], times)
    yield fate


def _cameras(look: Look) -> Iterator[Metric]:
    labels = ["camera"]
    connected = GaugeMetricFamily("kakou_camera_connected", "1 if it gives frames.", labels=labels)
    rate = GaugeMetricFamily("kakou_camera_frames_per_second", "Looked at.", labels=labels)
    good = GaugeMetricFamily("kakou_camera_picture_good", "0 if it is bad.", labels=labels)
    counters = {
        name: CounterMetricFamily(f"kakou_camera_{name}", said, labels=labels)
        for name, said in (
            ("frames", "Looked at."),
            ("frames_dropped", "Nobody had time for them."),
            ("frames_broken", "Could not be decoded."),
            ("passages", "Vehicles."),
            ("reconnects", "How often it came back."),
            ("clock_jumps", "How often the time leapt."),
        )
    }
    for camera in look.cameras:
        name, state = [camera.state.camera_id], camera.state
        connected.add_metric(name, float(state.connected))
        rate.add_metric(name, state.frames_per_s)
        if state.picture is not None:
            good.add_metric(name, float(state.picture == "good"))
        counted = (camera.frames, state.frames_dropped, camera.broken, state.passages)
        for family, times in zip(
            counters.values(), (*counted, camera.reconnects, camera.clock_jumps), strict=True
        ):
            family.add_metric(name, times or 0)
    yield from (connected, rate, good, *counters.values())
