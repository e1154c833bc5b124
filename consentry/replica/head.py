"""What a copy says of itself: which log it is of, how far each partition has been read, and what proves its age."""

import msgspec

from consentry.events import Genesis
from consentry.policy import Policies
from consentry.replica.freshness import Heard, Since, clock_name, since
from consentry.state.row import Watermark


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """A record of consent-state that was read. Where it is found again, the topic is still the same one."""

    offset: int
    content: bytes
    """its record_hash"""


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """A heartbeat: all that the partition held at `complete_at` is in the rows."""

    complete_at: int
    policy_offset: int | None
    """on partition 0: where policy-revisions ended then"""
    heard: Heard

    @property
    def since(self) -> Since | None:
        return since(self.complete_at, self.heard)


class PolicyRecord(msgspec.Struct, frozen=True):
    """A record of policy-revisions as it stands there."""

    offset: int
    recorded_at: int
    value: bytes


class PartitionHead(msgspec.Struct, frozen=True, array_like=True):
    """How far one partition of consent-state has been read."""

    offset_next: int = 0
    watermark: Watermark | None = None
    proof: Proof | None = None
    """of a time at or before the watermark's: a reader that was paused hears old heartbeats first"""
    last_row: Anchor | None = None
    last_record: Anchor | None = None


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Written in the same transaction as the rows that it speaks of."""

    genesis: Genesis
    clock: str
    """the clock_name of the monotonic times in it"""
    partitions: tuple[PartitionHead, ...]
    complete: bool = False
    """everything has been read once"""
    policies_next: int = 0
    """records of policy-revisions that the copy holds"""
    rows: int = 0
    check: int = 0
    """the sum of all rows' checksums, modulo 2**64"""
    changes_next: int = 0
    """the number of the next change that is told"""
    failure: str = ""
    """why nothing may rest on this copy any more"""
    closed: bool = False
    """whoever fed it has ended in order, and all of it is on the disk"""

    @classmethod
    def empty(cls, genesis: Genesis) -> "Head":
        return cls(genesis=genesis, clock=clock_name(), partitions=(PartitionHead(),) * genesis.partitions)


class Snapshot:
    """What a reader knows at one moment, made once for each change of the head."""

    __slots__ = ("_since", "head", "policies")

    def __init__(self, head: Head, policies: Policies, clock_tolerance_ms: int) -> None:
        self.head = head
        self.policies = policies
        self._since = self._proven(clock_tolerance_ms)

    def age_ms(self, partition: int, now: int, monotonic_now: int) -> int | None:
        """How old the rows of a partition can be at the most, the policies too; None when nothing proves it."""
        proven = self._since[partition]
        return None if proven is None else proven.age_ms(now, monotonic_now)

    def _proven(self, clock_tolerance_ms: int) -> list[Since | None]:
        head = self.head
        nothing: list[Since | None] = [None] * len(head.partitions)
        if head.failure or not head.complete or head.clock != clock_name():
            return nothing
        proofs = [_trusted(each, head.genesis, clock_tolerance_ms) for each in head.partitions]
        first = proofs[0]
        # the owner of partition 0 says where policy-revisions ended; what we hold must reach as far
        if first is None or first.policy_offset is None or first.policy_offset >= head.policies_next:
            return nothing
        of_policies = first.since
        if of_policies is None:
            return nothing
        found = [None if proof is None else proof.since for proof in proofs]
        return [None if each is None else each.or_before(of_policies) for each in found]


def _trusted(held: PartitionHead, genesis: Genesis, clock_tolerance_ms: int) -> Proof | None:
    watermark, proof = held.watermark, held.proof
    if watermark is None or proof is None or proof.heard.behind_ms > clock_tolerance_ms:
        return None
    if watermark.position.epoch != genesis.epoch or watermark.log_id != genesis.log_id.bytes:
        return None
    return proof
