"""What intake sees of a subject's row: repeats, closed accounts, a row that is full, and lists that must not lie."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from unit.taking import (
    A_GUARDIAN,
    IDENTITY,
    NOW,
    SOME_ID,
    SUBJECT,
    SYSTEM,
    body_of,
    new_id,
    places,
    refused,
    take,
    take_all,
)

from consentry.errors import InvalidEvent
from consentry.events import AnySubjectEvent, ConsentGiven, PreferenceSet, Recorded, SubjectQuarantined
from consentry.intake import Caller, CallerRole, idempotent_id
from consentry.partition import partition_of
from consentry.state.fold import fold
from consentry.state.row import MAX_CELLS, SubjectState
from consentry.terms import Channel, Position

PRODUCER = Caller("tests", frozenset({CallerRole.PRODUCER}))
EVERYONE = Caller("tests", frozenset(CallerRole))
PARTITION = partition_of(SUBJECT, IDENTITY.partitions)


def row_after(*events: AnySubjectEvent, recorded_at: int = NOW) -> dict[str, SubjectState]:
    """The row that these events come to, recorded one by one from offset 1."""
    state = SubjectState.unknown(SUBJECT, IDENTITY.epoch, PARTITION)
    for offset, event in enumerate(events, start=1):
        state = fold(state, Recorded(Position(IDENTITY.epoch, PARTITION, offset), recorded_at, event))
    return {SUBJECT: state}


def position(offset: int, epoch: int = IDENTITY.epoch, partition: int = PARTITION) -> str:
    return str(Position(epoch, partition, offset))


def grant_and_expected(
    body: list[dict[str, Any]], rows: dict[str, SubjectState] | None = None
) -> tuple[int | None, str | None]:
    """Of the list's last item, a grant: which item's position it may be given, and which it brought."""
    last = take_all(body, caller=EVERYONE, rows={} if rows is None else rows)[-1]
    assert isinstance(last.event, ConsentGiven)
    return last.after, last.event.expected_position


# repeats


def test_the_same_event_again_is_safe() -> None:
    body = body_of("ConsentWithdrawn", event_id=SOME_ID)
    first = take(body)
    assert take(body, rows=row_after(first)) == first


def test_a_release_sent_again_is_safe_though_nothing_is_quarantined_any_more() -> None:
    release = body_of("QuarantineReleased", event_id=SOME_ID)
    stop = SubjectQuarantined(
        event_id=new_id(),
        subject=SUBJECT,
        occurred_at=NOW,
        actor=take(body_of("DataCollected")).actor,
        channel=Channel.API,
        position=release["position"],
        error="UNDECODABLE",
    )
    rows = row_after(stop, take(release))
    assert not rows[SUBJECT].quarantined
    take(release, rows=rows)


def test_a_known_event_id_with_other_content_is_a_conflict() -> None:
    first = take(body_of("ConsentWithdrawn", event_id=SOME_ID))
    fault = refused(body_of("ConsentWithdrawn", event_id=SOME_ID, purpose="ads.delivery"), rows=row_after(first))
    assert (fault.status, fault.code, places(fault)) == (409, "EVENT_ID_CONFLICT", ["/event_id"])


def test_the_same_event_is_known_though_its_clock_was_corrected_another_way() -> None:
    """Sent again later, the same skewed clock is further or less far ahead of ours."""
    body = body_of("ConsentGiven", event_id=SOME_ID, occurred_at=NOW + 50_000, sent_at=NOW + 60_000)
    take({**body, "sent_at": NOW + 61_000}, rows=row_after(take(body)))


def test_cells_in_another_order_are_the_same_event() -> None:
    body = body_of("ConsentGiven", event_id=SOME_ID, data=["nickname", "avatar"])
    take({**body, "data": ["avatar", "nickname"]}, rows=row_after(take(body)))


def test_a_grant_repeated_after_the_account_was_closed_is_answered_like_the_first_time() -> None:
    """Of a closed account nothing is remembered: the repeat is told what is true now."""
    body = body_of("ConsentGiven", event_id=SOME_ID)
    rows = row_after(take(body), take(body_of("AccountClosed")))
    assert refused(body, rows=rows).code == "SUBJECT_CLOSED"


def test_an_idempotency_key_names_the_event_for_its_caller_alone() -> None:
    body = body_of("ConsentWithdrawn")
    first = take(body, key="k-1")
    assert take(body, key="k-1").event_id == first.event_id == idempotent_id("tests", "k-1")
    assert take(body, key="k-2").event_id != first.event_id
    other = Caller("another", frozenset({CallerRole.PRODUCER}))
    assert take(body, key="k-1", caller=other).event_id != first.event_id


def test_the_same_key_with_another_body_is_a_conflict() -> None:
    first = take(body_of("ConsentWithdrawn"), key="k-1")
    fault = refused(body_of("ConsentWithdrawn", purpose="ads.delivery"), key="k-1", rows=row_after(first))
    assert fault.status == 409


def test_each_item_of_a_list_has_its_own_id_under_one_key() -> None:
    body = [body_of("ConsentWithdrawn"), body_of("ConsentGiven")]
    events = [item.event.event_id for item in take_all(body, caller=PRODUCER, key="k-1")]
    assert len(set(events)) == 2
    assert events == [item.event.event_id for item in take_all(body, caller=PRODUCER, key="k-1")]


def test_an_event_id_stands_though_there_is_a_key() -> None:
    assert take(body_of("ConsentWithdrawn", event_id=SOME_ID), key="k-1").event_id == UUID(SOME_ID)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "x" * 256, "ключ"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    assert refused(body_of("ConsentWithdrawn"), key=key).status == 400


# closed accounts, full rows, quarantine


@pytest.mark.parametrize("type_name", ["ConsentGiven", "ConsentReaffirmed", "PolicyAccepted", "ExemptionInvoked"])
def test_a_closed_account_takes_nothing_that_loosens(type_name: str) -> None:
    fault = refused(body_of(type_name), rows=row_after(take(body_of("AccountClosed"))))
    assert (fault.status, fault.code) == (409, "SUBJECT_CLOSED")


@pytest.mark.parametrize("type_name", ["ConsentWithdrawn", "AccountClosed", "RightsRequested", "ObligationFulfilled"])
def test_a_closed_account_still_takes_the_rest(type_name: str) -> None:
    take(body_of(type_name), rows=row_after(take(body_of("AccountClosed"))))


def test_a_grant_may_fill_the_row_and_no_more() -> None:
    one_cell = body_of("ConsentGiven", operations=["use"], data=["nickname"])
    grant = take(one_cell)
    held = [
        msgspec.structs.replace(grant, event_id=new_id(), purpose=f"purpose.{number}")
        for number in range(MAX_CELLS - 1)
    ]
    rows = row_after(*held)
    take(one_cell, rows=rows)
    fault = refused({**one_cell, "data": ["nickname", "avatar"]}, rows=rows)
    assert (fault.status, fault.code) == (422, "ROW_LIMIT")
    full = row_after(*held, grant)
    take(one_cell, rows=full)  # what the row holds already needs no room


def test_only_what_is_quarantined_is_released() -> None:
    rows = row_after(take(body_of("ConsentWithdrawn")))
    fault = refused(body_of("QuarantineReleased"), rows=rows)
    assert (fault.status, fault.code) == (409, "NOT_QUARANTINED")
    take(body_of("QuarantineReleased"))  # where nothing is known of the subject, fold will say


# expected_position


def test_a_position_of_another_epoch_is_a_conflict() -> None:
    fault = refused(body_of("ConsentGiven", expected_position=position(3, epoch=2)))
    assert (fault.status, fault.code) == (409, "OTHER_EPOCH")


def test_a_position_of_another_partition_is_refused() -> None:
    other = position(3, partition=(PARTITION + 1) % IDENTITY.partitions)
    assert places(refused(body_of("ConsentGiven", expected_position=other))) == ["/expected_position"]


def test_a_position_of_the_subjects_partition_is_kept() -> None:
    event = take(body_of("ConsentGiven", expected_position=position(3)))
    assert isinstance(event, ConsentGiven)
    assert event.expected_position == position(3)


@pytest.mark.parametrize("said", ["812", position(3, epoch=2), position(3, partition=(PARTITION + 1) % 12), ""])
def test_an_opt_out_is_taken_whatever_it_says_to_have_seen(said: str) -> None:
    event = take(body_of("PreferenceSet", expected_position=said))
    assert isinstance(event, PreferenceSet)
    assert event.expected_position is None
    for fields in ({"opted_out": False}, {"topic": "sport"}):
        assert places(refused(body_of("PreferenceSet", expected_position=said, **fields))) == ["/expected_position"]


# lists


def test_a_grant_has_seen_what_the_same_person_withdrew_before_it_in_the_list() -> None:
    """Withdraw all but this."""
    assert grant_and_expected([body_of("ConsentWithdrawn"), body_of("ConsentGiven")]) == (0, None)
    assert grant_and_expected(
        [
            body_of("ConsentRefused"),
            body_of("PreferenceSet", opted_out=True, purpose="ads.delivery"),
            body_of("ConsentDeferred"),
            body_of("ConsentGiven"),
        ]
    ) == (1, None)


def test_the_position_of_what_was_seen_is_filled_in() -> None:
    accepted = take_all([body_of("ConsentWithdrawn"), body_of("ConsentGiven")], caller=PRODUCER, rows={})
    filled = accepted[1].with_position(Position(1, PARTITION, 7))
    assert isinstance(filled, ConsentGiven)
    assert filled.expected_position == position(7)


def test_a_grant_has_not_seen_what_comes_after_it_or_what_another_did() -> None:
    other = "account:u-2"
    anothers = body_of("ConsentWithdrawn", subject=other, actor={"role": "subject", "id": other})
    guardians = body_of("ConsentRefused", actor={"role": "guardian", "id": "account:g-1"})
    assert grant_and_expected([anothers, body_of("ConsentGiven")]) == (None, None)
    assert grant_and_expected([guardians, body_of("ConsentGiven")]) == (None, None)
    last = take_all([body_of("ConsentGiven"), body_of("ConsentWithdrawn")], caller=PRODUCER, rows={})
    assert [item.after for item in last] == [None, None]


def test_a_grant_has_not_seen_what_another_did_before_the_persons_own_tightening() -> None:
    for other in (body_of("ConsentRevoked"), body_of("ConsentRefused", actor=A_GUARDIAN)):
        assert grant_and_expected([other, body_of("ConsentWithdrawn"), body_of("ConsentGiven")]) == (None, None)


def test_a_door_that_sees_no_rows_fills_nothing_in() -> None:
    taken = take_all([body_of("ConsentWithdrawn"), body_of("ConsentGiven")], caller=PRODUCER)
    assert [item.after for item in taken] == [None, None]


def test_an_event_that_only_carries_feedback_on_a_topic_was_not_a_stop() -> None:
    feedback = body_of("PreferenceSet", topic="sport", purpose="ads.delivery")
    assert grant_and_expected([feedback, body_of("ConsentGiven")]) == (None, None)


def test_a_list_does_not_wave_aside_a_stop_that_the_person_had_not_seen() -> None:
    revoked = row_after(take(body_of("ConsentRevoked")), recorded_at=NOW)
    early = [body_of("ConsentWithdrawn"), body_of("ConsentGiven", occurred_at=NOW - 1)]
    later = [body_of("ConsentWithdrawn"), body_of("ConsentGiven", occurred_at=NOW + 1)]
    assert grant_and_expected(early, rows=revoked) == (None, None)
    assert grant_and_expected(later, rows=revoked) == (0, None)


def test_what_a_caller_says_to_have_seen_moves_on_only_from_the_rows_last_tightening() -> None:
    revoked = row_after(take(body_of("ConsentRevoked")), recorded_at=NOW)
    for said, after in ((position(1), 0), (position(0), None), (position(9), None)):
        body = [body_of("ConsentWithdrawn"), body_of("ConsentGiven", expected_position=said, occurred_at=NOW - 1)]
        assert grant_and_expected(body, rows=revoked) == (after, said)
        assert grant_and_expected(body) == (None, said)  # a row without a tightening: nothing was to be seen


def test_a_later_clock_is_no_match_for_what_a_caller_says_to_have_seen() -> None:
    revoked = row_after(take(body_of("ConsentRevoked")), recorded_at=NOW)
    given = body_of("ConsentGiven", expected_position=position(9), occurred_at=NOW + 1)
    assert grant_and_expected([body_of("ConsentWithdrawn"), given], rows=revoked) == (None, position(9))


@pytest.mark.parametrize(
    "stops",
    [
        [body_of("AgeAsserted", source="inferred", actor=SYSTEM, birth_date=..., age_band="child")],
        [body_of("RightsRequested")],
        [body_of("ExemptionInvoked", valid_until=NOW + 1), body_of("ExemptionEnded")],
        [body_of("GuardianLinked"), body_of("GuardianUnlinked")],
        [body_of("PreferenceSet")],
    ],
    ids=lambda stops: str(stops[-1]["type"]),
)
def test_a_list_waves_aside_nothing_that_tightened_before_it(stops: list[dict[str, Any]]) -> None:
    """What was recorded when the person, by the grant's own time, could not have known of it yet."""
    rows = row_after(*(take(stop) for stop in stops))
    assert rows[SUBJECT].tightened_position is not None
    early = [body_of("ConsentWithdrawn"), body_of("ConsentGiven", occurred_at=NOW)]
    later = [body_of("ConsentWithdrawn"), body_of("ConsentGiven", occurred_at=NOW + 1)]
    assert grant_and_expected(early, rows=rows) == (None, None)
    assert grant_and_expected(later, rows=rows) == (0, None)


def test_a_list_is_taken_whole_or_not_at_all_with_an_error_for_each_item() -> None:
    body = [
        body_of("ConsentGiven", occurred_at=0),
        body_of("ConsentWithdrawn"),
        body_of("ConsentGiven", purpose="telepathy"),
        body_of("ConsentRevoked"),
    ]
    with pytest.raises(InvalidEvent) as caught:
        take_all(body, caller=PRODUCER)
    assert places(caught.value) == ["/0/occurred_at", "/2/purpose", "/3/type"]
    assert caught.value.status == 403


def test_a_list_names_each_event_once() -> None:
    body = [body_of("ConsentWithdrawn", event_id=SOME_ID), body_of("ConsentGiven", event_id=SOME_ID)]
    with pytest.raises(InvalidEvent) as caught:
        take_all(body, caller=PRODUCER)
    assert places(caught.value) == ["/1/event_id"]
