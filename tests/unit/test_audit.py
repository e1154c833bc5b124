"""Replay as of any moment, on two clocks."""

from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.folding import COLLECT, SUBJECT, Log
from unit.histories import histories
from unit.reading import folded

from consentry.audit import AsOf, Replay, policies_known, replay
from consentry.codec import encode_row
from consentry.decision import Request
from consentry.events import (
    ConsentGiven,
    ConsentRequested,
    ConsentWithdrawn,
    PermissionObserved,
    PolicyRevised,
    Recorded,
    RecordedPolicyEvent,
)
from consentry.folding import Unreadable
from consentry.policy import Policies
from consentry.terms import Effect, Expression, PermissionState, Position, Reason

POLICY = Path(__file__).resolve().parents[2] / "examples" / "policies"
EFFECTIVE_AT = 1_767_830_400_000  # 2026-01-08, when version 1 of the reference policy takes effect
HOUR = 3_600_000
CAMERA = {"purpose": "publish.camera", "operations": (COLLECT,), "data": ("camera_image",)}
QUESTION = Request(
    subject=SUBJECT,
    operation=COLLECT,
    purpose="publish.camera",
    data=("camera_image",),
    active=True,
    min_position=Position(9, 9, 9),
)


def published(recorded_at: int = EFFECTIVE_AT - HOUR) -> RecordedPolicyEvent:
    event = PolicyRevised(
        event_id=UUID(int=1),
        policy="newsfeed-app",
        occurred_at=recorded_at,
        version=1,
        effective_at=EFFECTIVE_AT,
        document=(POLICY / "reference-v1.yaml").read_text(encoding="utf-8"),
        text="",
        text_hash="",
    )
    return RecordedPolicyEvent(Position(1, 0, 1), recorded_at, event)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return policies_known([published()])


def hour(number: int) -> int:
    return EFFECTIVE_AT + number * HOUR


@pytest.fixture
def log() -> Log:
    """Asked in hour 1, given in 2, withdrawn in 4: recorded in 6, as the phone was offline."""
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, recorded_at=hour(1))
    log.append(ConsentRequested, **CAMERA, policy_version=1, recorded_at=hour(1))
    log.append(ConsentGiven, **CAMERA, policy_version=1, expression=Expression.SEPARATE, recorded_at=hour(2))
    log.append(ConsentWithdrawn, purpose="publish.camera", occurred_at=hour(4), recorded_at=hour(6))
    return log


def answer(log: Log, policies: Policies, **as_of: int) -> Reason:
    replayed = Replay.of(SUBJECT, log.records, AsOf(**as_of)).decided(QUESTION, policies, now=hour(99))
    assert replayed.decision is not None
    return replayed.decision.reason


@pytest.mark.parametrize(
    ("as_of", "reason"),
    [
        ({"at": hour(1)}, Reason.NO_CONSENT),
        ({"at": hour(2) - 1}, Reason.NO_CONSENT),
        ({"at": hour(2)}, Reason.CONSENT),
        ({"at": hour(4) - 1}, Reason.CONSENT),
        ({"at": hour(4)}, Reason.WITHDRAWN),
        ({"as_known_at": hour(2)}, Reason.CONSENT),
        ({"as_known_at": hour(6) - 1}, Reason.CONSENT),
        ({"as_known_at": hour(6)}, Reason.WITHDRAWN),
        ({"at": hour(5), "as_known_at": hour(5)}, Reason.CONSENT),
        ({"at": hour(5), "as_known_at": hour(6)}, Reason.WITHDRAWN),
        ({"at": hour(3), "as_known_at": hour(6)}, Reason.CONSENT),
        ({}, Reason.WITHDRAWN),
    ],
)
def test_the_answer_as_of_then_goes_by_both_clocks(
    log: Log, policies: Policies, as_of: dict[str, int], reason: Reason
) -> None:
    assert answer(log, policies, **as_of) is reason


def test_before_the_policy_took_effect_no_purpose_was_known(log: Log, policies: Policies) -> None:
    assert answer(log, policies, at=EFFECTIVE_AT - 1) is Reason.PURPOSE_UNKNOWN


def test_a_grant_that_expired_later_held_then(policies: Policies) -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, recorded_at=hour(1))
    log.append(
        ConsentGiven,
        **CAMERA,
        policy_version=1,
        expression=Expression.SEPARATE,
        recorded_at=hour(2),
        valid_until=hour(9),
    )
    assert answer(log, policies, at=hour(9) - 1) is Reason.CONSENT
    assert answer(log, policies, at=hour(9)) is Reason.EXPIRED
    assert answer(log, policies) is Reason.EXPIRED


def test_a_tightening_with_a_clock_ahead_counts_from_its_recording(policies: Policies) -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, recorded_at=hour(1))
    log.append(ConsentGiven, **CAMERA, policy_version=1, expression=Expression.SEPARATE, recorded_at=hour(2))
    log.append(ConsentWithdrawn, occurred_at=hour(50), recorded_at=hour(3))
    assert answer(log, policies, at=hour(3)) is Reason.WITHDRAWN


def test_an_answer_given_live_is_derived_again_by_its_position(log: Log, policies: Policies) -> None:
    as_of = AsOf(position=Position(1, 3, 3), at=hour(5))
    replayed = Replay.of(SUBJECT, log.records, as_of).decided(QUESTION, policies, now=0)
    assert replayed.decision is not None
    assert replayed.decision.reason is Reason.CONSENT
    assert replayed.decision.position == Position(1, 3, 3)


def test_a_replay_shows_what_each_record_did_and_how_many_it_left_out(log: Log) -> None:
    log.append(
        ConsentGiven,
        **CAMERA,
        policy_version=1,
        expression=Expression.SEPARATE,
        occurred_at=hour(3),
        recorded_at=hour(7),
    )
    log.append(ConsentRequested, **CAMERA, policy_version=1, number=2, occurred_at=hour(1), recorded_at=hour(8))
    replayed = Replay.of(SUBJECT, log.records, AsOf(as_known_at=hour(7)))
    assert [step.effect for step in replayed.steps] == [Effect.APPLIED] * 4 + [Effect.SUPERSEDED]
    assert replayed.left_out == 1
    assert Replay.of(SUBJECT, log.records).steps[-1].effect is Effect.UNCHANGED


def test_what_could_not_be_read_quarantines_from_its_recording_on(log: Log, policies: Policies) -> None:
    unreadable = Unreadable(
        position=Position(1, 3, 5),
        recorded_at=hour(7),
        source="consent-events-3@5",
        subject=SUBJECT,
        code="UNDECODABLE",
        detail="truncated",
    )
    replayed = Replay.of(SUBJECT, [*log.records, unreadable])
    assert replayed.state is not None
    assert replayed.state.quarantined == ("consent-events-3@5",)
    assert (replayed.steps[-1].effect, replayed.steps[-1].fault) == (Effect.APPLIED, "truncated")
    before = Replay.of(SUBJECT, [*log.records, unreadable], AsOf(at=hour(7) - 1))
    assert before.state is not None
    assert not before.state.quarantined


def test_a_record_that_could_not_be_folded_is_named_as_on_its_cluster(log: Log) -> None:
    odd = msgspec.structs.replace(log.records[2].event, subject="account:bob", event_id=UUID(int=99))
    state = replay([*log.records, Recorded(Position(1, 3, 5), hour(7), odd)], log="shop.consent-events")
    assert state is not None
    assert state.quarantined == ("shop.consent-events-3@5",)


def test_a_policy_that_was_not_yet_published_was_not_known() -> None:
    records = [published(EFFECTIVE_AT - HOUR)]
    assert policies_known(records, AsOf(as_known_at=EFFECTIVE_AT - HOUR - 1)) == Policies()
    assert policies_known(records, AsOf(as_known_at=EFFECTIVE_AT - HOUR)).version(1) is not None
    assert policies_known(records, AsOf(at=1)).version(1) is not None


def test_where_nothing_counts_the_log_says_nothing_of_the_subject(log: Log, policies: Policies) -> None:
    assert replay([]) is None
    replayed = Replay.of(SUBJECT, log.records, AsOf(at=1)).decided(QUESTION, policies, now=0)
    assert (replayed.state, replayed.steps, replayed.left_out) == (None, (), 4)
    assert replayed.decision is not None
    assert not replayed.decision.allow


@given(histories())
def test_a_replay_of_all_is_the_live_row_byte_for_byte(records: list[Recorded]) -> None:
    state = replay(records)
    assert (state is None) == (not records)
    if state is not None:
        assert encode_row(state) == encode_row(folded(records))
        assert Replay.of(SUBJECT, records).state == state


@given(histories())
def test_a_replay_of_a_log_and_itself_is_that_of_the_log(records: list[Recorded]) -> None:
    assert replay(records + records) == replay(records)


@given(histories(), st.integers(990, 1_400))
def test_what_was_known_at_a_time_is_what_was_live_then(records: list[Recorded], moment: int) -> None:
    live = [recorded for recorded in records if recorded.recorded_at <= moment]
    assert replay(records, AsOf(as_known_at=moment)) == (folded(live) if live else None)
