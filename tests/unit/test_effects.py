"""What an event did, told from the rows before and after, whoever else wrote in between."""

from typing import Any
from uuid import UUID, uuid4

from consentry.events import Actor, ConsentGiven, ConsentWithdrawn, DataCollected, PreferenceSet, Recorded
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import ActorRole, Channel, Effect, Expression, Operation, Position
from streams.query.effects import effects_of

SUBJECT = "account:u-1"
NOTHING = SubjectState.unknown(SUBJECT, 1, 0)


def envelope(at: int, event_id: UUID | None = None) -> dict[str, Any]:
    return {
        "event_id": event_id or uuid4(),
        "subject": SUBJECT,
        "occurred_at": at,
        "actor": Actor(role=ActorRole.SUBJECT, id=SUBJECT),
        "channel": Channel.APP,
    }


def grant(at: int, **fields: Any) -> ConsentGiven:
    cells = {"purpose": "p", "operations": (Operation.USE,), "data": ("d",), "recipients": ()}
    return ConsentGiven(**envelope(at), **cells, policy_version=1, expression=Expression.SEPARATE, **fields)


def withdrawal(at: int) -> ConsentWithdrawn:
    return ConsentWithdrawn(**envelope(at), purpose="p")


def objection(at: int, *, opted_out: bool) -> PreferenceSet:
    return PreferenceSet(**envelope(at), purpose="p", opted_out=opted_out)


def at(offset: int, event: Any) -> Recorded:
    return Recorded(Position(1, 0, offset), offset * 10, event)


def folded(*records: Recorded, start: SubjectState = NOTHING) -> SubjectState:
    state = start
    for recorded in records:
        state = fold(state, recorded)
    return state


def test_a_grant_alone_is_applied() -> None:
    given = at(1, grant(10))
    assert effects_of(NOTHING, folded(given), [given]) == (Effect.APPLIED,)


def test_a_grant_older_than_a_withdrawal_is_superseded() -> None:
    before = folded(at(1, withdrawal(10)))
    late = at(2, grant(5))
    assert effects_of(before, folded(late, start=before), [late]) == (Effect.SUPERSEDED,)


def test_a_repeated_event_changes_nothing() -> None:
    given = at(1, grant(10))
    before = folded(given)
    again = Recorded(Position(1, 0, 2), 20, given.event)
    assert effects_of(before, before, [again]) == (Effect.UNCHANGED,)


def test_an_event_that_no_answer_rests_on_changes_nothing() -> None:
    cells = {"purpose": "p", "operations": (Operation.USE,), "data": ("d",), "recipients": ()}
    collected = at(1, DataCollected(**envelope(10), **cells, decision_position="e1.p0.o0"))
    assert effects_of(NOTHING, folded(collected), [collected]) == (Effect.UNCHANGED,)


def test_each_event_of_a_list_has_its_own_effect() -> None:
    stop, given = at(1, withdrawal(10)), at(2, grant(5))
    assert effects_of(NOTHING, folded(stop, given), [stop, given]) == (Effect.APPLIED, Effect.SUPERSEDED)


def test_a_grant_that_stands_is_applied_though_others_wrote_in_between() -> None:
    other, given = at(1, objection(10, opted_out=True)), at(2, grant(30))
    assert effects_of(NOTHING, folded(other, given), [given]) == (Effect.APPLIED,)


def test_a_grant_that_another_has_withdrawn_since_no_longer_stands() -> None:
    given, stop, anew = at(1, grant(10)), at(2, withdrawal(20)), at(3, grant(30))
    after = folded(given, stop, anew)
    assert effects_of(NOTHING, after, [given]) == (Effect.SUPERSEDED,)
    assert effects_of(NOTHING, after, [anew]) == (Effect.APPLIED,)


def test_a_stop_is_applied_whatever_came_after_it() -> None:
    stop, again = at(1, withdrawal(10)), at(2, withdrawal(20))
    assert effects_of(NOTHING, folded(stop, again), [stop]) == (Effect.APPLIED,)


def test_an_objection_lifted_while_others_wrote_is_told_by_what_stands() -> None:
    before = folded(at(1, objection(10, opted_out=True)))
    other, lifted = at(2, grant(30)), at(3, objection(40, opted_out=False))
    assert effects_of(before, folded(other, lifted, start=before), [lifted]) == (Effect.APPLIED,)
    again = at(4, objection(50, opted_out=True))
    assert effects_of(before, folded(other, lifted, again, start=before), [lifted]) == (Effect.SUPERSEDED,)


def test_a_repeated_event_is_known_though_others_wrote_in_between() -> None:
    given = at(1, grant(10))
    before = folded(given)
    other = at(2, objection(20, opted_out=True))
    again = Recorded(Position(1, 0, 3), 30, given.event)
    assert effects_of(before, folded(other, again, start=before), [again]) == (Effect.UNCHANGED,)
