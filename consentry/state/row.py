"""SubjectState: what the log says of one subject, folded. No policy, no I/O, no clock."""

from collections.abc import Iterator
from typing import Self

import msgspec

from consentry.terms import (
    FOLD_VERSION,
    ActorRole,
    Cell,
    Expression,
    Operation,
    PermissionState,
    Position,
    Status,
)

RECENT_EVENTS = 32
RECENT_ENTRY_BYTES = 24
"""an event id (16) and the head of its content's hash (8)"""
MAX_CELLS = 512
MAX_MARKS = 64
MAX_OPT_OUTS = 512
"""standing and lifted; one beyond them quarantines the subject"""
MAX_PERMISSIONS = 512
"""permissions x devices; one beyond them quarantines the subject"""
MAX_QUARANTINED = 256
"""positions listed; what is beyond them is one more entry, MORE_QUARANTINED"""
MORE_QUARANTINED = "more"


class CellBlock(msgspec.Struct, frozen=True, gc=False):
    """Cells that share a purpose: operations x data (x recipients; empty means: no recipient)."""

    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...] = ()

    def holds(self, cell: Cell) -> bool:
        return (
            cell.purpose == self.purpose
            and cell.operation in self.operations
            and cell.data in self.data
            and (cell.recipient in self.recipients if self.recipients else not cell.recipient)
        )

    def cells(self) -> Iterator[Cell]:
        for operation in self.operations:
            for data in self.data:
                for recipient in self.recipients or ("",):
                    yield Cell(self.purpose, operation, data, recipient)

    @property
    def size(self) -> int:
        return len(self.operations) * len(self.data) * max(1, len(self.recipients))


class Scope(msgspec.Struct, frozen=True, gc=False):
    """What a tightening covers; an empty part means every one, those that come later too."""

    purpose: str = ""
    operations: tuple[Operation, ...] = ()
    data: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()

    def covers(self, cell: Cell) -> bool:
        return (
            (not self.purpose or cell.purpose == self.purpose)
            and (not self.operations or cell.operation in self.operations)
            and (not self.data or cell.data in self.data)
            and (not self.recipients or cell.recipient in self.recipients)
        )


class Act(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one event did to cells that it names: given, requested or deferred."""

    event_id: bytes
    status: Status
    actor_role: ActorRole
    actor_id: str
    expression: Expression | None
    policy_version: int
    occurred_at: int
    recorded_at: int
    offset: int
    valid_until: int | None
    block: CellBlock


class Mark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one event tightened: refused, withdrawn, revoked or invalidated."""

    event_id: bytes
    status: Status
    actor_role: ActorRole
    actor_id: str
    occurred_at: int
    recorded_at: int
    offset: int
    scene: str
    scope: Scope


class OptOut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An objection to a purpose; only who set it may lift it (and whom section 3 of the contract adds)."""

    event_id: bytes
    purpose: str
    actor_role: ActorRole
    actor_id: str
    recorded_at: int
    offset: int


class Permission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A permission of the operating system, as last seen; device "" speaks for all."""

    event_id: bytes
    name: str
    device: str
    state: PermissionState
    recorded_at: int
    offset: int
    off_at: int = -1
    """when the last off that speaks for it was recorded; -1: none"""


class SubjectState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The row. Equal logs give equal rows, byte for byte in their Avro form."""

    subject: str
    position: Position
    """of the last event folded into it"""
    fold_version: int = FOLD_VERSION
    tightened_offset: int = -1
    """of the last tightening, in the position's epoch and partition; -1: none"""
    recent: bytes = b""
    """the last 32 events: id and the head of the content's hash, oldest first"""
    acts: tuple[Act, ...] = ()
    marks: tuple[Mark, ...] = ()
    opt_outs: tuple[OptOut, ...] = ()
    """those that stand"""
    lifted_opt_outs: tuple[OptOut, ...] = ()
    """those that were lifted: a grant made before one of them, and late, has no effect for all that"""
    permissions: tuple[Permission, ...] = ()
    quarantined: tuple[str, ...] = ()
    """positions of records that were set aside and not yet released"""
    closed_at: int | None = None
    erased_at: int | None = None
    uninterpreted: tuple[str, ...] = ()
    """types of events seen that this fold cannot weigh yet: nothing is allowed while there are any"""

    @classmethod
    def unknown(cls, subject: str, epoch: int, partition: int) -> Self:
        """A subject of whom the log says nothing."""
        return cls(subject=subject, position=Position(epoch, partition, -1))

    @property
    def tightened_position(self) -> Position | None:
        if self.tightened_offset < 0:
            return None
        return self.position._replace(offset=self.tightened_offset)


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a partition's rows are complete, and an owner's word of when that was its end (the heartbeat)."""

    log_id: bytes
    position: Position
    """of the last record folded; offset -1: none"""
    record_hash: bytes
    """SHA-256 of that record (consentry.codec.record_hash); read again before the next is folded"""
    fold_version: int = FOLD_VERSION
    complete_at: int = 0
    """ms: all that the partition held at this time is in its rows"""
    policy_offset: int | None = None
    """on partition 0: the last offset of policy-revisions at complete_at"""
    tree: bytes | None = None
    """room for the log's Merkle tree"""

    @property
    def rank(self) -> tuple[int, int, int]:
        """Of two watermarks of a partition the greater stands."""
        return (self.position.epoch, self.fold_version, self.position.offset)
