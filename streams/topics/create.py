"""Make what is missing, and give the log its identity. May be repeated, and resumed wherever it was cut."""

import re
from collections.abc import Callable
from uuid import UUID

import msgspec
from aiokafka import TopicPartition

from consentry.errors import ConsentryError, UntrustedLog
from consentry.events import Genesis
from consentry.settings import Settings
from streams.topics.check import (
    Finding,
    Survey,
    findings_of,
    intake_head,
    producers_of,
    replicas_wanted,
    settings_findings,
    subject_ids_of,
    survey_topics,
)
from streams.topics.cluster import PlannedTopic, connect
from streams.topics.geneses import Beginning, holding_records, only_creator, write_geneses
from streams.topics.table import INTAKE, LOG, POLICIES, TOPICS, Spread, TopicRule, demands_on

FIRST_EPOCH = 1
_NAME = re.compile(r"[A-Za-z0-9._-]{0,100}", re.ASCII)
_DERIVED = ("consent-state", "consent-obligations")


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """What `create_topics` found and did."""

    identity: Genesis
    made: tuple[str, ...]
    kept: tuple[str, ...]
    geneses_written: int


def silent(_: str) -> None:
    """Progress that nobody wants to see."""


async def create_topics(
    settings: Settings,
    *,
    new_log_id: Callable[[], UUID],
    on_progress: Callable[[str], None] = silent,
) -> Creation:
    """Every topic of the table, and one for each producer of `settings.intake_producers`.

    What exists is left as it is: where it differs, UntrustedLog says how, and nothing is made. `new_log_id`
    is asked once, if no partition has a genesis yet. Raises Unavailable; then it may be repeated.
    """
    _check_numbers(settings)
    _check_names(settings)
    before = await survey_topics(settings)
    _refuse(list(settings_findings(settings, before)))
    planned = _plan(settings, before)
    on_progress(f"{len(planned)} topics to create, {len(before.topics)} there")
    async with connect(settings) as cluster:
        made = await cluster.create(planned)
    survey = await survey_topics(settings)
    written = 0
    if any(beginning.genesis is None for beginning in survey.beginnings):
        on_progress("giving the log its identity")
        async with only_creator(settings, settings.topic(POLICIES.name)):
            written = await _complete(settings, await survey_topics(settings), new_log_id)
        survey = await survey_topics(settings)
    _refuse(findings_of(settings, survey))
    assert survey.identity is not None  # or there were findings
    return Creation(
        identity=survey.identity,
        made=made,
        kept=tuple(topic.name for topic in before.topics),
        geneses_written=written,
    )


def _check_numbers(settings: Settings) -> None:
    for number, least, where in (
        (settings.partitions, 1, "partitions"),
        (settings.replication_factor, 0, "replication_factor"),
    ):
        if number < least:
            raise ConsentryError(f"{number} is too few", where=where, remedy=f"at least {least}")


def _check_names(settings: Settings) -> None:
    for name, where in (
        (settings.topic_prefix, "topic prefix"),
        *((producer, "producer") for producer in producers_of(settings)),
    ):
        if not _NAME.fullmatch(name):
            raise ConsentryError(
                f"{name[:40]!r} cannot be part of a topic's name",
                where=where,
                remedy="at most 100 of A-Z a-z 0-9 . _ -",
            )


def _refuse(findings: list[Finding]) -> None:
    if not findings:
        return
    raise UntrustedLog(
        "; ".join(str(finding) for finding in findings),
        where="existing topics",
        remedy=f"`create` changes none of them; {findings[0].remedy}",
    )


def _plan(settings: Settings, survey: Survey) -> list[PlannedTopic]:
    replicas = replicas_wanted(settings, survey.brokers)
    log = survey.topic(settings.topic(LOG.name))
    as_the_log = log.partitions if log else settings.partitions
    names: list[tuple[str, TopicRule]] = [(settings.topic(rule.name), rule) for rule in TOPICS if not rule.per_producer]
    names += [(intake_head(settings) + producer, INTAKE) for producer in producers_of(settings)]
    return [
        PlannedTopic(
            name=name,
            partitions=1 if rule.spread is Spread.ONE else as_the_log,
            replicas=replicas,
            settings={demand.setting: demand.value for demand in demands_on(rule, replicas)},
        )
        for name, rule in names
        if survey.topic(name) is None
    ]


async def _complete(settings: Settings, survey: Survey, new_log_id: Callable[[], UUID]) -> int:
    """Write the missing geneses."""
    empty = [beginning for beginning in survey.beginnings if beginning.empty]
    if not empty:
        return 0
    await _refuse_lost(settings, survey, empty[0])
    identity = survey.identity
    if identity is None:
        log = survey.topic(settings.topic(LOG.name))
        assert log is not None  # it was created above
        identity = Genesis(
            log_id=new_log_id(),
            epoch=FIRST_EPOCH,
            partitions=log.partitions,
            subject_ids=subject_ids_of(settings),
        )
    await write_geneses(settings, identity, [TopicPartition(found.topic, found.partition) for found in empty])
    return len(empty)


async def _refuse_lost(settings: Settings, survey: Survey, empty: Beginning) -> None:
    """A partition that is empty beside others in use was not cut short in the making: it lost its records."""
    used = [f"{b.topic}-{b.partition}" for b in survey.beginnings if b.offset_next > 1 or b.offset_first > 0]
    derived = [
        TopicPartition(topic.name, partition)
        for topic in survey.topics
        if topic.name in {settings.topic(name) for name in _DERIVED}
        for partition in range(topic.partitions)
    ]
    used += [f"{place.topic}-{place.partition}" for place in await holding_records(settings, derived)]
    if used:
        raise UntrustedLog(
            f"it is empty, but {used[0]} is not: the records that were here are lost",
            where=f"{empty.topic}-{empty.partition}",
            remedy="restore it, or delete every topic of this prefix: an empty log forgets withdrawals",
        )
