"""The fold rules, case by case. The numbers are those of the contract's rules."""

from uuid import UUID

import pytest
from unit.folding import COLLECT, MOTHER, OPERATOR, PERSON, STORE, SUBJECT, USE, Log, substance
from unit.reading import permission_is_on, stand_in

from consentry.errors import ConsentryError
from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    DataCollected,
    ExemptionInvoked,
    GuardianLinked,
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
from consentry.state.row import CellBlock, SubjectState
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Cell,
    Disposition,
    Effect,
    Expression,
    Outcome,
    PermissionState,
    Position,
    Right,
    Status,
)

NEARBY = {"purpose": "feed.nearby", "operations": (COLLECT, USE), "data": ("gps", "wlan")}
SEPARATELY = {"policy_version": 1, "expression": Expression.SEPARATE}
GPS = Cell("feed.nearby", COLLECT, "gps")
WLAN = Cell("feed.nearby", COLLECT, "wlan")
SOURCE = "consent-intake.app-0@7"


def status(state: SubjectState, cell: Cell = GPS) -> Status:
    return stand_in(state, cell).status


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
    assert stand_in(state, GPS).grants == ((Expression.SEPARATE, 1), (Expression.IMPLIED, 2))


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
    assert stand_in(state, GPS).grants == ((Expression.SEPARATE, 2),)
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
    assert stand_in(state, GPS).grants == ((Expression.SEPARATE, 3), (Expression.IMPLIED, 2))


# Opt-outs


def test_an_opt_out_stands_until_who_set_it_lifts_it() -> None:
    log = Log()
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    assert [opt_out.purpose for opt_out in state.opt_outs] == ["feed.city"]
    for other in (Actor(role=ActorRole.SYSTEM, id=SUBJECT), Actor(role=ActorRole.SUBJECT, id="account:bob")):
        assert log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=other).opt_outs
    assert not log.append(PreferenceSet, purpose="feed.city", opted_out=False).opt_outs


@pytest.mark.parametrize(("clock", "stands"), [(0, True), (1, False)])
def test_an_opt_out_is_lifted_only_after_its_recording(clock: int, stands: bool) -> None:
    log = Log()
    opted_out_at = log.append(PreferenceSet, purpose="feed.city", opted_out=True).opt_outs[0].recorded_at
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False, occurred_at=opted_out_at + clock)
    assert bool(state.opt_outs) is stands


def test_an_opt_out_is_lifted_by_who_saw_it_whatever_the_clock() -> None:
    log = Log()
    seen = str(log.append(PreferenceSet, purpose="feed.city", opted_out=True).tightened_position)
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False, occurred_at=1, expected_position=seen)
    assert not state.opt_outs


def test_an_opt_out_is_not_lifted_by_a_clock_far_ahead() -> None:
    log = Log()
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    assert log.append(PreferenceSet, purpose="feed.city", opted_out=False, occurred_at=10**9).opt_outs


def test_feedback_on_one_topic_is_no_opt_out() -> None:
    state = Log().append(PreferenceSet, purpose="feed.city", opted_out=True, topic="football")
    assert not state.opt_outs
    assert state.tightened_position is None


def test_a_grant_from_before_an_opt_out_is_superseded_even_after_that_was_lifted() -> None:
    log = Log()
    log.append(PreferenceSet, purpose="feed.nearby", opted_out=True)
    log.append(PreferenceSet, purpose="feed.nearby", opted_out=False)
    assert status(log.append(ConsentGiven, occurred_at=1_005, **NEARBY, **SEPARATELY)) is Status.UNKNOWN
    assert status(log.append(ConsentGiven, **NEARBY, **SEPARATELY)) is Status.GIVEN


# Permissions of the operating system


def test_a_permission_is_kept_for_each_device() -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="phone")
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.OFF, device="tablet")
    assert permission_is_on(state, "camera", "phone")
    assert not permission_is_on(state, "camera", "tablet")
    assert not permission_is_on(state, "camera", None)


def test_limited_is_off() -> None:
    state = Log().append(PermissionObserved, permission="camera", state=PermissionState.LIMITED, device="phone")
    assert not permission_is_on(state, "camera", "phone")
    assert state.tightened_position == Position(1, 3, 1)


def test_off_without_a_device_speaks_for_all() -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="phone")
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.OFF)
    assert {seen.device: seen.state for seen in state.permissions} == dict.fromkeys(["phone", ""], PermissionState.OFF)
    assert not permission_is_on(state, "camera", "phone")
    assert not permission_is_on(state, "camera", "never seen")
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="phone")
    assert permission_is_on(state, "camera", "phone")


def test_on_without_a_device_speaks_only_where_none_is_known() -> None:
    log = Log()
    assert permission_is_on(
        log.append(PermissionObserved, permission="camera", state=PermissionState.ON), "camera", None
    )
    before = log.append(PermissionObserved, permission="camera", state=PermissionState.OFF, device="phone")
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.ON)
    assert not permission_is_on(state, "camera", None)
    assert state.permissions == before.permissions


def test_on_from_before_off_is_superseded_even_after_a_later_on() -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.OFF)
    before = log.append(PermissionObserved, permission="camera", state=PermissionState.ON)
    late = {"permission": "camera", "state": PermissionState.ON, "device": "phone", "occurred_at": 1_005}
    assert log.append(PermissionObserved, **late).permissions == before.permissions


@pytest.mark.parametrize(("clock", "is_on"), [(0, False), (1, True)])
def test_on_after_off_has_to_be_seen_after_the_recording_of_off(clock: int, is_on: bool) -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.OFF)
    state = log.append(
        PermissionObserved, permission="camera", state=PermissionState.ON, device="phone", occurred_at=1_010 + clock
    )
    assert permission_is_on(state, "camera", "phone") is is_on


def test_on_with_a_clock_far_ahead_is_not_heeded() -> None:
    state = Log().append(PermissionObserved, permission="camera", state=PermissionState.ON, occurred_at=10**9)
    assert not state.permissions


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


# What the fold cannot weigh, or what is odd


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AgeAsserted, {"source": AgeSource.DECLARED, "age_band": AgeBand.CHILD}),
        (GuardianLinked, {"guardian": "account:eve", "relation": "mother"}),
        (
            ExemptionInvoked,
            {
                "code": "d",
                "operations": (USE,),
                "data": ("gps",),
                "legal_ref": "x",
                "approver": "b",
                "valid_until": 9_000,
            },
        ),
        (ConsentGiven, {**NEARBY, **SEPARATELY, "actor": MOTHER}),
        (ConsentWithdrawn, {"actor": MOTHER}),
        (PreferenceSet, {"purpose": "feed.city", "opted_out": False, "actor": MOTHER}),
    ],
)
def test_what_the_fold_cannot_weigh_yet_is_named_in_the_row_once(kind: type, fields: dict[str, object]) -> None:
    log = Log()
    log.append(kind, **fields)
    state = log.append(kind, **fields)
    assert state.uninterpreted == (kind.__name__,)
    assert state.tightened_position is not None
    assert not state.acts
    assert not state.marks


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
        (PolicyAccepted, {"policy_version": 2}),
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
        (PolicyAccepted, {"policy_version": 1}, Effect.UNCHANGED),
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
