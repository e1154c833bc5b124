"""The fold of opt-outs, and of what the operating system permits."""

import pytest
from unit.folding import MOTHER, NEARBY, OPERATOR, PERSON, SEPARATELY, SUBJECT, Log, status
from unit.reading import permission_is_on

from consentry.errors import ConsentryError
from consentry.events import (
    Actor,
    ConsentGiven,
    GuardianLinked,
    GuardianVerified,
    PermissionObserved,
    PreferenceSet,
)
from consentry.state.opt_outs import MAX_LIFTS, MAX_OF_ONE_GUARDIAN
from consentry.state.row import MAX_OPT_OUTS, Lift, Permission
from consentry.terms import (
    ActorRole,
    PermissionState,
    Position,
    Status,
)

FATHER = Actor(role=ActorRole.GUARDIAN, id="account:bob")


def guarded() -> Log:
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    log.append(GuardianVerified, guardian=MOTHER.id, method="id card", actor=OPERATOR)
    return log


# Opt-outs


def test_an_opt_out_stands_until_who_set_it_lifts_it() -> None:
    log = Log()
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    assert [opt_out.purpose for opt_out in state.opt_outs] == ["feed.city"]
    for other in (Actor(role=ActorRole.SYSTEM, id=SUBJECT), Actor(role=ActorRole.SUBJECT, id="account:bob")):
        assert log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=other).opt_outs
    assert not log.append(PreferenceSet, purpose="feed.city", opted_out=False).opt_outs


def test_who_is_not_the_subject_lifts_nothing_in_the_subjects_name() -> None:
    log = Log()
    log.append(PreferenceSet, purpose="feed.city", opted_out=True, actor=Actor(role=ActorRole.SYSTEM, id="sweep"))
    other = Actor(role=ActorRole.SUBJECT, id="account:bob")
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=other)
    assert state.opt_outs
    assert state.circumstances is None


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


def test_what_a_guardian_would_lift_goes_with_the_opt_out_that_the_person_lifts() -> None:
    log = guarded()
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=MOTHER)
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False)
    assert (state.opt_outs, len(state.lifted_opt_outs)) == ((), 1)
    assert state.circumstances is not None
    assert state.circumstances.lifts == ()


@pytest.mark.parametrize("role", [ActorRole.CONTROLLER, ActorRole.SYSTEM])
@pytest.mark.parametrize("set_by", [PERSON, MOTHER])
def test_the_controller_lifts_no_opt_out_of_another(role: ActorRole, set_by: Actor) -> None:
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    before = log.append(PreferenceSet, purpose="feed.city", opted_out=True, actor=set_by)
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=Actor(role=role, id="operator-1"))
    assert (state.opt_outs, state.circumstances) == (before.opt_outs, before.circumstances)


def test_who_lifts_the_own_opt_out_has_lifted_no_guardian_s_that_came_later() -> None:
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    before = log.append(PreferenceSet, purpose="feed.city", opted_out=True, actor=MOTHER)
    state = log.append(PreferenceSet, purpose="feed.city", opted_out=False, occurred_at=1_025)
    assert [opt_out.actor_id for opt_out in state.opt_outs] == [MOTHER.id]
    assert state.circumstances == before.circumstances


def test_of_one_s_lifts_of_a_purpose_the_last_four_are_kept() -> None:
    log = guarded()
    for purpose in ("feed.city", "feed.nearby"):
        log.append(PreferenceSet, purpose=purpose, opted_out=True)
        for _ in range(5):
            log.append(PreferenceSet, purpose=purpose, opted_out=False, actor=MOTHER)
    assert log.state.circumstances is not None
    assert [lift.offset for lift in log.state.circumstances.lifts] == [5, 6, 7, 8, 11, 12, 13, 14]


def test_a_lift_says_who_lifted_what_when_and_what_it_had_seen() -> None:
    log = guarded()
    seen = str(log.append(PreferenceSet, purpose="feed.city", opted_out=True).tightened_position)
    lift = {"purpose": "feed.city", "opted_out": False, "actor": MOTHER, "occurred_at": 1_035}
    state = log.append(PreferenceSet, **lift, expected_position=seen)
    assert state.circumstances is not None
    assert state.circumstances.lifts == (
        Lift(
            event_id=log.records[-1].event.event_id.bytes, purpose="feed.city", actor_role=ActorRole.GUARDIAN,
            actor_id=MOTHER.id, occurred_at=1_035, recorded_at=1_040, offset=4, informed=True,
        ),
    )  # fmt: skip


def test_a_sixty_fifth_lift_has_no_effect() -> None:
    log = guarded()
    for number in range(MAX_LIFTS + 1):
        log.append(PreferenceSet, purpose=f"p{number}", opted_out=True)
        log.append(PreferenceSet, purpose=f"p{number}", opted_out=False, actor=MOTHER)
    assert log.state.circumstances is not None
    assert [lift.purpose for lift in log.state.circumstances.lifts] == [f"p{number}" for number in range(MAX_LIFTS)]


def test_opt_outs_that_always_count_are_kept_for_each_purpose_and_each_guardian() -> None:
    log = guarded()
    log.append(GuardianLinked, guardian=FATHER.id, relation="father", actor=OPERATOR)
    for purpose, actor in (("p", MOTHER), ("p", FATHER), ("q", MOTHER)):
        for _ in range(MAX_OF_ONE_GUARDIAN + 2):
            log.append(PreferenceSet, purpose=purpose, opted_out=True, actor=actor)
    always = [(each.purpose, each.actor_id) for each in log.state.opt_outs if each.actor_role is ActorRole.SYSTEM]
    assert always == [("p", MOTHER.id), ("p", FATHER.id), ("q", MOTHER.id)]


def test_opt_outs_that_were_lifted_take_room_as_well() -> None:
    log = Log()
    for number in range(MAX_OPT_OUTS):
        log.append(PreferenceSet, purpose=f"p{number}", opted_out=True)
    log.append(PreferenceSet, purpose="p0", opted_out=False)
    with pytest.raises(ConsentryError, match="no room"):
        log.append(PreferenceSet, purpose="one more", opted_out=True)


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


@pytest.mark.parametrize(("ahead", "is_on"), [(300_000, True), (300_001, False)])
def test_on_with_a_clock_far_ahead_is_not_heeded(ahead: int, is_on: bool) -> None:
    state = Log().append(PermissionObserved, permission="camera", state=PermissionState.ON, occurred_at=1_010 + ahead)
    assert bool(state.permissions) is is_on


def test_on_without_a_device_is_not_heeded_where_one_is_known_and_follows_an_off_where_none_is() -> None:
    log = Log()
    log.append(PermissionObserved, permission="camera", state=PermissionState.OFF)
    assert permission_is_on(
        log.append(PermissionObserved, permission="camera", state=PermissionState.ON), "camera", None
    )
    known = log.append(PermissionObserved, permission="location", state=PermissionState.ON, device="phone")
    state = log.append(PermissionObserved, permission="album", state=PermissionState.ON)
    assert state.permissions == known.permissions


@pytest.mark.parametrize(
    ("off", "is_on"),
    [
        ({"permission": "camera", "device": "phone"}, False),
        ({"permission": "camera"}, False),
        ({"permission": "camera", "device": "tablet"}, True),
        ({"permission": "location", "device": "phone"}, True),
        ({"permission": "location"}, True),
    ],
)
def test_on_has_to_be_later_than_the_off_of_its_own_permission_and_device(off: dict[str, str], is_on: bool) -> None:
    log = Log()
    log.append(PermissionObserved, state=PermissionState.OFF, **off)
    late = {"permission": "camera", "device": "phone", "occurred_at": 1_005}
    assert (
        permission_is_on(log.append(PermissionObserved, state=PermissionState.ON, **late), "camera", "phone") is is_on
    )


@pytest.mark.parametrize(("off", "off_at"), [((), -1), (("phone",), 1_010), (("phone", None), 1_020)])
def test_of_a_permission_that_is_on_the_row_keeps_when_the_last_off_was_recorded(
    off: tuple[str | None, ...], off_at: int
) -> None:
    log = Log()
    for device in off:
        log.append(PermissionObserved, permission="camera", state=PermissionState.OFF, device=device)
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="phone")
    last = log.records[-1]
    assert state.permissions[-1] == Permission(
        event_id=last.event.event_id.bytes, name="camera", device="phone", state=PermissionState.ON,
        recorded_at=last.recorded_at, offset=last.position.offset, off_at=off_at,
    )  # fmt: skip
