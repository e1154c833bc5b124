"""The live topics against the table: what is wrong, and how to mend it. Changes nothing."""

from collections.abc import Iterator
from uuid import UUID

import msgspec
from aiokafka import TopicPartition

from consentry.errors import UntrustedLog
from consentry.events import Genesis
from consentry.settings import Settings
from consentry.terms import SubjectIds
from streams.topics.cluster import LiveTopic, connect
from streams.topics.geneses import Beginning, read_beginnings
from streams.topics.table import INTAKE, LOG, TOPICS, Demand, Match, Spread, TopicRule, demands_on


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it has to be."""

    topic: str
    setting: str
    found: str
    expected: str
    remedy: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.found}, must be {self.expected}"


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's topics as they are."""

    brokers: int
    topics: tuple[LiveTopic, ...]
    beginnings: tuple[Beginning, ...] = ()

    def topic(self, name: str) -> LiveTopic | None:
        return next((topic for topic in self.topics if topic.name == name), None)

    @property
    def identity(self) -> Genesis | None:
        """What the first genesis found says."""
        return next((beginning.genesis for beginning in self.beginnings if beginning.genesis), None)


async def survey_topics(settings: Settings) -> Survey:
    """Raises Unavailable."""
    names = [settings.topic(rule.name) for rule in TOPICS if not rule.per_producer]
    async with connect(settings) as cluster:
        brokers = await cluster.brokers()
        topics = await cluster.topics(wanted=names, beginning=[intake_head(settings)])
    identified = {settings.topic(rule.name) for rule in TOPICS if rule.identified}
    places = [
        TopicPartition(topic.name, partition)
        for topic in topics
        if topic.name in identified and not topic.leaderless
        for partition in range(topic.partitions)
    ]
    beginnings = await read_beginnings(settings, places)
    return Survey(brokers=brokers, topics=topics, beginnings=beginnings)


def intake_head(settings: Settings) -> str:
    """How the name of each intake topic begins."""
    return f"{settings.topic(INTAKE.name)}."


def producers_of(settings: Settings) -> tuple[str, ...]:
    """The producers that are named in the settings."""
    return tuple(name.strip() for name in settings.intake_producers.split(",") if name.strip())


async def check_topics(settings: Settings) -> list[Finding]:
    """Everything that is not as the table says; empty: all is well. Raises Unavailable."""
    return findings_of(settings, await survey_topics(settings))


async def require_topics(settings: Settings) -> Genesis:
    """What a worker or a node calls before it serves: the log's identity.

    Raises UntrustedLog naming the first setting that is wrong and how to mend it; Unavailable.
    """
    survey = await survey_topics(settings)
    findings = findings_of(settings, survey)
    if findings:
        first, more = findings[0], len(findings) - 1
        others = f"; {more} more: `consentry topics check` shows them" if more else ""
        raise UntrustedLog(
            f"{first.setting} is {first.found}, must be {first.expected}{others}",
            where=first.topic,
            remedy=first.remedy,
        )
    assert survey.identity is not None  # or there were findings
    return survey.identity


async def read_identity(settings: Settings) -> Genesis:
    """Which log this is, by its geneses. Raises UntrustedLog where one is missing or differs; Unavailable."""
    survey = await survey_topics(settings)
    findings = [*_missing(settings, survey), *_genesis_findings(settings, survey)]
    if findings or survey.identity is None:
        raise UntrustedLog(
            str(findings[0]) if findings else "it has no genesis",
            where=settings.topic(LOG.name),
            remedy=findings[0].remedy if findings else "consentry topics create",
        )
    return survey.identity


def findings_of(settings: Settings, survey: Survey) -> list[Finding]:
    """Pure: the survey against the table and the settings."""
    return [
        *_missing(settings, survey),
        *settings_findings(settings, survey),
        *_genesis_findings(settings, survey),
    ]


def _missing(settings: Settings, survey: Survey) -> Iterator[Finding]:
    wanted = [settings.topic(rule.name) for rule in TOPICS if not rule.per_producer]
    wanted += [intake_head(settings) + producer for producer in producers_of(settings)]
    for name in wanted:
        if survey.topic(name) is None:
            yield Finding(
                topic=name,
                setting="the topic",
                found="missing",
                expected="there",
                remedy="consentry topics create",
                why="nothing can be read from it or written to it",
            )


def rule_of(settings: Settings, name: str) -> TopicRule:
    """The rule for a topic of ours by its name on the cluster."""
    if name.startswith(intake_head(settings)):
        return INTAKE
    return next(rule for rule in TOPICS if settings.topic(rule.name) == name)


def settings_findings(settings: Settings, survey: Survey) -> Iterator[Finding]:
    """Settings, partitions and replicas of the topics that exist."""
    log = survey.topic(settings.topic(LOG.name))
    log_partitions = log.partitions if log else settings.partitions
    if survey.identity is not None:
        log_partitions = survey.identity.partitions
    for topic in survey.topics:
        rule = rule_of(settings, topic.name)
        for demand in demands_on(rule, topic.replicas):
            live = topic.settings.get(demand.setting, "unknown")
            if not demand.met_by(live):
                yield _wrong_setting(settings, topic.name, demand, live)
        yield from _wrong_partitions(topic, rule, log_partitions)
        yield from _wrong_replicas(settings, survey, topic)


def _wrong_setting(settings: Settings, topic: str, demand: Demand, live: str) -> Finding:
    expected = demand.value if demand.match is Match.EXACTLY else f"{demand.match} {demand.value}"
    value = demand.value
    return Finding(
        topic=topic,
        setting=demand.setting,
        found=live or "empty",
        expected=expected,
        remedy=(
            f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --topic {topic}"
            f" --add-config {demand.setting}={value}"
        ),
        why=demand.why,
    )


def _wrong_partitions(topic: LiveTopic, rule: TopicRule, log_partitions: int) -> Iterator[Finding]:
    wanted = {Spread.ONE: 1, Spread.AS_THE_LOG: log_partitions, Spread.FREE: topic.partitions}[rule.spread]
    if topic.partitions != wanted:
        yield Finding(
            topic=topic.name,
            setting="partitions",
            found=str(topic.partitions),
            expected=str(wanted),
            remedy=(
                "Kafka takes no partition away: restore the topic as it was, or replay the log into a new one"
                " of that many partitions, its next epoch"
            ),
            why="a subject's events and row lie in the partition that its id and their number give",
        )
    if topic.leaderless:
        yield Finding(
            topic=topic.name,
            setting="partitions without a leader",
            found=str(topic.leaderless),
            expected="0",
            remedy="bring back the brokers that hold them",
            why="nobody can read or write them",
        )


def _wrong_replicas(settings: Settings, survey: Survey, topic: LiveTopic) -> Iterator[Finding]:
    wanted = replicas_wanted(settings, survey.brokers)
    if topic.replicas < wanted:
        yield Finding(
            topic=topic.name,
            setting="replicas",
            found=str(topic.replicas),
            expected=f"at least {wanted}",
            remedy=(
                f"kafka-reassign-partitions.sh --bootstrap-server {settings.bootstrap_servers} with {wanted}"
                f" replicas for each partition; or, if you mean it so,"
                f" CONSENTRY_REPLICATION_FACTOR={topic.replicas}"
            ),
            why="what was acknowledged must outlive a broker",
        )


def replicas_wanted(settings: Settings, brokers: int) -> int:
    return settings.replication_factor or (3 if brokers >= 3 else 1)


def subject_ids_of(settings: Settings) -> SubjectIds:
    """Which ids a log made or used with these settings holds."""
    return SubjectIds.HASHED if settings.subject_pepper else SubjectIds.PLAIN


def _genesis_findings(settings: Settings, survey: Survey) -> Iterator[Finding]:
    identity = survey.identity
    for beginning in survey.beginnings:
        yield from _wrong_beginning(beginning, identity)
    if identity is None:
        return
    wanted = subject_ids_of(settings)
    if identity.subject_ids is not wanted:
        remedy = {
            SubjectIds.PLAIN: "unset CONSENTRY_SUBJECT_PEPPER: this log was made without it",
            SubjectIds.HASHED: "set CONSENTRY_SUBJECT_PEPPER to the pepper that this log was made with",
        }[identity.subject_ids]
        yield Finding(
            topic=settings.topic(LOG.name),
            setting="subject ids by these settings",
            found=wanted,
            expected=identity.subject_ids,
            remedy=remedy,
            why="one person under two ids: a withdrawal under one would not stop the other",
        )


def _wrong_beginning(beginning: Beginning, identity: Genesis | None) -> Iterator[Finding]:
    where = f"{beginning.topic}-{beginning.partition}"
    restore = "restore the topic from its copy, or delete every topic of this prefix and create them anew"
    if beginning.offset_first > 0:
        yield Finding(
            topic=where,
            setting="first offset",
            found=str(beginning.offset_first),
            expected="0",
            remedy=f"records were deleted: {restore}",
            why="a withdrawal may be among what is gone",
        )
    elif beginning.genesis is None:
        yield Finding(
            topic=where,
            setting="genesis",
            found="missing" if beginning.empty else "another record",
            expected="record 0",
            remedy=(
                f"consentry topics create (if it was cut short); if records were there once: {restore}"
                if beginning.empty
                else restore
            ),
            why="without it nobody can tell this log from another of the same name",
        )
    elif beginning.genesis != identity:
        yield Finding(
            topic=where,
            setting="genesis",
            found=_identity_text(beginning.genesis),
            expected=_identity_text(identity),
            remedy=f"it is of another log: {restore}",
        )


def _identity_text(genesis: Genesis | None) -> str:
    if genesis is None:
        return "none"
    log: UUID = genesis.log_id
    return f"log {log} epoch {genesis.epoch} of {genesis.partitions} partitions, {genesis.subject_ids} ids"
