"""What is fed in: acts of random subjects, the same for a seed. No Kafka, no clock of its own."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec

from consentry.events import (
    Actor,
    AnySubjectEvent,
    ConsentGiven,
    ConsentWithdrawn,
    PermissionObserved,
)
from consentry.terms import ActorRole, Channel, Expression, Operation, PermissionState

POOL = 1_000_000
"""subjects that the acts are drawn from, each as likely as any other"""
SEED = 20_260_108
RENEWED, WITHDRAWN = 0.60, 0.85
"""of the acts of a subject whose row has all its cells: 60 % grant again, 25 % withdraw, 15 % are about a permission"""
DATA = (
    "gps_precise", "wlan_access_point", "bluetooth_signal", "base_station", "behaviour",
    "posted_content", "nickname", "avatar", "followed_accounts", "search_keywords",
)  # fmt: skip
OPERATIONS = (Operation.COLLECT, Operation.STORE, Operation.USE, Operation.SHARE)

Clock = Callable[[], int]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What rows the acts come to: `acts` purposes of operations x data each."""

    name: str
    operations: int
    data: int
    acts: int = 1
    subjects: int = POOL

    @property
    def cells(self) -> int:
        return self.operations * self.data * self.acts


ONE = Shape(name="1 cell", operations=1, data=1)
TEN = Shape(name="10 cells", operations=2, data=5)
FORTY = Shape(name="40 cells", operations=4, data=10)
FORTY_IN_TEN = Shape(name="40 cells in 10 acts", operations=2, data=2, acts=10, subjects=20_000)
"""one act cannot name cells of two purposes: here each purpose has its own, as most rows of 40 cells come about"""


def wall_clock() -> int:
    """ms since the epoch."""
    return time.time_ns() // 1_000_000


def subject_name(number: int) -> str:
    """Keys without order: neither the partitions nor a sorted store see neighbours come together."""
    return "account:" + hashlib.blake2b(number.to_bytes(8, "big"), digest_size=12).hexdigest()


def acts(shape: Shape, count: int, clock: Clock = wall_clock, seed: int = SEED) -> Iterator[AnySubjectEvent]:
    """`count` acts. A subject's first acts are the grants that give its row all cells of the shape."""
    chance = random.Random(seed)
    seen = bytearray(shape.subjects)
    for _ in range(count):
        number = chance.randrange(shape.subjects)
        yield act_of(shape, subject_name(number), seen[number], chance, clock())
        if seen[number] < shape.acts:
            seen[number] += 1


def act_of(shape: Shape, subject: str, granted: int, chance: random.Random, at: int) -> AnySubjectEvent:
    """The next act of a subject that has granted so many of its purposes."""
    event_id = UUID(int=chance.getrandbits(128), version=4)
    actor = Actor(role=ActorRole.SUBJECT, id=subject)
    if granted < shape.acts:
        return grant(shape, subject, granted, event_id, at)
    purpose = chance.randrange(shape.acts)
    kind = chance.random()
    if kind < RENEWED:
        return grant(shape, subject, purpose, event_id, at)
    if kind < WITHDRAWN:
        return ConsentWithdrawn(
            event_id=event_id,
            subject=subject,
            occurred_at=at,
            actor=actor,
            channel=Channel.APP,
            producer="bench",
            purpose=purpose_name(purpose),
        )
    return PermissionObserved(
        event_id=event_id,
        subject=subject,
        occurred_at=at,
        actor=actor,
        channel=Channel.APP,
        producer="bench",
        permission="location",
        state=chance.choice((PermissionState.ON, PermissionState.OFF)),
        device="device:d1",
    )


def grant(shape: Shape, subject: str, purpose: int, event_id: UUID, at: int) -> ConsentGiven:
    return ConsentGiven(
        event_id=event_id,
        subject=subject,
        occurred_at=at,
        actor=Actor(role=ActorRole.SUBJECT, id=subject),
        channel=Channel.APP,
        producer="bench",
        purpose=purpose_name(purpose),
        operations=OPERATIONS[: shape.operations],
        data=DATA[: shape.data],
        recipients=(),
        policy_version=1,
        expression=Expression.SEPARATE,
    )


def purpose_name(number: int) -> str:
    return f"recommendation.feed{number:02}"
