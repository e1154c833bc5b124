"""What a row keeps of guardians: who is linked, who is verified, and since when. Rule 4 of the fold."""

from collections.abc import Callable

import msgspec

from consentry.events import Actor, AnySubjectEvent, GuardianLinked, GuardianUnlinked, GuardianVerified
from consentry.state.circumstances import circumstances_of, with_circumstances
from consentry.state.knowledge import is_ahead
from consentry.state.row import MAX_GUARDIANSHIPS, Acceptance, Act, Guardianship, Lift, SubjectState
from consentry.terms import ActorRole

_replace = msgspec.structs.replace


def guardianship_of(state: SubjectState, guardian: str) -> Guardianship | None:
    if state.circumstances is None:
        return None
    for guardianship in state.circumstances.guardianships:
        if guardianship.guardian == guardian:
            return guardianship
    return None


def is_linked(state: SubjectState, guardian: str) -> bool:
    guardianship = guardianship_of(state, guardian)
    return guardianship is not None and guardianship.linked


def is_verified(state: SubjectState, guardian: str) -> bool:
    guardianship = guardianship_of(state, guardian)
    return guardianship is not None and guardianship.verified


def may_stop(state: SubjectState, actor: Actor) -> bool:
    """A guardian's stop is kept if that guardian is linked, verified or not; anybody else's always is."""
    return actor.role is not ActorRole.GUARDIAN or is_linked(state, actor.id)


def may_loosen(state: SubjectState, event: AnySubjectEvent, recorded_at: int) -> bool:
    """Whether it comes from a guardian who had been verified before, at this place and by its clock."""
    guardianship = guardianship_of(state, event.actor.id)
    return (
        event.actor.role is ActorRole.GUARDIAN
        and guardianship is not None
        and guardianship.verified
        and min(event.occurred_at, recorded_at) >= guardianship.verified_at
    )


def with_link(state: SubjectState, event: GuardianLinked, recorded_at: int) -> SubjectState:
    """The row with a guardian linked, unless the event is older than that guardian's last unlinking."""
    former = guardianship_of(state, event.guardian)
    if event.guardian == event.subject or (former is not None and former.linked):
        return state
    if former is None:
        guardianships = circumstances_of(state).guardianships
        if len(guardianships) >= MAX_GUARDIANSHIPS:
            return state
        linked = (*guardianships, Guardianship(guardian=event.guardian, linked_at=recorded_at))
        return with_circumstances(state, _replace(circumstances_of(state), guardianships=linked))
    if not _is_after_unlinking(former, event.occurred_at, recorded_at):
        return state
    return _with(state, _replace(former, linked_at=recorded_at))


def with_verification(state: SubjectState, event: GuardianVerified, recorded_at: int, offset: int) -> SubjectState:
    """The row with a linked guardian verified from now on; verifying again changes nothing."""
    former = guardianship_of(state, event.guardian)
    if former is None or not former.linked or former.verified or is_ahead(event, recorded_at):
        return state
    if not _is_after_unlinking(former, event.occurred_at, recorded_at):
        return state
    is_first = former.first_verified_at < 0
    return _with(
        state,
        _replace(
            former,
            verified_at=recorded_at,
            verified_offset=offset,
            verified_id=event.event_id.bytes,
            first_verified_at=recorded_at if is_first else former.first_verified_at,
            first_verified_offset=offset if is_first else former.first_verified_offset,
        ),
    )


def without_link(state: SubjectState, event: GuardianUnlinked, recorded_at: int) -> SubjectState:
    """The row without what this guardian granted, asked, accepted and lifted; what they stopped stays stopped."""
    former = guardianship_of(state, event.guardian)
    if former is None or not former.linked:
        return state
    state = _with(
        state,
        Guardianship(
            guardian=former.guardian,
            unlinked_at=recorded_at,
            first_verified_at=former.first_verified_at,
            first_verified_offset=former.first_verified_offset,
        ),
    )
    is_others = _of_others(event.guardian)
    facts = circumstances_of(state)
    state = with_circumstances(
        state,
        _replace(
            facts,
            acceptances=tuple([each for each in facts.acceptances if is_others(each)]),
            lifts=tuple([each for each in facts.lifts if is_others(each)]),
        ),
    )
    return _replace(state, acts=tuple([act for act in state.acts if is_others(act)]))


def _of_others(guardian: str) -> Callable[[Act | Acceptance | Lift], bool]:
    return lambda each: each.actor_role is not ActorRole.GUARDIAN or each.actor_id != guardian


def _is_after_unlinking(former: Guardianship, occurred_at: int, recorded_at: int) -> bool:
    return former.unlinked_at < 0 or min(occurred_at, recorded_at) > former.unlinked_at


def _with(state: SubjectState, changed: Guardianship) -> SubjectState:
    facts = circumstances_of(state)
    guardianships = [changed if each.guardian == changed.guardian else each for each in facts.guardianships]
    return with_circumstances(state, _replace(facts, guardianships=tuple(guardianships)))
