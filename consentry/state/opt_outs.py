"""What a row keeps of opt-outs: those that stand, those that were lifted, and who lifted another's.

Whether one of a guardian counts, and whether somebody else may lift it, hangs on the subject's age: `decide` sees.
"""

import msgspec

from consentry.errors import ConsentryError
from consentry.events import PreferenceSet
from consentry.state.circumstances import circumstances_of, with_circumstances
from consentry.state.guardians import may_loosen
from consentry.state.knowledge import is_ahead, is_informed
from consentry.state.row import MAX_OPT_OUTS, Lift, OptOut, SubjectState
from consentry.terms import ActorRole

MAX_OF_ONE_GUARDIAN = 4
"""opt-outs of one purpose; beyond them two are drawn together"""
MAX_LIFTS = 64
"""one beyond them has no effect"""
_MAX_LIFTS_OF_ONE = 4
"""of one purpose by one actor: the last four"""

_replace = msgspec.structs.replace
OptOuts = tuple[OptOut, ...]


def with_opt_out(state: SubjectState, event: PreferenceSet, recorded_at: int, offset: int) -> SubjectState:
    """The row with an opt-out: one for each purpose and who set it.

    A guardian's former ones stay beside it: the ward may have been of age at the later, which then counts for
    nothing. Raises ConsentryError where the row has no room.
    """
    opt_out = OptOut(
        event_id=event.event_id.bytes,
        purpose=event.purpose,
        actor_role=event.actor.role,
        actor_id=event.actor.id,
        recorded_at=recorded_at,
        offset=offset,
    )
    standing = _of_others(state.opt_outs, event)
    if event.actor.role is ActorRole.GUARDIAN:
        standing = _without_one_too_many(state.opt_outs, event)
    after = _replace(
        state,
        opt_outs=(*standing, opt_out),
        lifted_opt_outs=_of_others(state.lifted_opt_outs, event),
    )
    if len(after.opt_outs) + len(after.lifted_opt_outs) > MAX_OPT_OUTS:
        raise ConsentryError("the row has no room for one more opt-out", where="opt_outs")
    return _without_idle_lifts(after)


def without_opt_out(state: SubjectState, event: PreferenceSet, recorded_at: int, offset: int) -> SubjectState:
    """The row after somebody took objections back, if they can have known of them.

    One's own ends at once. A guardian's word, and anybody's about another's, is kept as a lift: it may count.
    """
    if is_ahead(event, recorded_at) or (event.actor.role is ActorRole.SUBJECT and event.actor.id != event.subject):
        return state
    of_purpose = tuple([opt_out for opt_out in state.opt_outs if opt_out.purpose == event.purpose])
    known = _known(state, of_purpose, event, recorded_at)
    if not known:
        return state
    if event.actor.role is ActorRole.GUARDIAN:
        return _with_lift(state, event, recorded_at, offset) if may_loosen(state, event, recorded_at) else state
    own = tuple([opt_out for opt_out in known if _is_own(opt_out, event)])
    if event.actor.role is ActorRole.SUBJECT and any(each.actor_role is not ActorRole.SUBJECT for each in known):
        state = _with_lift(state, event, recorded_at, offset)
    if not own:
        return state
    after = _replace(
        state,
        opt_outs=_of_others(state.opt_outs, event),
        lifted_opt_outs=(*state.lifted_opt_outs, *own),
    )
    return _without_idle_lifts(after)


def _known(state: SubjectState, opt_outs: OptOuts, event: PreferenceSet, recorded_at: int) -> OptOuts:
    """Those of which who sent the event can have known."""
    if not opt_outs or is_informed(state, event.expected_position):
        return opt_outs
    if event.expected_position is not None:
        return ()
    occurred_at = min(event.occurred_at, recorded_at)
    return tuple([opt_out for opt_out in opt_outs if occurred_at > opt_out.recorded_at])


def _with_lift(state: SubjectState, event: PreferenceSet, recorded_at: int, offset: int) -> SubjectState:
    facts = circumstances_of(state)
    lift = Lift(
        event_id=event.event_id.bytes,
        purpose=event.purpose,
        actor_role=event.actor.role,
        actor_id=event.actor.id,
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
        informed=is_informed(state, event.expected_position),
    )
    lifts = facts.lifts
    alike = [each for each in lifts if _is_own(each, event)]
    if len(alike) >= _MAX_LIFTS_OF_ONE:
        lifts = tuple([each for each in lifts if each is not alike[0]])
    if len(lifts) >= MAX_LIFTS:
        return state
    return with_circumstances(state, _replace(facts, lifts=(*lifts, lift)))


def _without_idle_lifts(state: SubjectState) -> SubjectState:
    """Without the lifts that no standing opt-out of their purpose came before: they have nothing to lift."""
    facts = state.circumstances
    if facts is None or not facts.lifts:
        return state
    first: dict[str, int] = {}
    for opt_out in state.opt_outs:
        first[opt_out.purpose] = min(opt_out.offset, first.get(opt_out.purpose, opt_out.offset))
    lifts = [lift for lift in facts.lifts if first.get(lift.purpose, lift.offset) < lift.offset]
    return with_circumstances(state, _replace(facts, lifts=tuple(lifts)))


def _without_one_too_many(opt_outs: OptOuts, event: PreferenceSet) -> OptOuts:
    """Two of them become the controller's own, which no age voids: one of them may count, and must not be lost."""
    own = [opt_out for opt_out in opt_outs if _is_own(opt_out, event)]
    if len(own) < MAX_OF_ONE_GUARDIAN:
        return opt_outs
    joined = _replace(own[1], actor_role=ActorRole.SYSTEM)
    former = [each for each in opt_outs if each.actor_role is ActorRole.SYSTEM and _is_alike(each, joined)]
    kept = [each for each in opt_outs if each is not own[0] and each not in former]
    return tuple([joined if each is own[1] else each for each in kept])


def _is_own(entry: OptOut | Lift, event: PreferenceSet) -> bool:
    return entry.purpose == event.purpose and entry.actor_id == event.actor.id and entry.actor_role is event.actor.role


def _is_alike(entry: OptOut, other: OptOut) -> bool:
    return entry.purpose == other.purpose and entry.actor_id == other.actor_id


def _of_others(opt_outs: OptOuts, event: PreferenceSet) -> OptOuts:
    return tuple([opt_out for opt_out in opt_outs if not _is_own(opt_out, event)])
