"""IntakeDoor: the door for services that write through Kafka, one for each consent-intake.<producer>.

Each record is decoded, taken in and appended to the log, in its order. What is refused is set aside whole in
consent-quarantine, and where its subject can be read, the subject is quarantined in the log: the record might have
been a withdrawal. Nothing stops the partition and nothing vanishes. Only I/O raises.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from consentry.codec import decode_event
from consentry.errors import InvalidEvent, Unavailable, UndecodableRecord
from consentry.events import Actor, AnySubjectEvent, Genesis, QuarantinedRecord, SubjectQuarantined
from consentry.intake import (
    Accepted,
    Caller,
    CallerRole,
    Submission,
    fault_of_subject,
    quarantine_id,
    require_subject_ids,
    stored_subject,
    take_in,
)
from consentry.policy import Policies
from consentry.producer import UNKNOWN_OUTCOME
from consentry.settings import Settings
from consentry.terms import ActorRole, Channel
from streams.append import LogWriter

log = logging.getLogger(__name__)

POLL_S = 0.05
LOG_EVERY_S = 10.0
YIELD_EVERY = 50
"""records taken in before other tasks of the loop, heartbeats among them, have a turn"""
MAX_DETAIL = 500
INTAKE = Actor(role=ActorRole.SYSTEM, id="intake")
_LOG_APPEND_TIME = 1
_VERSION_UNKNOWN = "POLICY_VERSION_UNKNOWN"


class IntakeRecord(Protocol):
    """A record as a Kafka client gives it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Refused(msgspec.Struct, frozen=True):
    """Why a record is set aside, and the subjects, as callers name them, that it may have been about."""

    code: str
    detail: str
    subjects: tuple[str, ...]


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class IntakeDoor:
    """Takes in the records of one producer's intake topic: the topic's ACL says who that is."""

    def __init__(
        self,
        producer: str,
        settings: Settings,
        identity: Genesis,
        writer: LogWriter,
        *,
        policies: Callable[[], Policies],
        wait_for_policies: Callable[[], Awaitable[None]],
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Raises UntrustedLog where these settings would write the other kind of ids than the log holds."""
        require_subject_ids(settings, identity)
        self._caller = Caller(producer, frozenset({CallerRole.PRODUCER}))
        self._settings = settings
        self._identity = identity
        self._writer = writer
        self._policies = policies
        self._wait_for_policies = wait_for_policies
        self._clock = clock

    async def handle(self, records: Sequence[IntakeRecord]) -> None:
        """Once this returns, each record's event stands in the log, or the record in quarantine, with acks=all.

        Raises Unavailable when that is not known within restore_timeout_ms: then the records come again, and an event
        that stands already is known by its event_id.
        """
        await self._until_a_policy_is_in_force()
        patience = Patience(self._settings.visible_timeout_ms)
        taken: list[Accepted] = []
        aside: list[QuarantinedRecord] = []
        for number, record in enumerate(records):
            outcome = await self._outcome(record, patience)
            if isinstance(outcome, Refused):
                aside.append(self._whole(record, outcome))
                taken += self._stops(record, outcome)
            else:
                taken.append(outcome)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._settings.restore_timeout_ms / 1000):
                await asyncio.gather(*[await self._writer.set_aside(record) for record in aside])
                await self._writer.append_in_order(taken)
        except TimeoutError as fault:
            raise Unavailable("the log does not acknowledge what was taken in", remedy=UNKNOWN_OUTCOME) from fault

    async def _until_a_policy_is_in_force(self) -> None:
        """A grant must not be refused because this process has only just started, or no policy has begun."""
        while not self._has_a_policy():
            log.warning("intake.waits_for_a_policy", extra={"producer": self._caller.name})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOG_EVERY_S):
                    await self._wait_for_policies()
                    while not self._has_a_policy():
                        await asyncio.sleep(POLL_S)

    def _has_a_policy(self) -> bool:
        return self._policies().in_force(self._clock()) is not None

    async def _outcome(self, record: IntakeRecord, patience: "Patience") -> Accepted | Refused:
        try:
            event = decode_event(record.value)
        except UndecodableRecord as fault:
            named = self._subject_of_key(record.key)
            return Refused("UNDECODABLE", str(fault), () if named is None else (named,))
        outcome = self._taken_in(record, event)
        while isinstance(outcome, Refused) and outcome.code == _VERSION_UNKNOWN and await patience.wait():
            outcome = self._taken_in(record, event)  # the revision may be on its way to this process
        return outcome

    def _taken_in(self, record: IntakeRecord, event: AnySubjectEvent) -> Accepted | Refused:
        named = self._subject_of_key(record.key)
        readable = self._is_subject(event.subject)
        subjects = (event.subject,) if readable else ()
        if named is not None and named != event.subject:
            detail = "the key names another subject than the event: which of the two is meant?"
            return Refused("WRONG_KEY", detail, tuple(dict.fromkeys((*subjects, named))))
        now = self._clock()
        is_dated = record.timestamp_type == _LOG_APPEND_TIME
        if event.sent_at is None and not is_dated:
            event = msgspec.structs.replace(event, sent_at=record.timestamp)  # the producer's own clock
        try:
            (accepted,) = take_in(
                [Submission(msgspec.structs.replace(event, producer=""))],
                caller=self._caller,
                policies=self._policies(),
                identity=self._identity,
                settings=self._settings,
                now=now,
                arrived_at=record.timestamp if is_dated else None,
                new_id=lambda: quarantine_id(_source_of(record), event.subject),
            )
        except InvalidEvent as fault:
            return Refused(fault.code, str(fault), subjects)
        return accepted

    def _whole(self, record: IntakeRecord, refused: Refused) -> QuarantinedRecord:
        log.warning("intake.set_aside", extra={"source": _source_of(record), "code": refused.code})
        return QuarantinedRecord(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            recorded_at=record.timestamp,
            key=record.key,
            value=record.value,
            code=refused.code,
            detail=refused.detail[:MAX_DETAIL],
            subject=stored_subject(refused.subjects[0], self._settings) if refused.subjects else None,
        )

    def _stops(self, record: IntakeRecord, refused: Refused) -> Iterator[Accepted]:
        source = _source_of(record)
        for subject in refused.subjects:
            stored = stored_subject(subject, self._settings)
            yield Accepted(
                SubjectQuarantined(
                    event_id=quarantine_id(source, stored),
                    subject=stored,
                    occurred_at=max(record.timestamp, 1),
                    actor=INTAKE,
                    channel=Channel.API,
                    producer=self._caller.name,
                    position=source,
                    error=refused.code,
                )
            )

    def _subject_of_key(self, key: bytes | None) -> str | None:
        try:
            text = key.decode() if key else ""
        except UnicodeDecodeError:
            return None
        return text if self._is_subject(text) else None

    def _is_subject(self, text: str) -> bool:
        """Whether it names a subject that the log may hold: a phone number may not even stand as a key."""
        revisions = self._policies().revisions
        kinds = {kind for revision in revisions for kind in revision.policy.subject_types}
        return fault_of_subject(text, self._settings, kinds) is None


class Patience:
    """How long one batch waits for what may still arrive."""

    def __init__(self, limit_ms: int) -> None:
        self._left_s = limit_ms / 1000

    async def wait(self) -> bool:
        """Wait a moment; False when there is none left."""
        if self._left_s <= 0:
            return False
        self._left_s -= POLL_S
        await asyncio.sleep(POLL_S)
        return True


def _source_of(record: IntakeRecord) -> str:
    return f"{record.topic}-{record.partition}@{record.offset}"
