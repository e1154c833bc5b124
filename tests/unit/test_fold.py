"""The fold, case by case: what is repeated, closed, set aside or odd. The numbers are those of the contract's rules."""

from uuid import UUID

import pytest
from unit.folding import (
    MOTHER,
    NEARBY,
    OPERATOR,
    PERSON,
    SEPARATELY,
    SUBJECT,
    Log,
    status,
    substance,
)

from consentry.errors import ConsentryError
from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRequested,
    ConsentWithdrawn,
    DataCollected,
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
from consentry.state.fold import effect_of, fold, fold_or_quarantine, quarantine
from consentry.state.row import SubjectState
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Disposition,
    Effect,
    Expression,
    Outcome,
    PermissionState,
    Position,
    Right,
    Status,
)

SOURCE = "consent-intake.app-0@7"


# 2. What is repeated changes nothing


def test_a_position_at_or_below_the_row_s_changes_nothing() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(ConsentWithdrawn)
    assert fold(state, log.records[0]) is state
    assert fold(state, log.records[1]) is state


def test_a_known_event_changes_nothing() -> None:
    log = Log()
    log.append(ConsentGiven, number=77, **NEARBY, **SEPARATELY)
    state = log.append(ConsentWithdrawn)
    assert log.append(ConsentGiven, number=77, occurred_at=1_010, **NEARBY, **SEPARATELY) is state


def test_a_known_event_is_known_whatever_intake_did_to_its_clock() -> None:
    log = Log()
    state = log.append(ConsentWithdrawn, number=77, occurred_at=900, skew_ms=50)
    assert log.append(ConsentWithdrawn, number=77, occurred_at=950, skew_ms=0) is state
    assert log.append(ConsentWithdrawn, number=77, occurred_at=900, skew_ms=0) is not state


def test_a_known_event_is_known_whatever_position_intake_filled_in() -> None:
    log = Log()
    state = log.append(ConsentGiven, number=77, occurred_at=900, **NEARBY, **SEPARATELY)
    again = {"occurred_at": 900, "expected_position": "e1.p3.o5"}
    assert log.append(ConsentGiven, number=77, **again, **NEARBY, **SEPARATELY) is state


def test_a_known_id_with_other_content_does_not_loosen() -> None:
    log = Log()
    state = log.append(ConsentRequested, number=77, **NEARBY, policy_version=1)
    assert log.append(ConsentGiven, number=77, **NEARBY, **SEPARATELY) is state


def test_a_known_id_with_other_content_tightens() -> None:
    log = Log()
    log.append(ConsentGiven, number=77, **NEARBY, **SEPARATELY)
    state = log.append(ConsentWithdrawn, number=77)
    assert status(state) is Status.WITHDRAWN
    assert log.append(ConsentWithdrawn, number=77, occurred_at=1_020) is state


def test_a_row_knows_its_last_32_events_and_no_more() -> None:
    log = Log()
    log.append(ConsentWithdrawn, number=1, occurred_at=5)
    for number in range(2, 33):
        log.append(PolicyAccepted, number=number, policy_version=1)
    known = log.state
    assert log.append(ConsentWithdrawn, number=1, occurred_at=5) is known
    log.append(PolicyAccepted, number=33, policy_version=1)
    assert log.append(ConsentWithdrawn, number=1, occurred_at=5) is not known


def test_an_id_that_only_spans_two_entries_is_not_known() -> None:
    log = Log()
    log.append(PolicyAccepted, number=1, policy_version=1)
    state = log.append(PolicyAccepted, number=2, policy_version=1)
    spanning = int.from_bytes(state.recent[12:28])
    after = log.append(PolicyAccepted, number=spanning, policy_version=1)
    assert len(after.recent) == 3 * 24


# 5. Closure and erasure are terminal


def closed() -> Log:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    log.append(PermissionObserved, permission="camera", state=PermissionState.OFF)
    log.append(AccountClosed, identity_verified=True, method="password")
    return log


def test_a_closed_account_leaves_a_stub() -> None:
    assert closed().state == SubjectState(
        subject=SUBJECT, position=Position(1, 3, 4), tightened_offset=4, closed_at=1_040
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ConsentGiven, {**NEARBY, **SEPARATELY, "expected_position": "e1.p3.o4"}),
        (ConsentReaffirmed, {**NEARBY, "policy_version": 1}),
        (PermissionObserved, {"permission": "camera", "state": PermissionState.ON}),
        (ConsentWithdrawn, {}),
        (PreferenceSet, {"purpose": "feed.city", "opted_out": False}),
        (AgeAsserted, {"source": AgeSource.VERIFIED, "age_band": AgeBand.ADULT}),
        (AccountClosed, {"identity_verified": True, "method": "again"}),
        (SubjectQuarantined, {"position": SOURCE, "error": "truncated"}),
    ],
)
def test_nothing_opens_a_closed_account(kind: type, fields: dict[str, object]) -> None:
    log = closed()
    state = log.state
    assert log.append(kind, **fields) is state


def test_a_closed_account_may_be_erased_and_stays_closed() -> None:
    log = closed()
    state = log.append(SubjectErased, request=log.records[0].event.event_id, actor=OPERATOR)
    assert (state.closed_at, state.erased_at, state.tightened_position) == (1_040, 1_050, Position(1, 3, 5))
    assert log.append(ConsentGiven, **NEARBY, **SEPARATELY) is state
    assert log.append(AccountClosed, identity_verified=True, method="again") is state


def test_an_erased_subject_leaves_a_stub_without_what_it_said() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(SubjectErased, request=log.records[0].event.event_id, actor=OPERATOR)
    assert substance(state) == SubjectState(subject=SUBJECT, position=Position(1, 3, 0), erased_at=1_020)
    assert state.recent == b""


# Quarantine


def test_a_quarantined_subject_is_so_until_each_record_is_released() -> None:
    log = Log()
    log.append(SubjectQuarantined, position=SOURCE, error="truncated", actor=OPERATOR)
    log.append(SubjectQuarantined, position="consent-intake.app-0@8", error="truncated", actor=OPERATOR)
    release = {"disposition": Disposition.NO_EFFECT, "reason": "read", "approver": "b", "actor": OPERATOR}
    state = log.append(QuarantineReleased, position=SOURCE, **release)
    assert state.quarantined == ("consent-intake.app-0@8",)
    assert log.append(QuarantineReleased, position="consent-intake.app-0@8", **release).quarantined == ()


def test_a_record_of_another_subject_is_set_aside_and_its_row_says_so() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    other = SubjectState.unknown("account:bob", 1, 3)
    with pytest.raises(ConsentryError, match="another subject's"):
        fold(other, log.records[0])
    state, fault = fold_or_quarantine(other, log.records[0])
    assert state.quarantined == ("consent-events-3@1",)
    assert (state.position, state.tightened_position) == (Position(1, 3, 1), Position(1, 3, 1))
    assert fault is not None
    assert "another subject's" in fault


@pytest.mark.parametrize("place", [Position(2, 3, 1), Position(1, 4, 5)])
def test_a_record_of_another_epoch_or_partition_is_set_aside(place: Position) -> None:
    log = Log()
    log.append(PolicyAccepted, policy_version=1)
    moved = Recorded(place, 2_000, log.records[0].event)
    assert fold_or_quarantine(log.state, moved)[1] is not None


def test_what_was_set_aside_is_named_by_the_log_s_name_on_the_cluster() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    other = SubjectState.unknown("account:bob", 1, 3)
    assert fold_or_quarantine(other, log.records[0], "shop.consent-events")[0].quarantined == (
        "shop.consent-events-3@1",
    )


def test_a_quarantine_at_a_position_already_folded_changes_nothing() -> None:
    log = Log()
    state = log.append(PolicyAccepted, policy_version=1)
    assert quarantine(state, Position(1, 3, 1), SOURCE) is state


def test_past_256_positions_the_row_says_more_until_that_is_released() -> None:
    log = Log()
    for number in range(300):
        log.append(SubjectQuarantined, position=f"consent-intake.app-0@{number}", error="odd", actor=OPERATOR)
    assert len(log.state.quarantined) == 257
    assert log.state.quarantined[-1] == "more"


# What changes nothing, or is odd


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (DataCollected, {**NEARBY, "decision_position": "e1.p3.o1"}),
        (RightsRequested, {"right": Right.ACCESS}),
        (
            RightsResolved,
            {
                "request": UUID(int=1),
                "outcome": Outcome.GRANTED,
                "reason": "x",
            },
        ),
        (ObligationFulfilled, {"obligation_id": UUID(int=1), "outcome": "done"}),
        (IdentityLinked, {"device": "device:1", "account": SUBJECT}),
        (RightsResolved, {"request": UUID(int=1), "outcome": Outcome.REJECTED, "reason": "x"}),
    ],
)
def test_what_changes_no_answer_leaves_its_position_alone(kind: type, fields: dict[str, object]) -> None:
    log = Log()
    before = log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    after = log.append(kind, **fields)
    assert substance(after) == substance(before)
    assert after.position == Position(1, 3, 2)
    assert len(after.recent) == 2 * 24


@pytest.mark.parametrize("actor", [OPERATOR, Actor(role=ActorRole.SUBJECT, id="account:bob")])
def test_a_grant_by_who_is_neither_the_subject_nor_a_guardian_is_never_folded(actor: Actor) -> None:
    log = Log()
    with pytest.raises(ConsentryError, match="from its subject"):
        log.append(ConsentGiven, actor=actor, **NEARBY, **SEPARATELY)
    assert fold_or_quarantine(log.state, log.records[0])[0].quarantined


def test_an_account_is_not_closed_by_an_unverified_person() -> None:
    with pytest.raises(ConsentryError, match="verified"):
        Log().append(AccountClosed, identity_verified=False, method="e-mail")


def test_a_grant_that_names_no_cells_is_never_folded() -> None:
    with pytest.raises(ConsentryError, match="no cells"):
        Log().append(ConsentGiven, purpose="feed.nearby", **SEPARATELY)


@pytest.mark.parametrize("kind", [ConsentGiven, ConsentRequested])
@pytest.mark.parametrize("version", [-1, 2**31])
def test_a_policy_version_that_no_row_can_hold_is_never_folded(kind: type, version: int) -> None:
    expression = {"expression": Expression.SEPARATE} if kind is ConsentGiven else {}
    with pytest.raises(ConsentryError, match="no version"):
        Log().append(kind, **NEARBY, policy_version=version, **expression)


def test_an_end_before_all_time_is_not_taken_for_no_end() -> None:
    with pytest.raises(ConsentryError, match="no time"):
        Log().append(ConsentGiven, **NEARBY, **SEPARATELY, valid_until=-1)


# What an event did


@pytest.mark.parametrize(
    ("kind", "fields", "effect"),
    [
        (ConsentGiven, {**NEARBY, **SEPARATELY}, Effect.APPLIED),
        (ConsentGiven, {**NEARBY, **SEPARATELY, "occurred_at": 1}, Effect.SUPERSEDED),
        (ConsentGiven, {**NEARBY, **SEPARATELY, "occurred_at": 10**9}, Effect.SUPERSEDED),
        (ConsentWithdrawn, {}, Effect.APPLIED),
        (ConsentWithdrawn, {"number": 1, "occurred_at": 1_010}, Effect.UNCHANGED),
        (PolicyAccepted, {"policy_version": 1}, Effect.APPLIED),
        (PolicyAccepted, {"policy_version": 1, "actor": MOTHER}, Effect.SUPERSEDED),
        (IdentityLinked, {"device": "device:1", "account": SUBJECT}, Effect.UNCHANGED),
        (PermissionObserved, {"permission": "camera", "state": PermissionState.ON}, Effect.APPLIED),
    ],
)
def test_an_event_s_effect_is_known_from_the_rows_before_and_after(
    kind: type, fields: dict[str, object], effect: Effect
) -> None:
    log = Log()
    before = log.append(ConsentWithdrawn)
    after = log.append(kind, **fields)
    assert effect_of(before, after, log.records[-1]) is effect


def test_a_grant_on_a_closed_account_is_superseded() -> None:
    log = closed()
    before = log.state
    after = log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    assert effect_of(before, after, log.records[-1]) is Effect.SUPERSEDED


def test_the_person_is_who_acts_unless_said_otherwise() -> None:
    assert Log().append(ConsentGiven, **NEARBY, **SEPARATELY).acts[0].actor_id == PERSON.id
