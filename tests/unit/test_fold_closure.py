"""Rule 5: what is left of a closed account, and that nothing in it ever loosens."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.folding import MOTHER, NEARBY, OPERATOR, SEPARATELY, USE, Log
from unit.histories import CELLS, SUBJECT, Draft, at, drafts, everything, exemptions, histories, lay_down
from unit.reading import exemptions_in, folded

from consentry.codec import decode_row, encode_row
from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    ConsentGiven,
    ConsentWithdrawn,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianVerified,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    Recorded,
    RightsRequested,
    RightsResolved,
    SubjectErased,
    SubjectQuarantined,
)
from consentry.state.fold import effect_of
from consentry.state.row import Circumstances, SubjectState
from consentry.terms import ActorRole, AgeBand, AgeSource, Channel, Effect, Outcome, PermissionState, Right

ORDER = {"code": "c", "legal_ref": "law", "approver": "b", "actor": OPERATOR, "operations": (USE,), "data": ("gps",)}


def exempted() -> Log:
    """An account with something of everything, closed while an exemption stands."""
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    log.append(GuardianVerified, guardian=MOTHER.id, method="id card", actor=OPERATOR)
    log.append(AgeAsserted, source=AgeSource.DECLARED, age_band=AgeBand.CHILD)
    log.append(PolicyAccepted, policy_version=1)
    log.append(ConsentWithdrawn, purpose="feed.city")
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=MOTHER)
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON)
    log.append(RightsRequested, right=Right.OBJECTION, purpose="feed.city")
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(ExemptionInvoked, **ORDER, valid_until=9_000)
    log.append(SubjectQuarantined, position="consent-intake.app-0@7", error="truncated", actor=OPERATOR)
    close(log)
    return log


def close(log: Log) -> SubjectState:
    return log.append(AccountClosed, identity_verified=True, method="id card")


def facts(log: Log) -> Circumstances:
    return log.state.circumstances or Circumstances()


def test_a_closed_account_without_an_exemption_is_a_bare_stub() -> None:
    log = Log()
    log.append(AgeAsserted, source=AgeSource.DECLARED, age_band=AgeBand.CHILD)
    log.append(ConsentWithdrawn)
    state = close(log)
    assert state == SubjectState(
        subject=SUBJECT, position=at(3), tightened_offset=3, closed_at=log.records[-1].recorded_at
    )


def test_beside_an_exemption_that_stands_a_closed_account_keeps_all_that_may_void_it_and_no_act() -> None:
    state = exempted().state
    kept = state.circumstances
    assert kept is not None
    assert all((kept.ages, kept.guardianships, kept.objections, kept.invocations, kept.lifts, state.marks))
    assert state.opt_outs
    assert state.first_act_at is not None
    assert not any((kept.acceptances, state.acts, state.permissions, state.lifted_opt_outs, state.quarantined))


def test_erasure_keeps_nothing() -> None:
    log = exempted()
    closed_at = log.state.closed_at
    state = log.append(SubjectErased, request=UUID(int=9), actor=OPERATOR)
    assert (state.closed_at, state.erased_at) == (closed_at, log.records[-1].recorded_at)
    assert msgspec.structs.replace(state, closed_at=None, erased_at=None) == SubjectState(
        subject=SUBJECT, position=state.position, tightened_offset=state.position.offset
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ConsentGiven, {**NEARBY, **SEPARATELY}),
        (ExemptionInvoked, {**ORDER, "valid_until": 9_000}),
        (PreferenceSet, {"purpose": "feed.city", "opted_out": False}),
        (PolicyAccepted, {"policy_version": 2}),
        (AgeAsserted, {"source": AgeSource.VERIFIED, "age_band": AgeBand.ADULT}),
        (RightsResolved, {"request": UUID(int=9), "outcome": Outcome.REJECTED, "reason": "no", "actor": OPERATOR}),
        (GuardianLinked, {"guardian": "account:bob", "relation": "father", "actor": OPERATOR}),
        (AccountClosed, {"identity_verified": True, "method": "id card"}),
    ],
)
def test_what_does_not_tighten_changes_nothing_of_a_closed_account(kind: type, fields: dict[str, object]) -> None:
    log = exempted()
    before = log.state
    assert log.append(kind, **fields) is before
    late = effect_of(before, before, log.records[-1])
    assert late is (Effect.UNCHANGED if kind in (RightsResolved, GuardianLinked, AccountClosed) else Effect.SUPERSEDED)


def test_what_tightens_still_counts_for_the_exemption_of_a_closed_account() -> None:
    log = exempted()
    log.append(RightsRequested, right=Right.OBJECTION, purpose="feed.nearby")
    log.append(ConsentWithdrawn, purpose="feed.nearby")
    log.append(PreferenceSet, purpose="feed.nearby", opted_out=True)
    assert len(facts(log).objections) == len(log.state.marks) == len(log.state.opt_outs) == 2
    assert log.state.tightened_position == log.records[-1].position


def test_an_age_said_after_closure_can_only_lower() -> None:
    log = exempted()
    log.append(AgeAsserted, source=AgeSource.VERIFIED, birth_date="1950-01-01")
    assert [statement.may_raise for statement in facts(log).ages] == [True, False]


def test_once_its_exemption_is_ended_a_closed_account_is_a_bare_stub() -> None:
    log = exempted()
    closed_at = log.state.closed_at
    state = log.append(ExemptionEnded, **ORDER)
    assert state == SubjectState(
        subject=SUBJECT, position=state.position, tightened_offset=state.position.offset, closed_at=closed_at
    )


def test_what_is_repeated_after_closure_changes_nothing() -> None:
    log = exempted()
    before = log.state
    assert log.append_event(log.records[8].event) is before


CLOSING = AccountClosed(
    event_id=UUID(int=2**100),
    subject=SUBJECT,
    occurred_at=0,
    actor=Actor(role=ActorRole.SUBJECT, id=SUBJECT),
    channel=Channel.APP,
    identity_verified=True,
    method="id card",
)


@given(histories(everything | exemptions), st.lists(drafts(everything), max_size=12))
def test_a_closed_account_never_loosens(records: list[Recorded], later: list[Draft]) -> None:
    place = len(records) + 1
    recorded_at = records[-1].recorded_at if records else 1_000
    row = folded([*records, Recorded(at(place), recorded_at, CLOSING)])
    assert not row.acts
    assert not row.permissions
    for recorded in lay_down(later, first_offset=place + 1, recorded_at=recorded_at):
        after = folded([recorded], row)
        assert decode_row(encode_row(after)) == after
        assert after.closed_at == row.closed_at
        assert (after.acts, after.permissions) == ((), ())
        for cell in CELLS:
            assert exemptions_in(after, cell) <= exemptions_in(row, cell)
        if after.circumstances is not None and row.circumstances is not None:
            assert_no_looser(row.circumstances, after.circumstances)
            assert {each.event_id for each in row.opt_outs} <= {each.event_id for each in after.opt_outs} | {
                each.event_id for each in row.opt_outs if each.actor_id == SUBJECT
            }
        row = after


def assert_no_looser(before: Circumstances, after: Circumstances) -> None:
    assert not after.acceptances
    assert set(after.lifts) <= set(before.lifts)
    assert set(before.objections) <= set(after.objections)
    known = set(before.ages)
    assert not any(statement.may_raise for statement in after.ages if statement not in known)
    verified = {each.guardian for each in before.guardianships if each.verified}
    assert {each.guardian for each in after.guardianships if each.verified} <= verified
