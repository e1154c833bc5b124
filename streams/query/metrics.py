"""What a query node counts, for Prometheus. No subject, purpose or key is a label."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from consentry.decision import Decision
from consentry.policy import ALLOWING
from consentry.terms import ENGINE_VERSION, Reason
from streams.query.seams import Ends, Replica

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From what a check takes when all is well to what a waiting one may take.
LATENCY_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10)


class Metrics:
    """A registry of its own: two nodes in one process do not count together."""

    def __init__(self, replica: Replica, ends: Ends | None = None) -> None:
        self._registry = CollectorRegistry()
        self._decisions = Counter(
            "consentry_decisions",
            "Checks answered, by decision and reason",
            ["decision", "reason"],
            registry=self._registry,
        )
        # looking a label up costs as much as a tenth of a check: each is made once, and shows from the start
        self._counted = {
            (allow, reason): self._decisions.labels("allow" if allow else "deny", reason)
            for reason in Reason
            for allow in [reason in ALLOWING]
        }
        self._refusals = Counter(
            "consentry_refusals",
            "Requests answered with problem details, by route and code",
            ["route", "code"],
            registry=self._registry,
        )
        self._events = Counter(
            "consentry_events_appended",
            "Events acknowledged by all replicas of the log, by type",
            ["type"],
            registry=self._registry,
        )
        self.evaluation_seconds = Histogram(
            "consentry_evaluation_seconds",
            "From a check's arrival to its answer",
            buckets=LATENCY_BOUNDS_S,
            registry=self._registry,
        )
        self.search_seconds = Histogram(
            "consentry_search_seconds",
            "From a search's arrival to a page of its results",
            buckets=LATENCY_BOUNDS_S,
            registry=self._registry,
        )
        self.watchers = Gauge("consentry_watchers", "Those who are told of changes now", registry=self._registry)
        self.dropped = Counter(
            "consentry_watchers_dropped",
            "Watchers who read too slowly, or were told to come again",
            registry=self._registry,
        )
        self.append_seconds = Histogram(
            "consentry_append_seconds",
            "From an event's arrival to its acknowledgement, or its effect where that was waited for",
            buckets=LATENCY_BOUNDS_S,
            registry=self._registry,
        )
        self._registry.register(_ReplicaCollector(replica, ends))

    def decided(self, decision: Decision) -> None:
        self._counted[decision.allow, decision.reason].inc()

    def refused(self, route: str, code: str) -> None:
        self._refusals.labels(route, code).inc()

    def appended(self, event_type: str) -> None:
        self._events.labels(event_type).inc()

    def exposition(self) -> bytes:
        return generate_latest(self._registry)


class _ReplicaCollector:
    """Read when scraped: what the node knows, and how old that is."""

    def __init__(self, replica: Replica, ends: Ends | None) -> None:
        self._replica = replica
        self._ends = ends

    def collect(self) -> Iterator[Metric]:
        replica = self._replica
        yield GaugeMetricFamily("consentry_ready", "1 once all is caught up, else 0", value=float(replica.ready))
        staleness = GaugeMetricFamily(
            "consentry_staleness_ms",
            "How old the rows of a partition may be; absent where that cannot be proven",
            labels=["partition"],
        )
        offsets = GaugeMetricFamily(
            "consentry_watermark_offset", "Offset up to which a partition's rows are complete", labels=["partition"]
        )
        for partition, watermark in sorted(replica.watermarks.items()):
            age = replica.staleness_ms(partition)
            if age is not None:
                staleness.add_metric([str(partition)], age)
            offsets.add_metric([str(partition)], watermark.position.offset)
        yield staleness
        yield offsets
        if self._ends is not None:
            yield from self._of_kafka(self._ends)
        info = GaugeMetricFamily("consentry_engine_info", "The version of fold and decide", labels=["version"])
        info.add_metric([ENGINE_VERSION], 1)
        yield info

    def _of_kafka(self, ends: Ends) -> Iterator[Metric]:
        """What Kafka said last; absent while it does not answer."""
        lag = GaugeMetricFamily(
            "consentry_lag_records", "Events of the log that the rows seen here do not hold yet", labels=["partition"]
        )
        watermarks = self._replica.watermarks
        for partition, end in sorted(ends.of_log.items()):
            if partition in watermarks:
                lag.add_metric([str(partition)], max(0, end - 1 - watermarks[partition].position.offset))
        yield lag
        quarantine = GaugeMetricFamily(
            "consentry_quarantine_offset",
            "Where consent-quarantine ends: it rises when a record is set aside",
            labels=["partition"],
        )
        for partition, end in sorted(ends.of_quarantine.items()):
            quarantine.add_metric([str(partition)], end)
        yield quarantine
