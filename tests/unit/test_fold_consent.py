"""Rule 1: log order decides. Grants, stops, questions and reaffirmations."""

import pytest
from unit.folding import COLLECT, GPS, NEARBY, SEPARATELY, STORE, SUBJECT, USE, WLAN, Log, status
from unit.reading import stand_in

from consentry.events import (
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    PreferenceSet,
)
from consentry.state.row import CellBlock
from consentry.terms import (
    Cell,
    Expression,
    Status,
)

# 1. Log order decides; what tightens takes effect at once, what loosens if the person can have known


def test_a_grant_gives_each_cell_that_it_names_and_no_other() -> None:
    state = Log().append(ConsentGiven, **NEARBY, **SEPARATELY)
    assert [act.block for act in state.acts] == [CellBlock("feed.nearby", (COLLECT, USE), ("gps", "wlan"))]
    assert status(state, Cell("feed.nearby", STORE, "gps")) is Status.UNKNOWN
    assert status(state, Cell("feed.city", COLLECT, "gps")) is Status.UNKNOWN


def test_what_an_event_names_twice_or_in_another_order_is_the_same_cells() -> None:
    block = {"purpose": "feed.nearby", "operations": (USE, COLLECT, USE), "data": ("wlan", "gps", "wlan")}
    state = Log().append(ConsentGiven, **block, **SEPARATELY)
    assert [act.block for act in state.acts] == [CellBlock("feed.nearby", (COLLECT, USE), ("gps", "wlan"))]


def test_a_withdrawal_with_an_old_clock_still_stops() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(ConsentWithdrawn, occurred_at=1)
    assert status(state) is Status.WITHDRAWN


def test_a_withdrawal_with_a_clock_far_ahead_still_stops() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(ConsentWithdrawn, occurred_at=10**12)
    assert status(state) is Status.WITHDRAWN
    assert state.marks[0].occurred_at == state.marks[0].recorded_at


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [
        (ConsentRefused, Status.REFUSED),
        (ConsentWithdrawn, Status.WITHDRAWN),
        (ConsentRevoked, Status.REVOKED),
        (ConsentInvalidated, Status.INVALIDATED),
    ],
)
def test_each_stop_leaves_its_own_status(kind: type, stopped: Status) -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    reason = {} if kind is ConsentRefused else {"reason": "why"}
    assert status(log.append(kind, purpose="feed.nearby", **reason)) is stopped


def test_a_grant_after_a_withdrawal_gives_again() -> None:
    log = Log()
    log.append(ConsentWithdrawn)
    assert status(log.append(ConsentGiven, **NEARBY, **SEPARATELY)) is Status.GIVEN


@pytest.mark.parametrize(("clock", "expected"), [(0, Status.WITHDRAWN), (1, Status.GIVEN)])
def test_a_grant_has_to_come_after_the_recording_of_what_it_lifts(clock: int, expected: Status) -> None:
    log = Log()
    withdrawn_at = log.append(ConsentWithdrawn).marks[0].recorded_at
    state = log.append(ConsentGiven, occurred_at=withdrawn_at + clock, **NEARBY, **SEPARATELY)
    assert status(state) is expected


def test_a_clock_ahead_counts_as_the_log_s_at_the_most() -> None:
    log = Log()
    log.append(ConsentWithdrawn, recorded_at=2_000)
    state = log.append(ConsentGiven, occurred_at=2_500, recorded_at=2_000, **NEARBY, **SEPARATELY)
    assert status(state) is Status.WITHDRAWN


def test_a_grant_is_superseded_for_the_cells_alone_that_were_tightened_since() -> None:
    log = Log()
    log.append(ConsentWithdrawn, data=("gps",))
    state = log.append(ConsentGiven, occurred_at=1_005, **NEARBY, **SEPARATELY)
    assert status(state, GPS) is Status.WITHDRAWN
    assert status(state, WLAN) is Status.GIVEN


def test_a_grant_that_saw_the_last_tightening_needs_no_clock() -> None:
    log = Log()
    seen = str(log.append(ConsentWithdrawn).tightened_position)
    state = log.append(ConsentGiven, occurred_at=1, expected_position=seen, **NEARBY, **SEPARATELY)
    assert status(state) is Status.GIVEN


def test_a_grant_that_saw_an_older_row_is_superseded_whatever_its_clock() -> None:
    log = Log()
    seen = str(log.append(ConsentWithdrawn).tightened_position)
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    state = log.append(ConsentGiven, expected_position=seen, **NEARBY, **SEPARATELY)
    assert status(state) is Status.WITHDRAWN


def test_a_cell_that_was_never_tightened_takes_a_grant_that_saw_an_older_row() -> None:
    log = Log()
    log.append(ConsentWithdrawn, purpose="feed.city")
    state = log.append(ConsentGiven, expected_position="e1.p3.o99", **NEARBY, **SEPARATELY)
    assert status(state) is Status.GIVEN


@pytest.mark.parametrize(("ahead", "expected"), [(300_000, Status.GIVEN), (300_001, Status.UNKNOWN)])
def test_what_loosens_five_minutes_ahead_counts_and_a_moment_more_does_not(ahead: int, expected: Status) -> None:
    state = Log().append(ConsentGiven, occurred_at=2_000 + ahead, recorded_at=2_000, **NEARBY, **SEPARATELY)
    assert status(state) is expected


def test_of_two_grants_of_one_expression_the_later_by_its_clock_stands() -> None:
    log = Log()
    log.append(ConsentGiven, occurred_at=900, valid_until=5_000, **NEARBY, **SEPARATELY)
    state = log.append(ConsentGiven, occurred_at=800, valid_until=9_000, **NEARBY, **SEPARATELY)
    assert [(act.offset, act.valid_until) for act in state.acts] == [(1, 5_000)]


def test_of_two_grants_at_the_same_time_the_later_in_the_log_stands() -> None:
    log = Log()
    log.append(ConsentGiven, occurred_at=900, **NEARBY, **SEPARATELY)
    state = log.append(ConsentGiven, occurred_at=900, **NEARBY, **SEPARATELY)
    assert [act.offset for act in state.acts] == [2]


def test_a_late_grant_stands_where_the_later_one_names_no_cell() -> None:
    log = Log()
    log.append(ConsentGiven, occurred_at=900, **{**NEARBY, "data": ("gps",)}, **SEPARATELY)
    state = log.append(ConsentGiven, occurred_at=800, **NEARBY, **SEPARATELY)
    assert stand_in(state, GPS).by == 1
    assert stand_in(state, WLAN).by == 2


def test_a_grant_that_saw_the_withdrawal_counts_over_a_former_one_with_a_faster_clock() -> None:
    log = Log()
    log.append(ConsentGiven, occurred_at=1_010, **NEARBY, **SEPARATELY)
    seen = str(log.append(ConsentWithdrawn).tightened_position)
    state = log.append(ConsentGiven, occurred_at=900, expected_position=seen, **NEARBY, **SEPARATELY)
    assert stand_in(state, GPS).by == 3


def test_the_row_keeps_the_last_grant_of_each_expression() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(ConsentGiven, **NEARBY, policy_version=1, expression=Expression.IMPLIED)
    assert stand_in(state, GPS).grants == ((SUBJECT, Expression.SEPARATE, 1), (SUBJECT, Expression.IMPLIED, 2))


def test_a_partial_grant_leaves_the_rest_of_the_former_one() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    state = log.append(ConsentGiven, purpose="feed.nearby", operations=(USE,), data=("wlan",), **SEPARATELY)
    assert {cell: stand_in(state, cell).by for act in state.acts for cell in act.block.cells()} == {
        GPS: 1,
        WLAN: 1,
        Cell("feed.nearby", USE, "gps"): 1,
        Cell("feed.nearby", USE, "wlan"): 2,
    }


def test_recipients_are_cells_of_their_own() -> None:
    ads = {"purpose": "partner.ads", "operations": (USE,), "data": ("tags",), "recipients": ("adnet", "adx")}
    log = Log()
    log.append(ConsentGiven, **ads, **SEPARATELY)
    state = log.append(ConsentWithdrawn, recipients=("adx",))
    assert status(state, Cell("partner.ads", USE, "tags", "adnet")) is Status.GIVEN
    assert status(state, Cell("partner.ads", USE, "tags", "adx")) is Status.WITHDRAWN
    assert status(state, Cell("partner.ads", USE, "tags")) is Status.UNKNOWN


@pytest.mark.parametrize(("kind", "asked"), [(ConsentRequested, Status.REQUESTED), (ConsentDeferred, Status.DEFERRED)])
def test_asking_and_deferring_are_kept_and_change_neither_a_grant_nor_a_stop(kind: type, asked: Status) -> None:
    assert status(Log().append(kind, **NEARBY, policy_version=1)) is asked
    granted = Log()
    granted.append(ConsentGiven, **NEARBY, **SEPARATELY)
    assert status(granted.append(kind, **NEARBY, policy_version=1)) is Status.GIVEN
    stopped = Log()
    stopped.append(ConsentRefused)
    assert status(stopped.append(kind, **NEARBY, policy_version=1)) is Status.REFUSED


def test_of_questions_about_a_cell_the_last_is_kept() -> None:
    log = Log()
    log.append(ConsentRequested, **NEARBY, policy_version=1)
    state = log.append(ConsentDeferred, **NEARBY, policy_version=1, occurred_at=1)
    assert [(act.status, act.offset) for act in state.acts] == [(Status.DEFERRED, 2)]


# Reaffirmation


def test_a_reaffirmation_renews_an_expired_grant_with_its_expression() -> None:
    log = Log()
    log.append(ConsentGiven, valid_until=1_012, **NEARBY, **SEPARATELY)
    state = log.append(ConsentReaffirmed, **NEARBY, policy_version=2, valid_until=9_000)
    assert stand_in(state, GPS).grants == ((SUBJECT, Expression.SEPARATE, 2),)
    assert (state.acts[0].valid_until, state.acts[0].policy_version) == (9_000, 2)


def test_a_reaffirmation_renews_only_the_cells_that_were_granted() -> None:
    log = Log()
    log.append(ConsentGiven, **{**NEARBY, "data": ("gps",)}, **SEPARATELY)
    state = log.append(ConsentReaffirmed, **NEARBY, policy_version=1)
    assert status(state, GPS) is Status.GIVEN
    assert status(state, WLAN) is Status.UNKNOWN


def test_a_reaffirmation_of_nothing_has_no_effect() -> None:
    assert status(Log().append(ConsentReaffirmed, **NEARBY, policy_version=1)) is Status.UNKNOWN


def test_a_reaffirmation_does_not_revive_what_was_withdrawn() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(ConsentWithdrawn)
    assert status(log.append(ConsentReaffirmed, **NEARBY, policy_version=1)) is Status.WITHDRAWN


@pytest.mark.parametrize(("given_to", "renewed_for"), [(("adnet",), None), (None, ("adnet",)), (("adnet",), ("adx",))])
def test_a_reaffirmation_for_another_recipient_renews_nothing(given_to: object, renewed_for: object) -> None:
    log = Log()
    before = log.append(ConsentGiven, **NEARBY, **SEPARATELY, recipients=given_to)
    assert log.append(ConsentReaffirmed, **NEARBY, policy_version=1, recipients=renewed_for).acts == before.acts


def test_a_reaffirmation_takes_the_strongest_expression_that_stands() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(ConsentGiven, **NEARBY, policy_version=1, expression=Expression.IMPLIED)
    state = log.append(ConsentReaffirmed, **NEARBY, policy_version=1)
    assert stand_in(state, GPS).grants == ((SUBJECT, Expression.SEPARATE, 3), (SUBJECT, Expression.IMPLIED, 2))
