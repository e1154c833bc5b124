"""take_in: from what a caller sent to what may stand in the log. Pure: the clock, ids and rows are arguments."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import msgspec

from consentry.codec import encode_event
from consentry.errors import Unavailable
from consentry.events import (
    AnySubjectEvent,
    ConsentGiven,
    ConsentReaffirmed,
    ExemptionInvoked,
    Genesis,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    PreferenceSet,
)
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.cells import completed
from consentry.intake.faults import Fault, refusal
from consentry.intake.guardians import faults_of_guardian
from consentry.intake.naming import faults_of_actor, idempotent_id, with_stored_ids
from consentry.intake.roles import Caller, CallerRole, faults_of_authority
from consentry.intake.rows import RowOf, Rows, faults_of_row, is_repeat, no_rows
from consentry.intake.shape import fault_of_clock, faults_of_record, faults_of_shape, made_safe
from consentry.intake.subjects import fault_of_subject, require_subject_ids
from consentry.intake.submission import UNNAMED, Submission
from consentry.partition import partition_of
from consentry.policy import Policies, Policy
from consentry.settings import Secret, Settings
from consentry.state.direction import tightens
from consentry.state.knowledge import is_informed
from consentry.state.row import SubjectState
from consentry.terms import Position

_POSITION_BYTES = 64
"""room for an expected_position that is filled in last"""


class Accepted(msgspec.Struct, frozen=True):
    """An event that may be appended to the log, as it will stand there."""

    event: AnySubjectEvent
    after: int | None = None
    """the place, in the same list, of the person's own tightening: once it stands, and once it is proven that nothing
    came between it and the row that intake judged by, its position is filled in; else the event is sent as it is"""
    value: bytes = b""
    """its bytes in the log, where they are known already"""

    def with_position(self, position: Position) -> AnySubjectEvent:
        """The event, having seen the tightening at `position`."""
        assert isinstance(self.event, ConsentGiven | ConsentReaffirmed | PreferenceSet)
        return msgspec.structs.replace(self.event, expected_position=str(position))


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is measured by."""

    caller: Caller
    policies: Policies
    identity: Genesis
    settings: Settings
    now: int
    arrived_at: int
    rows: Rows


def take_in(
    submissions: Sequence[Submission],
    *,
    caller: Caller,
    policies: Policies,
    identity: Genesis,
    settings: Settings,
    now: int,
    new_id: Callable[[], UUID],
    key: str | None = None,
    row_of: RowOf = no_rows,
    arrived_at: int | None = None,
) -> tuple[Accepted, ...]:
    """All of `submissions` as they may stand in the log, in order; or none of them.

    `key` is an Idempotency-Key; `arrived_at`, where it is not `now`, is when the events reached us: what clocks and
    versions are measured by. Raises InvalidEvent with a problem for each fault of each item, Unavailable while no
    policy is in force, and UntrustedLog where these settings would write the other kind of ids than the log holds.
    """
    require_subject_ids(settings, identity)
    arrived_at = now if arrived_at is None else arrived_at
    by = Measure(
        caller=caller,
        policies=policies,
        identity=identity,
        settings=settings,
        now=now,
        arrived_at=arrived_at,
        rows=Rows(row_of, identity, arrived_at),
    )
    policy = policies.in_force(now)
    if policy is None:
        raise Unavailable("no policy is in force", remedy="publish one: consentry policy publish")
    taken: list[Accepted] = []
    faults: list[Fault] = []
    for index, submission in enumerate(submissions):
        event = submission.event
        if not submission.is_named:
            place = index if submission.place else None
            event_id = new_id() if key is None else idempotent_id(caller.name, key, place)
            event = msgspec.structs.replace(event, event_id=event_id)
        accepted, found = _take(event, policy, by)
        taken.append(accepted)
        if not found and len(submissions) > 1:
            by.rows.add(accepted.event)
        faults += [fault.within(submission.place) for fault in found]
    faults += _faults_of_repetition(submissions, taken)
    if faults:
        raise refusal(faults)
    return _in_sequence(taken, by)


def faults_before_sending(event: AnySubjectEvent, settings: Settings, now: int) -> list[Fault]:
    """What intake would refuse in a producer's event whatever the policy says: to be known before it is sent."""
    sender = Caller(event.producer or "producer", frozenset({CallerRole.PRODUCER}))
    unwritable = list(faults_of_record(event))
    if unwritable:
        return unwritable
    event = made_safe(event)
    # whether the log holds plain ids or hashed ones is intake's to know, so both are well-formed here
    settings = msgspec.structs.replace(settings, subject_pepper=Secret("either"))
    faults = [*faults_of_authority(event, sender), *faults_of_shape(event, settings, now)]
    if not faults:
        faults = list(faults_of_actor(event, settings))
    if not faults:
        corrected = _with_corrected_clock(event, now)
        late, large = fault_of_clock(corrected, settings, now), _fault_of_size(encode_event(event), settings)
        faults = [fault for fault in (late, large) if fault]
    if event.event_id == UNNAMED:
        faults.append(Fault(where="/event_id", what="the nil UUID names nothing"))
    return faults


def _take(event: AnySubjectEvent, policy: Policy, by: Measure) -> tuple[Accepted, list[Fault]]:
    """One event on its way, and what is wrong with it: each stage needs what those before it have made sure of."""
    event = made_safe(event)
    for stage in (_faults_of_sender, _faults_of_form):
        faults = list(stage(event, by))
        if faults:
            return Accepted(event), faults
    event = _with_corrected_clock(event, by.arrived_at)
    event = msgspec.structs.replace(with_stored_ids(event, by.settings), producer=by.caller.name, sent_at=None)
    event, faults = completed(event, by.policies, policy, by.arrived_at)
    faults = faults or [*_faults_of_time(event, by), *_faults_of_rows(event, policy, by)]
    if faults:
        return Accepted(event), faults
    value = encode_event(event)
    large = _fault_of_size(value, by.settings)
    return Accepted(event, None, value), [large] if large else []


def _faults_of_sender(event: AnySubjectEvent, by: Measure) -> Iterator[Fault]:
    yield from faults_of_authority(event, by.caller)
    if event.producer not in ("", by.caller.name):
        yield Fault(
            where="/producer",
            what="the producer is who authenticated, and that is another",
            remedy="leave it out",
            status=403,
            code="ROLE_NOT_ALLOWED",
        )


def _faults_of_form(event: AnySubjectEvent, by: Measure) -> Iterator[Fault]:
    malformed = False
    for fault in faults_of_shape(event, by.settings, by.now):
        malformed = True
        yield fault
    if malformed:
        return
    kinds = {kind for revision in by.policies.revisions for kind in revision.policy.subject_types}
    unknown = fault_of_subject(event.subject, by.settings, kinds)
    if unknown is not None:
        yield Fault(where="/subject", what=unknown)
    if isinstance(event, GuardianLinked | GuardianVerified | GuardianUnlinked):
        unknown = fault_of_subject(event.guardian, by.settings, kinds)
        if unknown is not None:
            yield Fault(where="/guardian", what=unknown)
    yield from faults_of_actor(event, by.settings)
    approver = getattr(event, "approver", None)
    if approver is not None and approver in (by.caller.name, event.actor.id):
        yield Fault(where="/approver", what="a second person approves, not who acts or sends")


def _with_corrected_clock(event: AnySubjectEvent, now: int) -> AnySubjectEvent:
    """Where the caller's clock is ahead, the event happened that much earlier. Never forward."""
    if event.sent_at is None or event.sent_at <= now:
        return event
    skew_ms = event.sent_at - now
    # a tightening is never lost to its clock, however wrong
    skew_ms = min(skew_ms, event.occurred_at - 1)
    return msgspec.structs.replace(event, occurred_at=event.occurred_at - skew_ms, skew_ms=skew_ms)


def _faults_of_time(event: AnySubjectEvent, by: Measure) -> Iterator[Fault]:
    fault = fault_of_clock(event, by.settings, by.arrived_at)
    if fault is not None:
        yield fault
    if isinstance(event, ExemptionInvoked) and event.valid_until <= by.arrived_at:
        yield Fault(where="/valid_until", what="it is over already", remedy="an exemption is invoked for what comes")
    expected = getattr(event, "expected_position", None)
    if expected is None:
        return
    position = Position.parse(expected)
    if position.epoch != by.identity.epoch:
        yield Fault(
            where="/expected_position",
            what=f"the log is in epoch {by.identity.epoch}",
            remedy="read the state again, and show the person what it says",
            status=409,
            code="OTHER_EPOCH",
        )
    elif position.partition != partition_of(event.subject, by.identity.partitions):
        yield Fault(where="/expected_position", what="this subject's events lie in another partition")


def _faults_of_rows(event: AnySubjectEvent, policy: Policy, by: Measure) -> Iterator[Fault]:
    if not is_repeat(event, by.rows.known(event.subject)):
        yield from faults_of_row(event, by.rows)
        yield from faults_of_guardian(event, by.rows, policy, by.now)


def _fault_of_size(value: bytes, settings: Settings) -> Fault | None:
    size = len(value) + _POSITION_BYTES
    if size <= settings.max_event_bytes:
        return None
    remedy = f"at the most {settings.max_event_bytes}"
    return Fault(where="", what=f"the event has {size} bytes", remedy=remedy, code="EVENT_TOO_LARGE")


def _faults_of_repetition(submissions: Sequence[Submission], taken: Sequence[Accepted]) -> Iterator[Fault]:
    """One list says each event once."""
    seen: set[UUID] = set()
    for submission, accepted in zip(submissions, taken, strict=True):
        if accepted.event.event_id in seen:
            yield Fault(where=f"{submission.place}/event_id", what="the list holds this event_id twice")
        seen.add(accepted.event.event_id)


def _in_sequence(taken: Sequence[Accepted], by: Measure) -> tuple[Accepted, ...]:
    """In one list, what loosens may have seen what the same actor, and nobody else, tightens before it.

    Only at a door that sees rows: without one nobody can prove that nothing else came in between.
    """
    if len(taken) == 1 or not by.rows.are_seen:
        return tuple(taken)
    stops: dict[str, dict[tuple[str, str], int]] = {}
    sequence: list[Accepted] = []
    for index, accepted in enumerate(taken):
        event = accepted.event
        who = (event.actor.role, event.actor.id)
        of_subject = stops.setdefault(event.subject, {})
        if tightens(event):
            of_subject[who] = index
        if of_subject.keys() == {who} and _fills_in(event, by):
            accepted = Accepted(event, of_subject[who], accepted.value)
        sequence.append(accepted)
    return tuple(sequence)


def _fills_in(event: AnySubjectEvent, by: Measure) -> bool:
    return (
        isinstance(event, ConsentGiven | ConsentReaffirmed | PreferenceSet)
        and bearing_of(event) is Bearing.LOOSENS
        and _has_seen_the_row(event, by.rows.known(event.subject))
    )


def _has_seen_the_row(event: ConsentGiven | ConsentReaffirmed | PreferenceSet, row: SubjectState | None) -> bool:
    """Whether the person knew of what was tightened before the list: a list must not wave it aside."""
    if event.expected_position is not None:  # what a caller says was seen holds alone, and must be all of it
        return row is not None and is_informed(row, event.expected_position)
    if row is None or row.tightened_position is None:
        return True
    return all(event.occurred_at > recorded_at for recorded_at in _tightened_at(row))


def _tightened_at(row: SubjectState) -> Iterator[int]:
    """When whatever stands in the row, and may have tightened, was recorded."""
    yield from (stop.recorded_at for stop in row.marks)
    yield from (stop.recorded_at for stop in (*row.opt_outs, *row.lifted_opt_outs))
    found = row.circumstances
    if found is not None:
        yield from (said.recorded_at for said in found.ages)
        yield from (said.recorded_at for said in found.objections)
        yield from (said.recorded_at for said in found.endings)
        yield from (guardianship.unlinked_at for guardianship in found.guardianships)
