"""The numbers of a server process, in the form of Prometheus; :mod:`server.health` shows them.

Counts and times only: no plate, no name, no address.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The numbers of one application; safe to use from several threads."""

    def __init__(self) -> None:
        """Start at zero."""
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "kakou_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "kakou_request_seconds", "Time to an answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.passages = Counter(
            "kakou_passages", "Items of batches, by what became of them.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self.hits = Counter("kakou_hits", "Passages that an entry looks for.", registry=registry)
        self.commit_seconds = Histogram(
            "kakou_commit_seconds", "Time of an ingest transaction.",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.commit_passages = Histogram(
            "kakou_commit_passages", "Items in an ingest transaction.",
            buckets=(1, 3, 10, 30, 100, 300, 1000, 3000), registry=registry,
        )  # fmt: skip
        self.batches_inside = Gauge(
            "kakou_batches_inside", "Batches let in and not answered yet.", registry=registry
        )
        self.upkeep_failures = Counter(
            "kakou_upkeep_failures", "Steps of the upkeep that failed.", ["step"], registry=registry
        )
        self.alerts_risen = Counter(
            "kakou_alerts_risen", "Alerts unsigned for too long, by the level above to which they "
            "rose.", ["rank"], registry=registry,
        )  # fmt: skip
        self.alerts_overdue = Gauge(
            "kakou_alerts_overdue", "Live alerts that are overdue to be signed, now.",
            registry=registry,
        )  # fmt: skip
        self.notices = Counter(
            "kakou_notices", "Tries to tell somebody of an alert, by what followed.",
            ["channel", "state"], registry=registry,
        )  # fmt: skip

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is its pattern, never the address as sent."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def committed(self, items: int, seconds: float) -> None:
        """Count an ingest transaction."""
        self.commit_passages.observe(items)
        self.commit_seconds.observe(seconds)

    def receipt(self, outcomes: Sequence[str], left_out: int, hits: int) -> None:
        """Count what became of a batch."""
        for outcome in ("accepted", "duplicate", "rejected"):
            count = outcomes.count(outcome)
            if count:
                self.passages.labels(outcome).inc(count)
        if left_out:
            self.passages.labels("left_out").inc(left_out)
        if hits:
            self.hits.inc(hits)
