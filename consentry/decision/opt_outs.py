"""Step 6: the opt-outs that stand, and who may lift whose. Pure."""

from collections.abc import Iterable

from consentry.decision.age import Age
from consentry.decision.stops import was_of_age
from consentry.state.row import Lift, OptOut, SubjectState
from consentry.terms import ActorRole

_SUBJECT, _GUARDIAN = ActorRole.SUBJECT, ActorRole.GUARDIAN


def standing_opt_outs(row: SubjectState, purpose: str, age: Age | None) -> tuple[OptOut, ...]:
    """The opt-outs of a purpose that nobody who may has lifted.

    An opt-out is lifted by who set it, by a verified guardian of a child, and by anyone of age for themselves.
    """
    of_purpose = [entry for entry in row.opt_outs if entry.purpose == purpose]
    if not of_purpose:
        return ()
    facts = row.circumstances
    lifts = () if facts is None else facts.lifts
    return tuple([entry for entry in of_purpose if _counts(entry, age) and not _lifted(entry, lifts, age)])


def _counts(opt_out: OptOut, age: Age | None) -> bool:
    if opt_out.actor_role is not _GUARDIAN:
        return True
    return age is not None and not was_of_age(age, opt_out.recorded_at, opt_out.offset)


def _lifted(opt_out: OptOut, lifts: Iterable[Lift], age: Age | None) -> bool:
    return any(
        lift.purpose == opt_out.purpose
        and lift.offset > opt_out.offset
        and (lift.informed or lift.occurred_at > opt_out.recorded_at)
        and _may_lift(lift, opt_out, age)
        for lift in lifts
    )


def _may_lift(lift: Lift, opt_out: OptOut, age: Age | None) -> bool:
    if lift.actor_role is _SUBJECT:
        own = opt_out.actor_role is _SUBJECT and opt_out.actor_id == lift.actor_id
        return own or age is None or age.adults_act(lift.occurred_at, lift.recorded_at, lift.offset)
    if age is None or not age.wards_act(lift.occurred_at, lift.recorded_at):
        return False
    own = opt_out.actor_role is lift.actor_role and opt_out.actor_id == lift.actor_id
    return own or age.childs_act(lift.occurred_at, lift.recorded_at, lift.offset)
