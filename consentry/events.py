"""Events: a frozen struct for each, and their union. No Avro, no clock.

Field docs and bounds are those of the contract (docs/reference/events.md). Times are ms since the epoch, UTC.
A cell is named by the flat fields `purpose`, `operations`, `data`, `recipients`. In what loosens they are filled
in by intake and explicit in the log; in what tightens each may stay out and then means every one.
"""

from typing import ClassVar
from uuid import UUID

import msgspec

from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Channel,
    Disposition,
    Expression,
    Operation,
    Outcome,
    PermissionState,
    Position,
    Right,
    SubjectIds,
)


class Actor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: ActorRole
    id: str


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the person was shown: its SHA-256 in hex, and its language (BCP 47). ISO/IEC 29184."""

    hash: str
    language: str


class SubjectEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True, forbid_unknown_fields=True):
    """The envelope of every event about a subject."""

    tightens: ClassVar[bool] = False

    event_id: UUID
    subject: str
    occurred_at: int
    actor: Actor
    channel: Channel
    producer: str = ""
    """who authenticated; set by intake, never by a body"""
    request_id: str | None = None
    evidence: bytes | None = None
    sent_at: int | None = None
    """the caller's clock when it sent; consumed by intake, never in the log"""
    skew_ms: int = 0
    """by how much intake moved occurred_at back"""


class Cells(SubjectEvent, frozen=True, kw_only=True):
    """What names its cells one by one. In the log, operations and data are never None."""

    purpose: str
    operations: tuple[Operation, ...] | None = None
    data: tuple[str, ...] | None = None
    recipients: tuple[str, ...] | None = None


class Scoped(SubjectEvent, frozen=True, kw_only=True):
    """What covers every cell within a scope, those that come later too."""

    purpose: str | None = None
    operations: tuple[Operation, ...] | None = None
    data: tuple[str, ...] | None = None
    recipients: tuple[str, ...] | None = None


class ConsentRequested(Cells, frozen=True, kw_only=True):
    policy_version: int
    scene: str | None = None
    user_initiated: bool = False


class ConsentDeferred(Cells, frozen=True, kw_only=True):
    policy_version: int
    scene: str | None = None
    user_initiated: bool = False


class ConsentGiven(Cells, frozen=True, kw_only=True):
    policy_version: int
    expression: Expression
    notice: Notice | None = None
    valid_until: int | None = None
    expected_position: str | None = None


class ConsentReaffirmed(Cells, frozen=True, kw_only=True):
    policy_version: int
    notice: Notice | None = None
    valid_until: int | None = None
    expected_position: str | None = None


class ConsentRefused(Scoped, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    scene: str | None = None


class ConsentWithdrawn(Scoped, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    reason: str | None = None


class ConsentRevoked(Scoped, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    reason: str


class ConsentInvalidated(Scoped, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    reason: str


class PolicyAccepted(SubjectEvent, frozen=True, kw_only=True):
    policy_version: int


class PreferenceSet(SubjectEvent, frozen=True, kw_only=True):
    purpose: str
    opted_out: bool
    topic: str | None = None
    expected_position: str | None = None


class PermissionObserved(SubjectEvent, frozen=True, kw_only=True):
    permission: str
    state: PermissionState
    device: str | None = None


class AgeAsserted(SubjectEvent, frozen=True, kw_only=True):
    source: AgeSource
    birth_date: str | None = None
    """YYYY-MM-DD"""
    age_band: AgeBand | None = None


class GuardianLinked(SubjectEvent, frozen=True, kw_only=True):
    guardian: str
    relation: str


class GuardianVerified(SubjectEvent, frozen=True, kw_only=True):
    guardian: str
    method: str


class GuardianUnlinked(SubjectEvent, frozen=True, kw_only=True):
    guardian: str
    reason: str


class IdentityLinked(SubjectEvent, frozen=True, kw_only=True):
    device: str
    account: str


class DataCollected(Cells, frozen=True, kw_only=True):
    decision_position: str


class ExemptionInvoked(SubjectEvent, frozen=True, kw_only=True):
    code: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...] | None = None
    purpose: str | None = None
    legal_ref: str
    approver: str
    valid_until: int


class ExemptionEnded(SubjectEvent, frozen=True, kw_only=True):
    code: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...] | None = None
    purpose: str | None = None
    legal_ref: str
    approver: str


class RightsRequested(Scoped, frozen=True, kw_only=True):
    """`operations` and the rest are the scope of an objection; none means all."""

    right: Right
    identity_verified: bool = False


class RightsResolved(SubjectEvent, frozen=True, kw_only=True):
    request: UUID
    outcome: Outcome
    reason: str


class AccountClosed(SubjectEvent, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    identity_verified: bool
    method: str


class SubjectQuarantined(SubjectEvent, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    position: str
    """where the record stands that could not be taken in: topic-partition@offset"""
    error: str


class QuarantineReleased(SubjectEvent, frozen=True, kw_only=True):
    position: str
    disposition: Disposition
    reason: str
    approver: str


class SubjectErased(SubjectEvent, frozen=True, kw_only=True):
    tightens: ClassVar[bool] = True
    request: UUID


class ObligationFulfilled(SubjectEvent, frozen=True, kw_only=True):
    obligation_id: UUID
    outcome: str


AnySubjectEvent = (
    ConsentRequested
    | ConsentDeferred
    | ConsentGiven
    | ConsentReaffirmed
    | ConsentRefused
    | ConsentWithdrawn
    | ConsentRevoked
    | ConsentInvalidated
    | PolicyAccepted
    | PreferenceSet
    | PermissionObserved
    | AgeAsserted
    | GuardianLinked
    | GuardianVerified
    | GuardianUnlinked
    | IdentityLinked
    | DataCollected
    | ExemptionInvoked
    | ExemptionEnded
    | RightsRequested
    | RightsResolved
    | AccountClosed
    | SubjectQuarantined
    | QuarantineReleased
    | SubjectErased
    | ObligationFulfilled
)


class Genesis(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """Record 0 of each partition of the log, and of policy-revisions: which log this is, and which life of it."""

    log_id: UUID
    epoch: int
    partitions: int
    subject_ids: SubjectIds


class PolicyEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True, forbid_unknown_fields=True):
    """The envelope of what concerns everybody; `policy` is the key."""

    event_id: UUID
    policy: str
    occurred_at: int
    producer: str = ""


class PolicyRevised(PolicyEvent, frozen=True, kw_only=True):
    version: int
    effective_at: int
    document: str
    """the YAML document as published"""
    text: str
    """the policy's wording, whole"""
    text_hash: str
    """SHA-256 of the wording, hex"""
    clause_hashes: dict[str, str] = {}
    """clause -> SHA-256 of its wording, hex"""


class ServiceDiscontinued(PolicyEvent, frozen=True, kw_only=True):
    effective_at: int


class ControllerChanged(PolicyEvent, frozen=True, kw_only=True):
    successor: str
    terms_kept: bool
    effective_at: int


class IncidentDeclared(PolicyEvent, frozen=True, kw_only=True):
    data: tuple[str, ...]
    from_at: int
    to_at: int
    reason: str = ""


AnyPolicyEvent = PolicyRevised | ServiceDiscontinued | ControllerChanged | IncidentDeclared


class Recorded(msgspec.Struct, frozen=True):
    """An event as the log holds it."""

    position: Position
    recorded_at: int
    """the broker's clock (LogAppendTime)"""
    event: AnySubjectEvent


class RecordedPolicyEvent(msgspec.Struct, frozen=True):
    position: Position
    recorded_at: int
    event: AnyPolicyEvent


class QuarantinedRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """A record that could not be taken in or folded, whole. Its source position is its identity."""

    topic: str
    partition: int
    offset: int
    recorded_at: int
    key: bytes | None
    value: bytes | None
    code: str
    detail: str
    subject: str | None = None

    @property
    def source(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"
