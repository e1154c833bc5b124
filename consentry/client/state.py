"""What a node says of one subject (GET /v1/subjects/{subject}), typed. What it says beyond these fields is left out."""

import msgspec

from consentry.answers import Doubt
from consentry.client.reading import Doubtful
from consentry.terms import ActorRole, AgeBand, AgeSource, Operation, PermissionState, Reason, Status


class KnownAge(msgspec.Struct, frozen=True, kw_only=True):
    band: AgeBand
    source: AgeSource | None
    """None: nobody said it, and the band is assumed"""
    asserted_at: int | None


class KnownGuardian(msgspec.Struct, frozen=True, kw_only=True):
    guardian: str
    linked_since: int
    verified_since: int | None
    """None: not verified, and then a guardian can only stop"""


class AcceptedVersion(msgspec.Struct, frozen=True, kw_only=True):
    policy_version: int
    actor_role: ActorRole
    actor_id: str
    recorded_at: int
    event_id: str


class StandingObjection(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is empty means every one."""

    event_id: str
    actor_role: ActorRole
    recorded_at: int
    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]


class EndedExemption(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is empty means every one."""

    event_id: str
    code: str
    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    recorded_at: int


class InvokedExemption(EndedExemption, frozen=True, kw_only=True):
    valid_until: int


class SeenPermission(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    device: str
    """empty: said of all"""
    state: PermissionState
    recorded_at: int


class CellStatus(msgspec.Struct, frozen=True, kw_only=True):
    purpose: str
    operation: str
    data: str
    recipient: str
    status: Status
    reason: Reason
    evidence: tuple[str, ...]
    expires_at: int | None
    reaffirm_due: bool


class KnownEvent(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str
    what: str
    position: str
    recorded_at: int


class KnownSubject(msgspec.Struct, frozen=True, kw_only=True):
    """How a subject stands, by the version of the policy in force. Times in ms since the epoch, UTC.

    It is for people and for screens. Whether something may be done is a check's to say.
    """

    subject: str
    """as the log names it"""
    position: str
    tightened_position: str | None
    """what a later grant names as its expected_position"""
    staleness_ms: int | None
    policy_version: int | None
    closed_at: int | None
    erased_at: int | None
    quarantined: tuple[str, ...]
    age: KnownAge | None
    guardians: tuple[KnownGuardian, ...]
    accepted: tuple[AcceptedVersion, ...]
    opted_out: tuple[str, ...]
    objections: tuple[StandingObjection, ...]
    exemptions: tuple[InvokedExemption, ...]
    exemptions_ended: tuple[EndedExemption, ...]
    permissions: tuple[SeenPermission, ...]
    cells: tuple[CellStatus, ...]
    events: tuple[KnownEvent, ...]


_decoder = msgspec.json.Decoder(KnownSubject)


def read_state(body: bytes) -> KnownSubject:
    """Raises Doubtful."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Doubtful(Doubt.UNREADABLE, f"the state cannot be read: {fault}") from fault
