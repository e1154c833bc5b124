"""The Kafka door of intake: the good are appended, the bad are set aside, and nothing is lost or stands twice."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from running import fold_of_the_log, make_topics, read_records, settings_for
from unit.taking import NOW, SUBJECT, body_of, policies_of, take

from consentry.codec import decode_event, decode_quarantined, decode_row, encode_event
from consentry.events import (
    AnySubjectEvent,
    ConsentGiven,
    Genesis,
    QuarantinedRecord,
    SubjectQuarantined,
)
from consentry.intake import stored_subject
from consentry.kafka_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from consentry.policy import Policies
from consentry.settings import Secret, Settings
from consentry.state.row import SubjectState
from consentry.terms import SubjectIds
from streams.append import LogWriter
from streams.intake_agent import IntakeDoor, wall_clock_ms

pytestmark = pytest.mark.stack
Pair = tuple[bytes | None, bytes | None]


class Stack:
    """A log, an intake topic and the door between them."""

    def __init__(self, settings: Settings, identity: Genesis) -> None:
        self.settings = settings
        self.identity = identity
        self.policies = policies_of()
        self.policy_arrives = asyncio.Event()
        self.behind_ms = 0
        """how long after their arrival the door gets round to the records"""

    async def hand_over(self, pairs: Sequence[Pair], *, times: int = 1) -> None:
        """Write key and value pairs to the intake topic, and let the door take what then lies there."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.bootstrap_servers, max_request_size=2_000_000, **PRODUCER_DEFAULTS
        )
        await producer.start()
        try:
            for key, value in pairs:
                await producer.send_and_wait(self.topic, value, key=key, partition=0)
        finally:
            await producer.stop()
        records = await self.raw_records()
        for _ in range(times):
            await self.take(records)

    async def take(self, records: Sequence[Any]) -> None:
        writer = LogWriter(self.settings, self.identity)
        await writer.start()
        try:
            door = IntakeDoor(
                "app",
                self.settings,
                self.identity,
                writer,
                policies=lambda: self.policies,
                wait_for_policies=self._wait_for_policies,
                clock=lambda: wall_clock_ms() + self.behind_ms,
            )
            await door.handle(records)
        finally:
            await writer.stop()

    async def _wait_for_policies(self) -> None:
        await self.policy_arrives.wait()

    @property
    def topic(self) -> str:
        return self.settings.topic("consent-intake.app")

    async def raw_records(self) -> list[Any]:
        """As the worker's client gives them, timestamps and all."""
        tp = TopicPartition(self.topic, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers, **CONSUMER_DEFAULTS)
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, 0)
            end = (await consumer.end_offsets([tp]))[tp]
            records: list[Any] = []
            while await consumer.position(tp) < end:
                records += (await consumer.getmany(timeout_ms=500)).get(tp, [])
            return records
        finally:
            await consumer.stop()

    async def log(self) -> list[AnySubjectEvent]:
        records = await read_records(self.settings, "consent-events", self.settings.partitions)
        return [decode_event(record.value) for record in records if record.offset > 0]

    async def quarantine(self) -> list[QuarantinedRecord]:
        records = await read_records(self.settings, "consent-quarantine", self.settings.partitions)
        return [decode_quarantined(record.value) for record in records]

    async def rows(self) -> dict[str, SubjectState]:
        rows, _ = await fold_of_the_log(self.settings, self.identity)
        return {key.decode(): decode_row(row) for key, row in rows.items()}


@pytest.fixture
async def stack(kafka: str, topic_prefix: str) -> Stack:
    settings = settings_for(kafka, topic_prefix, intake_producers="app")
    return Stack(settings, await make_topics(settings))


def event_of(type_name: str, subject: str = SUBJECT, **changes: Any) -> AnySubjectEvent:
    """An event as a producer makes it: not yet completed by intake."""
    event = take(body_of(type_name, event_id=str(uuid4())))
    actor = msgspec.structs.replace(event.actor, id=subject)
    changes = {"subject": subject, "actor": actor, "producer": "", **changes}
    return msgspec.structs.replace(event, **changes)


def pair(event: AnySubjectEvent) -> Pair:
    return event.subject.encode(), encode_event(event)


async def test_a_good_record_is_completed_and_appended(stack: Stack) -> None:
    grant = event_of("ConsentGiven", operations=None, data=None, producer="somebody else")
    await stack.hand_over([pair(grant)])
    (event,) = await stack.log()
    assert isinstance(event, ConsentGiven)
    assert event.event_id == grant.event_id
    assert event.producer == "app"  # the topic's ACL is the identity, whatever a record says
    assert event.data == ("avatar", "nickname", "posted_content")
    assert not await stack.quarantine()


async def test_records_of_a_subject_keep_their_order(stack: Stack) -> None:
    events = [event_of("ConsentWithdrawn", f"account:u-{number % 5}", request_id=str(number)) for number in range(100)]
    await stack.hand_over([pair(event) for event in events])
    log = await stack.log()
    for subject in {event.subject for event in events}:
        assert [event.request_id for event in log if event.subject == subject] == [
            event.request_id for event in events if event.subject == subject
        ]


# each bad record, the code it is set aside with, and the subjects that are denied until it is released
OTHER = "account:u-2"
GOOD = encode_event(event_of("ConsentWithdrawn"))
BAD: dict[str, tuple[Pair, str, set[str]]] = {
    "wrong magic byte": ((SUBJECT.encode(), b"\x00\x01" + GOOD[2:]), "UNDECODABLE", {SUBJECT}),
    "unknown fingerprint": ((SUBJECT.encode(), GOOD[:2] + b"\xff" * 8 + GOOD[10:]), "UNDECODABLE", {SUBJECT}),
    "truncated": ((SUBJECT.encode(), GOOD[:-1]), "UNDECODABLE", {SUBJECT}),
    "overlong": ((SUBJECT.encode(), GOOD + b"\x00"), "UNDECODABLE", {SUBJECT}),
    "one megabyte of text": ((SUBJECT.encode(), b"x" * 1_000_000), "UNDECODABLE", {SUBJECT}),
    "no value": ((SUBJECT.encode(), None), "UNDECODABLE", {SUBJECT}),
    "no key and no record": ((None, b"nobody's"), "UNDECODABLE", set()),
    "a key that is no subject": ((b"\xff\xfe", b"nobody's"), "UNDECODABLE", set()),
    "a phone number as key": ((b"account:13800138000", b"nobody's"), "UNDECODABLE", set()),
    "another subject's key": ((OTHER.encode(), GOOD), "WRONG_KEY", {SUBJECT, OTHER}),
    "a phone number as subject": (
        pair(event_of("ConsentWithdrawn", "account:13800138000")),
        "INVALID_EVENT",
        set(),
    ),
    "a phone number as subject, an id as key": (
        (SUBJECT.encode(), encode_event(event_of("ConsentWithdrawn", "account:13800138000"))),
        "WRONG_KEY",
        {SUBJECT},
    ),
    "a grant a day ahead": (pair(event_of("ConsentGiven", occurred_at=2**52)), "CLOCK_AHEAD", {SUBJECT}),
    "a cell that the policy does not name": (
        pair(event_of("ConsentGiven", data=("phone",))),
        "NOT_IN_POLICY",
        {SUBJECT},
    ),
    "a purpose that the policy does not name": (
        pair(event_of("ConsentGiven", purpose="telepathy", data=None)),
        "NOT_IN_POLICY",
        {SUBJECT},
    ),
    "a role that may not": (
        (SUBJECT.encode(), encode_event(take(body_of("ConsentRevoked")))),
        "ROLE_NOT_ALLOWED",
        {SUBJECT},
    ),
    "an actor who is another": (
        pair(msgspec.structs.replace(event_of("ConsentWithdrawn"), actor=event_of("ConsentGiven", OTHER).actor)),
        "ACTOR_NOT_ALLOWED",
        {SUBJECT},
    ),
    "an empty choice": (pair(event_of("ConsentWithdrawn", data=())), "INVALID_EVENT", {SUBJECT}),
    "a clock that says intake corrected it": (
        pair(event_of("ConsentWithdrawn", skew_ms=5)),
        "INVALID_EVENT",
        {SUBJECT},
    ),
    "what only intake may say": (
        pair(
            SubjectQuarantined(
                event_id=UUID(int=5),
                subject=SUBJECT,
                occurred_at=NOW,
                actor=take(body_of("DataCollected")).actor,
                channel=take(body_of("DataCollected")).channel,
                position="consent-intake.app-0@0",
                error="UNDECODABLE",
            )
        ),
        "ROLE_NOT_ALLOWED",
        {SUBJECT},
    ),
}


async def test_each_bad_record_is_set_aside_whole_and_its_subject_denied(stack: Stack) -> None:
    """The good ones around them are appended: nothing stops the partition."""
    before, after = event_of("ConsentGiven", "account:u-3"), event_of("ConsentWithdrawn", "account:u-3")
    pairs = [pair(before), *[bad for bad, _, _ in BAD.values()], pair(after)]
    await stack.hand_over(pairs)
    log = await stack.log()
    assert [event.event_id for event in log if event.subject == "account:u-3"] == [before.event_id, after.event_id]
    aside = {record.offset: record for record in await stack.quarantine()}
    stops = [event for event in log if isinstance(event, SubjectQuarantined)]
    for offset, (name, ((key, value), code, subjects)) in enumerate(BAD.items(), start=1):
        record = aside.pop(offset)
        assert (record.key, record.value, record.code) == (key, value, code), name
        assert record.topic == stack.topic, name
        stopped = {stop.subject for stop in stops if stop.position == f"{stack.topic}-0@{offset}"}
        assert stopped == subjects, name
        assert (record.subject in subjects) if subjects else (record.subject is None), name
    assert not aside
    assert not [event for event in log if "13800138000" in event.subject]


async def test_a_subject_with_a_record_set_aside_is_quarantined_in_its_row(stack: Stack) -> None:
    await stack.hand_over([pair(event_of("ConsentGiven")), (SUBJECT.encode(), b"it might have been a withdrawal")])
    row = (await stack.rows())[SUBJECT]
    assert row.quarantined == (f"{stack.topic}-0@1",)


async def test_records_that_come_again_after_a_crash_change_no_row(stack: Stack) -> None:
    pairs = [pair(event_of("ConsentGiven")), (SUBJECT.encode(), b"bad"), pair(event_of("ConsentWithdrawn"))]
    await stack.hand_over(pairs, times=2)
    log = await stack.log()
    assert len(log) == 6
    assert [event.event_id for event in log[:3]] == [event.event_id for event in log[3:]]
    row = (await stack.rows())[SUBJECT]
    assert len(row.marks) == 1
    assert len(row.quarantined) == 1


async def test_a_withdrawal_with_no_key_is_taken(stack: Stack) -> None:
    event = event_of("ConsentWithdrawn")
    await stack.hand_over([(None, encode_event(event)), (b"shard-7", encode_event(event))])
    assert [taken.event_id for taken in await stack.log()] == [event.event_id, event.event_id]


async def test_a_withdrawal_a_day_ahead_is_taken(stack: Stack) -> None:
    await stack.hand_over([pair(event_of("ConsentWithdrawn", occurred_at=2**52))])
    assert len(await stack.log()) == 1
    assert not await stack.quarantine()


async def test_a_clock_that_was_ahead_is_corrected_by_when_the_record_came_in(stack: Stack) -> None:
    hour = 3_600_000
    stack.behind_ms = 2 * hour
    now = (await _recorded_now(stack)) + hour
    await stack.hand_over([pair(event_of("ConsentGiven", occurred_at=now, sent_at=now))])
    event = (await stack.log())[-1]
    assert abs(event.skew_ms - hour) < 60_000
    assert event.occurred_at + event.skew_ms == now


async def _recorded_now(stack: Stack) -> int:
    await stack.hand_over([(None, b"to read the broker's clock")])
    return int((await stack.raw_records())[-1].timestamp)


async def test_a_grant_waits_for_the_first_policy(stack: Stack) -> None:
    known, stack.policies = stack.policies, Policies()
    taking = asyncio.create_task(stack.hand_over([pair(event_of("ConsentGiven"))]))
    done, _ = await asyncio.wait({taking}, timeout=2)
    assert not done
    assert not await stack.log()
    stack.policies = known
    stack.policy_arrives.set()
    await taking
    assert len(await stack.log()) == 1
    assert not await stack.quarantine()


async def test_a_hashed_log_shows_no_plain_id_outside_the_raw_record(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix, intake_producers="app", subject_pepper=Secret("a pepper of the tests"))
    identity = await make_topics(settings)
    assert identity.subject_ids is SubjectIds.HASHED
    stack = Stack(settings, identity)
    await stack.hand_over([pair(event_of("ConsentGiven")), (SUBJECT.encode(), b"bad")])
    hashed = stored_subject(SUBJECT, settings)
    assert {event.subject for event in await stack.log()} == {hashed}
    (record,) = await stack.quarantine()
    assert record.subject == hashed
