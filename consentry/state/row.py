"""SubjectState: what the log says of one subject, folded. No policy, no I/O, no clock."""

from collections.abc import Iterator
from typing import Self

import msgspec

from consentry.terms import (
    FOLD_VERSION,
    ActorRole,
    AgeBand,
    AgeSource,
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
MAX_AGE_STATEMENTS = 32
"""beyond them what may lower the age makes the subject a child until a verified age says otherwise"""
MAX_GUARDIANSHIPS = 16
"""linked now or before; a link beyond them has no effect"""
MAX_ACCEPTANCES = 64
"""beyond them the lowest version of who accepts is forgotten"""
MAX_OBJECTIONS = 32
"""beyond them the two oldest are widened into one"""
MAX_INVOCATIONS = 64
"""an exemption invoked beyond them has no effect"""
MAX_ENDINGS = 64
"""beyond them two of one code are widened into one, or else the two oldest into one of every code"""
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
    informed: bool = False
    """its `expected_position` was that of the row's last tightening: it has seen whatever tightened before it"""


COUNTS_ALWAYS = -1
"""the clock of a guardian's mark that stands for several: no age of the ward voids it"""


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


class AgeStatement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was said of the subject's age: a birth date or a band. What it means hangs on the policy's age lines."""

    event_id: bytes
    source: AgeSource
    birth_date: int | None
    """as `date.toordinal` counts days; None: a band was said"""
    band: AgeBand | None
    may_raise: bool
    """False: its clock was too far ahead for it to loosen; it can only lower the age"""
    occurred_at: int
    recorded_at: int
    offset: int


class Guardianship(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the log says of one guardian. Times are of recording; -1: not so, or never."""

    guardian: str
    linked_at: int = -1
    verified_at: int = -1
    """since then verified without a break"""
    verified_offset: int = -1
    verified_id: bytes = b""
    """of the event that verified it; empty: not verified"""
    unlinked_at: int = -1
    """the last time; what was done before it and comes late has no effect"""
    first_verified_at: int = -1
    """survives unlinking: who ever had a verified guardian, and whose age nobody asserted, is a minor"""
    first_verified_offset: int = -1

    @property
    def linked(self) -> bool:
        return self.linked_at >= 0

    @property
    def verified(self) -> bool:
        return self.verified_at >= 0


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who accepted which version of the policy: the person, or a guardian who was verified at the time."""

    event_id: bytes
    actor_role: ActorRole
    actor_id: str
    policy_version: int
    occurred_at: int
    recorded_at: int
    offset: int


class Lift(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who took back an opt-out of another, or as a guardian: whether that counts hangs on the subject's age."""

    event_id: bytes
    purpose: str
    actor_role: ActorRole
    actor_id: str
    occurred_at: int
    recorded_at: int
    offset: int
    informed: bool


class Objection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A RightsRequested objection that was not rejected."""

    event_id: bytes
    actor_role: ActorRole
    actor_id: str
    recorded_at: int
    offset: int
    scope: Scope


class Invocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An exemption invoked. Its scope names operations and data; purpose "" is every one, recipients are as named."""

    event_id: bytes
    code: str
    legal_ref: str
    valid_until: int
    occurred_at: int
    recorded_at: int
    offset: int
    scope: Scope


EVERY_CODE = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What ended exemptions of a code, or of EVERY_CODE, within a scope."""

    event_id: bytes
    code: str
    recorded_at: int
    offset: int
    scope: Scope


class Circumstances(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What few rows have: ages, guardians, acceptances, lifted opt-outs of others, objections, exemptions."""

    ages: tuple[AgeStatement, ...] = ()
    guardianships: tuple[Guardianship, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    lifts: tuple[Lift, ...] = ()
    objections: tuple[Objection, ...] = ()
    invocations: tuple[Invocation, ...] = ()
    endings: tuple[Ending, ...] = ()


NO_CIRCUMSTANCES = Circumstances()


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
    first_act_at: int | None = None
    """when the person, or a guardian, first did anything: the earliest of their clocks, capped by the log's"""
    circumstances: Circumstances | None = None
    """None: there are none"""

    @classmethod
    def unknown(cls, subject: str, epoch: int, partition: int) -> Self:
        """A subject of whom the log says nothing."""
        return cls(subject=subject, position=Position(epoch, partition, -1))

    @property
    def tightened_position(self) -> Position | None:
        if self.tightened_offset < 0:
            return None
        last = self.position
        # Each answer names it: what a named tuple adds, its constructor in Python, costs as much as the tuple.
        return tuple.__new__(Position, (last.epoch, last.partition, self.tightened_offset))


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
