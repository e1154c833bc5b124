"""Clocks: one that is ahead is corrected, never one that is behind; only what loosens is refused for it."""

import msgspec
import pytest
from unit.taking import (
    IDENTITY,
    NOW,
    SETTINGS,
    SOME_ID,
    SYSTEM,
    VALID,
    body_of,
    caller_for,
    new_id,
    places,
    policies_of,
    refused,
    take,
    take_all,
)

from consentry.codec import decode_event, encode_event
from consentry.errors import InvalidEvent
from consentry.intake import Bearing, Submission, bearing_of, faults_before_sending, take_in
from consentry.state.direction import loosens, tightens

AHEAD_MS = SETTINGS.future_tolerance_ms


def test_a_clock_that_is_ahead_moves_the_event_back_by_as_much() -> None:
    event = take(body_of("ConsentGiven", occurred_at=NOW + 59_000, sent_at=NOW + 60_000))
    assert (event.occurred_at, event.skew_ms, event.sent_at) == (NOW - 1_000, 60_000, None)


def test_a_clock_that_is_behind_moves_nothing_forward() -> None:
    event = take(body_of("ConsentGiven", occurred_at=NOW - 61_000, sent_at=NOW - 60_000))
    assert (event.occurred_at, event.skew_ms, event.sent_at) == (NOW - 61_000, 0, None)


def test_a_correction_is_intakes_to_say_and_nobody_elses() -> None:
    """Over HTTP it cannot be said at all; a record of an intake topic has the field."""
    event = msgspec.structs.replace(take(body_of("ConsentWithdrawn")), skew_ms=5)
    with pytest.raises(InvalidEvent) as caught:
        take_in(
            [Submission(event)],
            caller=caller_for("ConsentWithdrawn"),
            policies=policies_of(),
            identity=IDENTITY,
            settings=SETTINGS,
            now=NOW,
            new_id=new_id,
        )
    assert places(caught.value) == ["/skew_ms"]


def test_what_loosens_may_be_ahead_by_the_tolerance_and_no_more() -> None:
    take(body_of("ConsentGiven", occurred_at=NOW + AHEAD_MS))
    fault = refused(body_of("ConsentGiven", occurred_at=NOW + AHEAD_MS + 1))
    assert (fault.status, fault.code, places(fault)) == (422, "CLOCK_AHEAD", ["/occurred_at"])


def test_what_loosens_is_measured_after_its_clock_was_corrected() -> None:
    ahead = 2 * AHEAD_MS
    take(body_of("ConsentGiven", occurred_at=NOW + ahead, sent_at=NOW + ahead))


@pytest.mark.parametrize(
    "type_name", ["ConsentWithdrawn", "ConsentRefused", "ConsentRevoked", "ConsentInvalidated", "AccountClosed"]
)
@pytest.mark.parametrize("occurred_at", [1, NOW + 86_400_000, 2**63 - 1])
def test_what_tightens_is_never_refused_for_its_clock(type_name: str, occurred_at: int) -> None:
    assert take(body_of(type_name, occurred_at=occurred_at)).occurred_at == occurred_at


@pytest.mark.parametrize(("sent", "kept"), [(0, 1), (-1, 1), (-(2**63), 1), (2**63, 2**63 - 1), (2**64, 2**63 - 1)])
@pytest.mark.parametrize("type_name", ["ConsentWithdrawn", "PreferenceSet", "RightsRequested", "AgeAsserted"])
def test_what_tightens_is_taken_though_its_clock_shows_no_time(type_name: str, sent: int, kept: int) -> None:
    """Sent again it is the same event, so what it becomes does not hang on when it came."""
    event = take(body_of(type_name, occurred_at=sent, event_id=SOME_ID))
    assert event.occurred_at == kept
    assert take(body_of(type_name, occurred_at=sent, event_id=SOME_ID), now=NOW + 1_000) == event
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("sent_at", [0, -1, -(2**63), 2**63, 2**64])
def test_what_tightens_is_taken_though_it_was_sent_at_no_time(sent_at: int) -> None:
    event = take(body_of("ConsentWithdrawn", sent_at=sent_at))
    assert (event.occurred_at, event.skew_ms) == (NOW - 1_000, 0)
    assert places(refused(body_of("ConsentGiven", sent_at=sent_at))) == ["/sent_at"]


def test_what_tightens_is_not_refused_before_it_is_sent() -> None:
    event = msgspec.structs.replace(take(body_of("ConsentWithdrawn")), occurred_at=0, sent_at=-1, producer="")
    assert faults_before_sending(event, SETTINGS, NOW) == []
    unwritable = msgspec.structs.replace(event, occurred_at=2**63)
    assert [fault.where for fault in faults_before_sending(unwritable, SETTINGS, NOW)] == ["/occurred_at"]


def test_a_tightening_survives_the_correction_of_the_wildest_clock() -> None:
    event = take(body_of("ConsentWithdrawn", occurred_at=5, sent_at=2**63 - 1))
    assert event.occurred_at >= 1


def test_an_event_that_waited_is_measured_by_the_clock_of_its_arrival() -> None:
    """A producer's clock was an hour ahead, and intake was down for two: that must not make the grant later."""
    hour = 3_600_000
    body = body_of("ConsentGiven", occurred_at=NOW - hour, sent_at=NOW - hour)
    event = take(body, arrived_at=NOW - 2 * hour)
    assert (event.occurred_at, event.skew_ms) == (NOW - 2 * hour, hour)


@pytest.mark.parametrize("type_name", sorted(VALID))
def test_intake_and_fold_agree_on_which_way_an_event_bears(type_name: str) -> None:
    variants = [
        {},
        {"opted_out": False} if type_name == "PreferenceSet" else {},
        {"state": "off"} if type_name == "PermissionObserved" else {},
        {"state": "limited"} if type_name == "PermissionObserved" else {},
        {"topic": "sport"} if type_name == "PreferenceSet" else {},
    ]
    for changes in variants:
        event = take(body_of(type_name, **changes))
        if tightens(event):
            assert bearing_of(event) is Bearing.TIGHTENS
        if loosens(event):
            assert bearing_of(event) is Bearing.LOOSENS


def test_a_claim_to_be_an_adult_is_refused_when_its_clock_is_ahead_and_one_to_be_a_child_is_not() -> None:
    late = NOW + AHEAD_MS + 1
    claim = {"occurred_at": late, "birth_date": ..., "source": "inferred", "actor": SYSTEM}
    assert refused(body_of("AgeAsserted", age_band="adult", **claim)).code == "CLOCK_AHEAD"
    take_all(body_of("AgeAsserted", age_band="child", **claim), caller=caller_for("AgeAsserted"))
