"""Write to policy-revisions: a revision or a declaration is checked and written once; the first revision stands."""

from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from consentry.codec import encode_policy_event
from consentry.errors import InvalidPolicy, Unavailable
from consentry.events import AnyPolicyEvent, PolicyRevised
from consentry.kafka_defaults import PRODUCER_DEFAULTS
from consentry.policy import (
    AnyDeclaration,
    Policies,
    Revision,
    check_declaration,
    missing_clauses,
    of_this_log,
    parse_policy,
    prepare_revision,
    standing_declaration,
)
from consentry.policy.wording import hash_of
from consentry.replica import PolicyFollower
from consentry.settings import Settings
from consentry.terms import Position
from streams.topics import require_topics

TOPIC = "policy-revisions"
MAX_RECORD_BYTES = 2_000_000
"""document and wording together; within what the topic takes"""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A version that stands in the log."""

    policy: str
    version: int
    effective_at: int
    position: Position
    written_now: bool
    """False: the same version with the same words was there before"""
    not_in_text: tuple[str, ...]
    """clauses that the document names and the wording does not show"""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the log besides revisions, and where."""

    policy: str
    event_id: UUID
    position: Position
    written_now: bool
    """False: the same was declared before"""


async def publish_revision(
    settings: Settings, document: str, text: str, *, now: int, event_id: UUID, producer: str = ""
) -> Publication:
    """Publish it, or find that it is published already.

    Raises InvalidPolicy when it may not be published, or another publisher's version of that number was first;
    UntrustedLog; Unavailable when it is not known whether it was written: safe to repeat.
    """
    policy = parse_policy(document)
    await require_topics(settings)
    follower = PolicyFollower(settings)
    await follower.start()
    try:
        standing = _standing(follower.policies, policy.version, document, text)
        if standing is not None:
            return _publication(standing, text, written_now=False)
        revision = prepare_revision(document, text, follower.policies, now, event_id=event_id, producer=producer)
        position = await _written(settings, follower, revision)
        return _publication(_first(follower.policies, revision, position), text, written_now=True)
    finally:
        await follower.stop()


async def declare(settings: Settings, declaration: AnyDeclaration, *, now: int) -> Declared:
    """Declare it under the policy that the log holds, or find that it is declared already.

    Raises InvalidPolicy when it may not be declared; UntrustedLog; Unavailable when it is not known whether it was
    written: safe to repeat.
    """
    await require_topics(settings)
    follower = PolicyFollower(settings)
    await follower.start()
    try:
        declaration = of_this_log(declaration, follower.policies)
        standing = standing_declaration(declaration, follower.policies)
        if standing is not None:
            event = standing.event
            position, written_now = standing.position, False
        else:
            check_declaration(declaration, follower.policies, now)
            event = declaration
            position, written_now = await _written(settings, follower, declaration), True
        return Declared(policy=event.policy, event_id=event.event_id, position=position, written_now=written_now)
    finally:
        await follower.stop()


async def published_policies(settings: Settings) -> Policies:
    """All that is published. Raises UntrustedLog, Unavailable."""
    await require_topics(settings)
    follower = PolicyFollower(settings)
    await follower.start()
    try:
        return follower.policies
    finally:
        await follower.stop()


def _standing(policies: Policies, version: int, document: str, text: str) -> Revision | None:
    """The same version with the same document and wording, if it is in the log."""
    for revision in policies.revisions:
        if revision.version == version:
            same = revision.event.document == document and revision.event.text_hash == hash_of(text)
            return revision if same else None
    return None


def _first(policies: Policies, written: PolicyRevised, position: Position) -> Revision:
    """The revision of that version which stands. Raises InvalidPolicy where it is another publisher's."""
    for revision in policies.revisions:
        if revision.version != written.version:
            continue
        if revision.position == position or revision.event.document == written.document:
            return revision
        raise InvalidPolicy(
            f"another version {written.version} was published first, at {revision.position}",
            where=f"{written.policy}: version",
            remedy=f"read it, and publish yours as version {policies.revisions[-1].version + 1}",
        )
    raise InvalidPolicy(f"version {written.version} does not follow in the log", where=f"{written.policy}: version")


def _publication(revision: Revision, text: str, *, written_now: bool) -> Publication:
    return Publication(
        policy=revision.policy.id,
        version=revision.version,
        effective_at=revision.effective_at,
        position=revision.position,
        written_now=written_now,
        not_in_text=missing_clauses(revision.policy, text),
    )


async def _written(settings: Settings, follower: PolicyFollower, event: AnyPolicyEvent) -> Position:
    """Where it stands, acknowledged and read back. Raises InvalidPolicy, Unavailable."""
    offset = await _write(settings, event)
    if not await follower.wait_for(offset, settings.acknowledge_timeout_ms) or follower.genesis is None:
        raise Unavailable("it was written, but not read back in time", where=TOPIC, remedy="repeat it: it is safe")
    return Position(follower.genesis.epoch, 0, offset)


async def _write(settings: Settings, event: AnyPolicyEvent) -> int:
    value = encode_policy_event(event)
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidPolicy(
            f"document and wording have {len(value)} bytes, at most {MAX_RECORD_BYTES} fit",
            where=f"{event.policy}: text",
        )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        request_timeout_ms=settings.acknowledge_timeout_ms,
        max_request_size=MAX_RECORD_BYTES + 1024,
        **PRODUCER_DEFAULTS,
    )
    try:
        await producer.start()
        topic = settings.topic(TOPIC)
        written = await producer.send_and_wait(topic, value, event.policy.encode(), partition=0)
    except KafkaError as fault:
        raise Unavailable(
            f"whether it was written is not known: {fault}", where=TOPIC, remedy="repeat it: it is safe"
        ) from fault
    finally:
        await producer.stop()
    return int(written.offset)
