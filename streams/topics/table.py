"""What has to hold for each topic, said once: `create` makes it so, `check` compares."""

from enum import StrEnum

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
INTAKE_RETENTION_MS = 30 * DAY_MS
DECISION_RETENTION_MS = (3 * 365 + 1) * DAY_MS
BATCH_BYTES = 1_048_588
"""Kafka's own default: a batch of one MiB and its header"""
LARGE_BATCH_BYTES = 2_097_152
"""of what wraps a whole record of another topic, or a policy with its text"""


class Match(StrEnum):
    """How a live setting is held against the value here."""

    EXACTLY = "exactly"
    AT_LEAST = "at least"
    AT_MOST = "at most"


class Spread(StrEnum):
    """How many partitions a topic has."""

    ONE = "one"
    AS_THE_LOG = "as many as consent-events"
    FREE = "as many as consent-events when created, then any number"


class Demand(msgspec.Struct, frozen=True):
    """One setting of one topic. -1 is Kafka's word for no end."""

    setting: str
    value: str
    why: str
    match: Match = Match.EXACTLY

    def met_by(self, live: str) -> bool:
        if self.match is Match.EXACTLY:
            return live == self.value
        if self.match is Match.AT_LEAST:
            return _amount(live) >= _amount(self.value)
        return _amount(live) <= _amount(self.value)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        return float("nan")  # compares false: never met
    return float("inf") if amount == -1 else amount


class TopicRule(msgspec.Struct, frozen=True, kw_only=True):
    """A topic, without the prefix of the cluster."""

    name: str
    key: str
    what: str
    spread: Spread
    demands: tuple[Demand, ...]
    identified: bool = False
    """record 0 of each partition is a Genesis, and no record ever goes"""
    per_producer: bool = False
    """`name` is followed by a dot and the producer's name"""


def _at_least(setting: str, value: int, why: str) -> Demand:
    return Demand(setting, str(value), why, Match.AT_LEAST)


def _at_most(setting: str, value: float, why: str) -> Demand:
    return Demand(setting, str(value), why, Match.AT_MOST)


_EVERY = (
    Demand(
        "message.timestamp.type",
        "LogAppendTime",
        "the broker's clock counts: a writer's clock must neither date a record nor let it expire",
    ),
    Demand(
        "unclean.leader.election.enable",
        "false",
        "a replica that is behind would drop acknowledged withdrawals",
    ),
)
_FOR_EVER = (
    Demand("cleanup.policy", "delete", "compaction would drop acts that are evidence, and leave gaps"),
    Demand("retention.ms", "-1", "the truth may not expire"),
    Demand("retention.bytes", "-1", "the truth may not be cut to size"),
)
_COMPACTED = (
    Demand("cleanup.policy", "compact", "the newest row of each key stays for ever"),
    _at_most("min.cleanable.dirty.ratio", 0.1, "a restore reads little that is out of date"),
    _at_most("segment.ms", HOUR_MS, "the open segment is never compacted, so it must close"),
    _at_most("max.compaction.lag.ms", 6 * HOUR_MS, "what was erased is gone from the disk within hours"),
    _at_least("delete.retention.ms", 7 * DAY_MS, "a reader that was away for days still sees a deletion"),
)


def _batch(size: int) -> Demand:
    return _at_least("max.message.bytes", size, "a batch of ours must fit")


TOPICS: tuple[TopicRule, ...] = (
    TopicRule(
        name="consent-intake",
        key="any",
        what="events of one service that writes through Kafka; its ACL is the service's identity",
        spread=Spread.FREE,
        demands=(
            *_EVERY,
            Demand("cleanup.policy", "delete", "compaction would drop events that were not taken in yet"),
            _at_least("retention.ms", INTAKE_RETENTION_MS, "an outage of days must not lose an event"),
            _at_least("retention.bytes", -1, "an outage of days must not lose an event"),
            _batch(BATCH_BYTES),
        ),
        per_producer=True,
    ),
    TopicRule(
        name="consent-events",
        key="subject",
        what="the log: every event of every subject, in order, for ever",
        spread=Spread.AS_THE_LOG,
        demands=(*_EVERY, *_FOR_EVER, _batch(BATCH_BYTES)),
        identified=True,
    ),
    TopicRule(
        name="policy-revisions",
        key="policy id",
        what="every revision of the policy, and what concerns everybody",
        spread=Spread.ONE,
        demands=(*_EVERY, *_FOR_EVER, _batch(LARGE_BATCH_BYTES)),
        identified=True,
    ),
    TopicRule(
        name="consent-state",
        key="subject",
        what="the row of each subject, each in its events' partition; watermarks with heartbeats",
        spread=Spread.AS_THE_LOG,
        demands=(*_EVERY, *_COMPACTED, _batch(LARGE_BATCH_BYTES)),
    ),
    TopicRule(
        name="consent-obligations",
        key="obligation id (in its subject's partition)",
        what="what others must do, by when and why",
        spread=Spread.AS_THE_LOG,
        demands=(*_EVERY, *_COMPACTED, _batch(BATCH_BYTES)),
    ),
    TopicRule(
        name="consent-quarantine",
        key="subject or none",
        what="what could not be taken in or folded: raw bytes, position, error",
        spread=Spread.FREE,
        demands=(*_EVERY, *_FOR_EVER, _batch(LARGE_BATCH_BYTES)),
    ),
    TopicRule(
        name="consent-decisions",
        key="subject",
        what="decisions as they were answered; each can be derived again from the log",
        spread=Spread.FREE,
        demands=(
            *_EVERY,
            Demand("cleanup.policy", "delete", "each answer counts, not only a subject's last"),
            _at_least("retention.ms", DECISION_RETENTION_MS, "an audit asks about years"),
            _at_least("retention.bytes", -1, "an audit asks about years"),
            _batch(BATCH_BYTES),
        ),
    ),
)

LOG = next(rule for rule in TOPICS if rule.name == "consent-events")
POLICIES = next(rule for rule in TOPICS if rule.name == "policy-revisions")
INTAKE = next(rule for rule in TOPICS if rule.per_producer)


def demands_on(rule: TopicRule, replicas: int) -> tuple[Demand, ...]:
    """What has to hold for `rule` where each partition has so many replicas."""
    in_sync = 2 if replicas >= 3 else 1
    why = "an acknowledged record lies on more than one disk" if in_sync > 1 else "writes must be acknowledged"
    return (*rule.demands, _at_least("min.insync.replicas", in_sync, why))
