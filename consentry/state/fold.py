"""fold: the next state of a subject, from the former and an event of the log. Pure, and blind to any policy.

The contract's fold rules are cited by number, as docs/reference/fold.md lists them.
"""

from typing import assert_never

import msgspec

from consentry.errors import ConsentryError
from consentry.events import (
    AccountClosed,
    AgeAsserted,
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    DataCollected,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    ObligationFulfilled,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    QuarantineReleased,
    Recorded,
    RightsRequested,
    RightsResolved,
    SubjectErased,
    SubjectQuarantined,
)
from consentry.state.acceptances import with_acceptance
from consentry.state.ages import with_age
from consentry.state.circumstances import circumstances_of, with_circumstances
from consentry.state.closure import closed_row, stub
from consentry.state.direction import loosens, tightens
from consentry.state.exemptions import with_ending, with_invocation
from consentry.state.grants import with_ask, with_grant, with_reaffirmation
from consentry.state.guardians import (
    is_linked,
    is_verified,
    may_loosen,
    may_stop,
    with_link,
    with_verification,
    without_link,
)
from consentry.state.knowledge import is_ahead
from consentry.state.marks import mark_of, with_mark
from consentry.state.objections import with_objection, without_objection
from consentry.state.opt_outs import with_opt_out, without_opt_out
from consentry.state.permissions import with_permission
from consentry.state.recent import OTHER_CONTENT, SAME, content_hash, remember, repeat_of
from consentry.state.row import MAX_PERMISSIONS, MAX_QUARANTINED, MORE_QUARANTINED, Mark, SubjectState
from consentry.terms import ActorRole, AgeSource, Effect, Outcome, Position, Right, Status

_Circumstance = (
    PolicyAccepted
    | AgeAsserted
    | GuardianLinked
    | GuardianVerified
    | GuardianUnlinked
    | ExemptionInvoked
    | ExemptionEnded
    | RightsRequested
    | RightsResolved
)
_replace = msgspec.structs.replace
# A member costs a look-up by name, which a constant does not.
_SUBJECT, _GUARDIAN = ActorRole.SUBJECT, ActorRole.GUARDIAN


def fold(state: SubjectState, recorded: Recorded) -> SubjectState:
    """The state after `recorded`; the same object where it changes nothing.

    Raises ConsentryError on a record that does not belong in this subject's log: see `fold_or_quarantine`.
    """
    event, position = recorded.event, recorded.position
    if position <= state.position:  # rule 2
        return state
    former = state.position
    if event.subject != state.subject or position.epoch != former.epoch or position.partition != former.partition:
        raise ConsentryError("it is another subject's, partition's or epoch's record", where=str(position))
    if state.erased_at is not None or state.closed_at is not None:
        return _after_the_end(state, recorded)
    event_id, content = event.event_id.bytes, content_hash(event)
    repeat = repeat_of(state.recent, event_id, content)
    if repeat is SAME:  # rule 2
        return state
    tightening = tightens(event)
    noted = _replace(
        state,
        position=position,
        recent=remember(state.recent, event_id, content),
        first_act_at=_first_act_at(state, event, recorded.recorded_at),
        tightened_offset=position.offset if tightening else state.tightened_offset,
    )
    after = _folded(noted, event, recorded.recorded_at)
    return state if repeat is OTHER_CONTENT and not tightening else after  # rule 2


def _first_act_at(state: SubjectState, event: AnySubjectEvent, recorded_at: int) -> int | None:
    """When the person, or a guardian who was linked, first did anything, whatever came of it."""
    former = state.first_act_at
    occurred_at = min(event.occurred_at, recorded_at)
    if former is not None and former <= occurred_at:
        return former
    actor = event.actor
    if actor.role is _SUBJECT:
        return occurred_at if actor.id == event.subject else former
    return occurred_at if actor.role is _GUARDIAN and is_linked(state, actor.id) else former


def _folded(state: SubjectState, event: AnySubjectEvent, recorded_at: int) -> SubjectState:
    """`state` already carries the event's position. One branch for each type, the most frequent first: what they do
    is elsewhere.
    """
    match event:
        case ConsentGiven() | ConsentReaffirmed():
            return _granted(state, event, recorded_at)
        case ConsentWithdrawn() | ConsentRefused() | ConsentRevoked() | ConsentInvalidated():
            return _stopped(state, event, recorded_at)
        case PermissionObserved():
            return _observed(state, event, recorded_at)
        case PreferenceSet():
            return _preferred(state, event, recorded_at)
        case ConsentRequested() | ConsentDeferred():
            return _asked(state, event, recorded_at)
        case IdentityLinked() | DataCollected() | ObligationFulfilled():
            return state
        case AccountClosed():
            return _closed(state, event, recorded_at)
        case SubjectErased():
            return stub(state, closed_at=state.closed_at, erased_at=recorded_at)
        case SubjectQuarantined() | QuarantineReleased():
            return _replace(state, quarantined=_quarantine_after(state.quarantined, event))
        case (
            PolicyAccepted() | AgeAsserted() | GuardianLinked() | GuardianVerified() | GuardianUnlinked()
            | ExemptionInvoked() | ExemptionEnded() | RightsRequested() | RightsResolved()
        ):  # fmt: skip
            return _with_circumstance(state, event, recorded_at)
        case other:
            assert_never(other)


def _with_circumstance(state: SubjectState, event: _Circumstance, recorded_at: int) -> SubjectState:
    offset = state.position.offset
    match event:
        case PolicyAccepted():
            return _accepted(state, event, recorded_at)
        case AgeAsserted():
            return _of_age(state, event, recorded_at)
        case GuardianLinked():
            return with_link(state, event, recorded_at)
        case GuardianVerified():
            return with_verification(state, event, recorded_at, offset)
        case GuardianUnlinked():
            return without_link(state, event, recorded_at)
        case ExemptionInvoked():
            return with_circumstances(state, with_invocation(circumstances_of(state), event, recorded_at, offset))
        case ExemptionEnded():
            return with_circumstances(state, with_ending(circumstances_of(state), event, recorded_at, offset))
        case RightsRequested() | RightsResolved():
            return _objected(state, event, recorded_at)
        case other:
            assert_never(other)


def _granted(state: SubjectState, event: ConsentGiven | ConsentReaffirmed, recorded_at: int) -> SubjectState:
    if event.actor.role is _GUARDIAN:
        if not may_loosen(state, event, recorded_at):  # rule 4
            return state
    elif event.actor.role is not _SUBJECT or event.actor.id != event.subject:
        raise ConsentryError("consent comes from its subject or a guardian", where="actor")
    if event.valid_until is not None and event.valid_until < 0:
        raise ConsentryError(f"{event.valid_until} is no time", where="valid_until")
    offset = state.position.offset
    if isinstance(event, ConsentGiven):
        return _replace(state, acts=with_grant(state, event, recorded_at, offset))
    return _replace(state, acts=with_reaffirmation(state, event, recorded_at, offset))


def _asked(state: SubjectState, event: ConsentRequested | ConsentDeferred, recorded_at: int) -> SubjectState:
    if event.actor.role is _GUARDIAN and not is_linked(state, event.actor.id):
        return state
    status = Status.REQUESTED if isinstance(event, ConsentRequested) else Status.DEFERRED
    return _replace(state, acts=with_ask(state, event, status, recorded_at, state.position.offset))


def _stopped(
    state: SubjectState,
    event: ConsentRefused | ConsentWithdrawn | ConsentRevoked | ConsentInvalidated,
    recorded_at: int,
) -> SubjectState:
    if not may_stop(state, event.actor):  # rule 4
        return state
    marks = with_mark(state.marks, _mark_of(event, recorded_at, state.position.offset))
    if marks is None:  # rule 6: a mark is never dropped; the subject is quarantined instead
        raise ConsentryError("the row has no room for one more mark", where="marks")
    return _replace(state, marks=marks)


def _mark_of(
    event: ConsentRefused | ConsentWithdrawn | ConsentRevoked | ConsentInvalidated,
    recorded_at: int,
    offset: int,
) -> Mark:
    match event:
        case ConsentWithdrawn():
            return mark_of(event, Status.WITHDRAWN, recorded_at, offset)
        case ConsentRefused():
            return mark_of(event, Status.REFUSED, recorded_at, offset, event.scene or "")
        case ConsentRevoked():
            return mark_of(event, Status.REVOKED, recorded_at, offset)
        case ConsentInvalidated():
            return mark_of(event, Status.INVALIDATED, recorded_at, offset)
        case other:
            assert_never(other)


def _preferred(state: SubjectState, event: PreferenceSet, recorded_at: int) -> SubjectState:
    if event.topic is not None:  # precise feedback on one topic is not an opt-out
        return state
    if not event.opted_out:
        return without_opt_out(state, event, recorded_at, state.position.offset)
    if not may_stop(state, event.actor):  # rule 4
        return state
    return with_opt_out(state, event, recorded_at, state.position.offset)


def _observed(state: SubjectState, event: PermissionObserved, recorded_at: int) -> SubjectState:
    permissions = with_permission(state.permissions, event, recorded_at, state.position.offset)
    if len(permissions) <= MAX_PERMISSIONS:
        return _replace(state, permissions=permissions)
    if loosens(event):
        return state
    raise ConsentryError("the row has no room for one more permission", where="permissions")


def _accepted(state: SubjectState, event: PolicyAccepted, recorded_at: int) -> SubjectState:
    """An acceptance counts from the person, or from a guardian verified before; nobody else may accept."""
    by_person = event.actor.role is _SUBJECT and event.actor.id == event.subject
    if is_ahead(event, recorded_at) or not (by_person or may_loosen(state, event, recorded_at)):
        return state
    facts = circumstances_of(state)
    acceptances = with_acceptance(facts.acceptances, event, recorded_at, state.position.offset)
    return with_circumstances(state, _replace(facts, acceptances=acceptances))


def _of_age(state: SubjectState, event: AgeAsserted, recorded_at: int) -> SubjectState:
    """A statement of age. On a guardian's word it can raise the age only if that guardian is verified."""
    may_raise = state.closed_at is None and (
        event.source is not AgeSource.GUARDIAN or (event.actor.role is _GUARDIAN and is_verified(state, event.actor.id))
    )
    return with_age(state, event, recorded_at, state.position.offset, may_raise=may_raise)


def _objected(state: SubjectState, event: RightsRequested | RightsResolved, recorded_at: int) -> SubjectState:
    facts = circumstances_of(state)
    objections = facts.objections
    if isinstance(event, RightsResolved):
        if event.outcome is Outcome.REJECTED:
            objections = without_objection(objections, event.request)
    elif event.right is Right.OBJECTION and may_stop(state, event.actor):  # rule 4
        objections = with_objection(objections, event, recorded_at, state.position.offset)
    return with_circumstances(state, _replace(facts, objections=objections))


def _closed(state: SubjectState, event: AccountClosed, recorded_at: int) -> SubjectState:
    if not event.identity_verified:
        raise ConsentryError("an account is closed by a verified person alone", where="identity_verified")
    return closed_row(state, recorded_at)


def _after_the_end(state: SubjectState, recorded: Recorded) -> SubjectState:
    """Rule 5. A closed account may still be erased; beside an exemption that stands, what tightens still counts."""
    event, position, recorded_at = recorded.event, recorded.position, recorded.recorded_at
    if state.erased_at is not None or state.closed_at is None:
        return state
    if isinstance(event, SubjectErased):
        return stub(_replace(state, position=position), closed_at=state.closed_at, erased_at=recorded_at)
    if state.circumstances is None or not tightens(event) or isinstance(event, AccountClosed):
        return state
    event_id, content = event.event_id.bytes, content_hash(event)
    if repeat_of(state.recent, event_id, content) is SAME:  # rule 2
        return state
    noted = _replace(
        state,
        position=position,
        recent=remember(state.recent, event_id, content),
        first_act_at=_first_act_at(state, event, recorded_at),
    )
    return closed_row(_folded(noted, event, recorded_at), state.closed_at)


def fold_or_quarantine(
    state: SubjectState, recorded: Recorded, topic: str = "consent-events"
) -> tuple[SubjectState, str | None]:
    """The state after `recorded`, and None; where `fold` raised, the subject quarantined and the fault's text.

    Never raises on what a record holds. `quarantined` then names the record as `QuarantinedRecord.source` does;
    `topic` is the log's name on this cluster.
    """
    try:
        return fold(state, recorded), None
    except MemoryError:
        raise  # says nothing of the record: another process would fold it
    except Exception as fault:  # whatever it is: the subject is denied, and the partition goes on
        position = recorded.position
        source = f"{topic}-{position.partition}@{position.offset}"
        return quarantine(state, position, source), f"{type(fault).__name__}: {fault}"


def quarantine(state: SubjectState, position: Position, source: str) -> SubjectState:
    """The row of a subject of whom the record at `position` could not be taken in; a stub stays as it is."""
    if position <= state.position or state.closed_at is not None or state.erased_at is not None:
        return state
    return _replace(
        state,
        position=position,
        tightened_offset=position.offset,
        quarantined=_with_quarantined(state.quarantined, source),
    )


def _quarantine_after(quarantined: tuple[str, ...], event: SubjectQuarantined | QuarantineReleased) -> tuple[str, ...]:
    if isinstance(event, SubjectQuarantined):
        return _with_quarantined(quarantined, event.position)
    return tuple([source for source in quarantined if source != event.position])


def _with_quarantined(quarantined: tuple[str, ...], source: str) -> tuple[str, ...]:
    if len(quarantined) >= MAX_QUARANTINED:
        source = MORE_QUARANTINED  # released by that name, once every record set aside has been seen to
    return quarantined if source in quarantined else (*quarantined, source)


def effect_of(before: SubjectState, after: SubjectState, recorded: Recorded) -> Effect:
    """What `recorded` did, where `after` is `fold(before, recorded)`."""
    if after is before:
        late = recorded.position > before.position and loosens(recorded.event)
        return Effect.SUPERSEDED if late and _has_ended(before) else Effect.UNCHANGED
    kept = _replace(
        before,
        position=after.position,
        recent=after.recent,
        tightened_offset=after.tightened_offset,
        first_act_at=after.first_act_at,
    )
    if kept != after:
        return Effect.APPLIED
    return Effect.SUPERSEDED if loosens(recorded.event) else Effect.UNCHANGED


def _has_ended(state: SubjectState) -> bool:
    return state.closed_at is not None or state.erased_at is not None
