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
from consentry.state.direction import loosens, tightens
from consentry.state.grants import with_ask, with_grant, with_reaffirmation
from consentry.state.marks import mark_of, with_mark
from consentry.state.preferences import with_opt_out, with_permission, without_opt_out
from consentry.state.recent import Repeat, content_hash, remember, repeat_of
from consentry.state.row import (
    MAX_OPT_OUTS,
    MAX_PERMISSIONS,
    MAX_QUARANTINED,
    MORE_QUARANTINED,
    Mark,
    SubjectState,
)
from consentry.terms import ActorRole, Effect, Position, Status

_replace = msgspec.structs.replace


def fold(state: SubjectState, recorded: Recorded) -> SubjectState:
    """The state after `recorded`; the same object where it changes nothing.

    Raises ConsentryError on a record that does not belong in this subject's log: see `fold_or_quarantine`.
    """
    event, position = recorded.event, recorded.position
    if position <= state.position:  # rule 2
        return state
    if event.subject != state.subject or position[:2] != state.position[:2]:
        raise ConsentryError("it is another subject's, partition's or epoch's record", where=str(position))
    if state.erased_at is not None or state.closed_at is not None:
        return _after_the_end(state, recorded)
    event_id, content = event.event_id.bytes, content_hash(event)
    repeat = repeat_of(state.recent, event_id, content)
    if repeat is Repeat.SAME:  # rule 2
        return state
    noted = _replace(state, position=position, recent=remember(state.recent, event_id, content))
    after = _folded(noted, event, recorded.recorded_at)
    if tightens(event) or after.uninterpreted is not state.uninterpreted:
        return _replace(after, tightened_offset=position.offset)
    return state if repeat is Repeat.OTHER_CONTENT else after  # rule 2


def _folded(state: SubjectState, event: AnySubjectEvent, recorded_at: int) -> SubjectState:
    """`state` already carries the event's position. One branch for each type; what they do is elsewhere."""
    offset = state.position.offset
    match event:
        case ConsentGiven() | ConsentReaffirmed():
            return _granted(state, event, recorded_at)
        case (
            IdentityLinked() | DataCollected() | RightsRequested() | RightsResolved()
            | PolicyAccepted() | ObligationFulfilled()
        ):  # fmt: skip
            return state
        case ConsentRequested() | ConsentDeferred():
            status = Status.REQUESTED if isinstance(event, ConsentRequested) else Status.DEFERRED
            return _replace(state, acts=with_ask(state, event, status, recorded_at, offset))
        case ConsentRefused() | ConsentWithdrawn() | ConsentRevoked() | ConsentInvalidated():
            return _stopped(state, event, recorded_at)
        case PreferenceSet():
            return _preferred(state, event, recorded_at)
        case PermissionObserved():
            return _observed(state, event, recorded_at)
        case AccountClosed():
            return _closed(state, event, recorded_at)
        case SubjectErased():
            return _stub(state, closed_at=state.closed_at, erased_at=recorded_at)
        case SubjectQuarantined() | QuarantineReleased():
            return _replace(state, quarantined=_quarantine_after(state.quarantined, event))
        case (
            AgeAsserted() | GuardianLinked() | GuardianVerified() | GuardianUnlinked()
            | ExemptionInvoked() | ExemptionEnded()
        ):  # fmt: skip
            return _uninterpreted(state, event)
        case other:
            assert_never(other)


def _granted(state: SubjectState, event: ConsentGiven | ConsentReaffirmed, recorded_at: int) -> SubjectState:
    if event.actor.role is ActorRole.GUARDIAN:
        return _uninterpreted(state, event)
    if event.actor.role is not ActorRole.SUBJECT or event.actor.id != event.subject:
        raise ConsentryError("consent comes from its subject or a guardian", where="actor")
    if event.valid_until is not None and event.valid_until < 0:
        raise ConsentryError(f"{event.valid_until} is no time", where="valid_until")
    offset = state.position.offset
    if isinstance(event, ConsentGiven):
        return _replace(state, acts=with_grant(state, event, recorded_at, offset))
    return _replace(state, acts=with_reaffirmation(state, event, recorded_at, offset))


def _stopped(
    state: SubjectState,
    event: ConsentRefused | ConsentWithdrawn | ConsentRevoked | ConsentInvalidated,
    recorded_at: int,
) -> SubjectState:
    if event.actor.role is ActorRole.GUARDIAN:
        return _uninterpreted(state, event)
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
        case ConsentRefused():
            return mark_of(event, Status.REFUSED, recorded_at, offset, event.scene or "")
        case ConsentWithdrawn():
            return mark_of(event, Status.WITHDRAWN, recorded_at, offset)
        case ConsentRevoked():
            return mark_of(event, Status.REVOKED, recorded_at, offset)
        case ConsentInvalidated():
            return mark_of(event, Status.INVALIDATED, recorded_at, offset)
        case other:
            assert_never(other)


def _preferred(state: SubjectState, event: PreferenceSet, recorded_at: int) -> SubjectState:
    if event.actor.role is ActorRole.GUARDIAN:
        return _uninterpreted(state, event)
    if event.topic is not None:  # precise feedback on one topic is not an opt-out
        return state
    if not event.opted_out:
        return without_opt_out(state, event, recorded_at)
    after = with_opt_out(state, event, recorded_at, state.position.offset)
    if len(after.opt_outs) + len(after.lifted_opt_outs) > MAX_OPT_OUTS:
        raise ConsentryError("the row has no room for one more opt-out", where="opt_outs")
    return after


def _observed(state: SubjectState, event: PermissionObserved, recorded_at: int) -> SubjectState:
    permissions = with_permission(state.permissions, event, recorded_at, state.position.offset)
    if len(permissions) <= MAX_PERMISSIONS:
        return _replace(state, permissions=permissions)
    if loosens(event):
        return state
    raise ConsentryError("the row has no room for one more permission", where="permissions")


def _uninterpreted(state: SubjectState, event: AnySubjectEvent) -> SubjectState:
    """What this version of the fold cannot weigh: nothing is allowed while it stands in the row."""
    kind = type(event).__name__
    if kind in state.uninterpreted:
        return state
    return _replace(state, uninterpreted=(*state.uninterpreted, kind))


def _closed(state: SubjectState, event: AccountClosed, recorded_at: int) -> SubjectState:
    if not event.identity_verified:
        raise ConsentryError("an account is closed by a verified person alone", where="identity_verified")
    return _stub(state, closed_at=recorded_at, erased_at=None)


def _stub(state: SubjectState, *, closed_at: int | None, erased_at: int | None) -> SubjectState:
    """Rule 5: what is left for ever: a late grant, or a replica that slept, finds it. Nothing opens it."""
    return SubjectState(
        subject=state.subject,
        position=state.position,
        tightened_offset=state.position.offset,
        closed_at=closed_at,
        erased_at=erased_at,
    )


def _after_the_end(state: SubjectState, recorded: Recorded) -> SubjectState:
    """A closed account may still be erased; nothing else ever changes a stub."""
    if state.erased_at is None and isinstance(recorded.event, SubjectErased):
        at_erasure = _replace(state, position=recorded.position)
        return _stub(at_erasure, closed_at=state.closed_at, erased_at=recorded.recorded_at)
    return state


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
    kept = _replace(before, position=after.position, recent=after.recent, tightened_offset=after.tightened_offset)
    if kept != after:
        return Effect.APPLIED
    return Effect.SUPERSEDED if loosens(recorded.event) else Effect.UNCHANGED


def _has_ended(state: SubjectState) -> bool:
    return state.closed_at is not None or state.erased_at is not None
