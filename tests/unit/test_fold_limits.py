"""Rule 6: a row has a size. A grant may be refused for it; a mark never is."""

import pytest
from unit.folding import COLLECT, OPERATOR, USE, Log
from unit.reading import stand_in

from consentry.codec import encode_row
from consentry.errors import ConsentryError
from consentry.events import (
    Actor,
    ConsentGiven,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
    PermissionObserved,
    PreferenceSet,
)
from consentry.state.fold import fold_or_quarantine
from consentry.state.grants import has_room
from consentry.state.row import MAX_CELLS, MAX_MARKS, MAX_OPT_OUTS, MAX_PERMISSIONS, SubjectState
from consentry.terms import ActorRole, Cell, Expression, PermissionState, Status

SEPARATELY = {"policy_version": 1, "expression": Expression.SEPARATE}


def words(count: int, length: int = 1) -> tuple[str, ...]:
    return tuple(f"{number:0{length}}" for number in range(count))


def cells_of(state: SubjectState) -> int:
    return len({cell for act in state.acts for cell in act.block.cells()})


def full() -> Log:
    log = Log()
    log.append(ConsentGiven, purpose="p", operations=(USE,), data=words(MAX_CELLS - 1), **SEPARATELY)
    return log


def test_a_row_takes_512_cells() -> None:
    log = full()
    assert cells_of(log.append(ConsentGiven, purpose="q", operations=(USE,), data=("x",), **SEPARATELY)) == MAX_CELLS


def test_a_grant_beyond_512_cells_has_no_effect() -> None:
    log = full()
    state = log.append(ConsentGiven, purpose="q", operations=(USE,), data=("x", "y"), **SEPARATELY)
    assert cells_of(state) == MAX_CELLS - 1
    assert not has_room(state, log.records[-1].event)  # type: ignore[arg-type]


def test_a_question_beyond_512_cells_is_not_kept() -> None:
    log = full()
    state = log.append(ConsentRequested, purpose="q", operations=(USE,), data=("x", "y"), policy_version=1)
    assert cells_of(state) == MAX_CELLS - 1


def test_a_cell_counts_once_however_often_it_was_asked_about_and_given() -> None:
    log = full()
    log.append(ConsentRequested, purpose="p", operations=(USE,), data=words(MAX_CELLS - 1), policy_version=1)
    log.append(
        ConsentGiven, purpose="p", operations=(USE,), data=words(400), policy_version=1, expression=Expression.IMPLIED
    )
    assert has_room(log.state, log.records[0].event)  # type: ignore[arg-type]
    assert cells_of(log.append(ConsentGiven, purpose="q", operations=(USE,), data=("x",), **SEPARATELY)) == MAX_CELLS


@pytest.mark.parametrize("kind", [ConsentGiven, ConsentRequested])
def test_one_event_that_names_a_million_cells_is_not_counted_out(kind: type) -> None:
    fields = SEPARATELY if kind is ConsentGiven else {"policy_version": 1}
    many = {"operations": (USE, COLLECT), "data": words(1_000), "recipients": words(500)}
    assert not Log().append(kind, purpose="p", **many, **fields).acts


def test_a_mark_goes_when_a_later_one_of_its_kind_covers_it() -> None:
    log = Log()
    log.append(ConsentWithdrawn, purpose="p", data=("x",))
    log.append(ConsentWithdrawn, purpose="q", data=("x",))
    state = log.append(ConsentWithdrawn, purpose="p")
    assert [(mark.offset, mark.scope.purpose) for mark in state.marks] == [(2, "q"), (3, "p")]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ConsentRefused, {}),
        (ConsentWithdrawn, {"actor": Actor(role=ActorRole.SYSTEM, id="importer")}),
        (ConsentWithdrawn, {"purpose": "p", "data": ("y",)}),
        (ConsentWithdrawn, {"purpose": "p", "data": ("x",), "operations": (USE,)}),
        (ConsentWithdrawn, {"purpose": "q"}),
    ],
)
def test_a_mark_stays_when_a_later_one_is_another_s_or_narrower(kind: type, fields: dict[str, object]) -> None:
    log = Log()
    log.append(ConsentWithdrawn, purpose="p", data=("x",))
    assert [mark.offset for mark in log.append(kind, **fields).marks] == [1, 2]


def test_a_refusal_in_one_scene_does_not_cover_one_in_another() -> None:
    log = Log()
    log.append(ConsentRefused, purpose="p", scene="map")
    assert len(log.append(ConsentRefused, purpose="p", scene="start").marks) == 2
    assert [mark.offset for mark in log.append(ConsentRefused, purpose="p", scene="map").marks] == [2, 3]


def test_the_65th_mark_widens_the_two_that_lose_least() -> None:
    log = Log()
    for number in range(MAX_MARKS - 1):
        log.append(ConsentWithdrawn, purpose=f"p{number}", data=("x",))
    log.append(ConsentWithdrawn, purpose="p7", data=("y",), operations=(USE,))
    assert len(log.state.marks) == MAX_MARKS
    state = log.append(ConsentWithdrawn, purpose="p7", data=("z",), operations=(COLLECT,))
    assert len(state.marks) == MAX_MARKS
    joined = state.marks[-1]
    assert (joined.scope.purpose, joined.scope.operations, joined.scope.data) == ("p7", (COLLECT, USE), ("y", "z"))
    assert joined.offset == MAX_MARKS + 1


def test_a_widened_mark_is_known_only_to_who_knew_both() -> None:
    log = Log()
    for number in range(MAX_MARKS + 1):
        log.append(ConsentWithdrawn, purpose="p", data=(f"d{number}",))
    cell = {"purpose": "p", "operations": (USE,), "data": ("d0",)}
    joined = next(mark for mark in log.state.marks if "d0" in mark.scope.data)
    assert joined.recorded_at == 1_000 + 10 * joined.offset
    state = log.append(ConsentGiven, **cell, **SEPARATELY, occurred_at=joined.recorded_at)
    assert stand_in(state, Cell("p", USE, "d0")).status is Status.WITHDRAWN
    state = log.append(ConsentGiven, **cell, **SEPARATELY, occurred_at=joined.recorded_at + 1)
    assert stand_in(state, Cell("p", USE, "d0")).status is Status.GIVEN


def test_marks_of_a_thousand_purposes_still_stop_each_of_them() -> None:
    log = Log()
    for number in range(1_000):
        log.append(ConsentWithdrawn, purpose=f"p{number}", data=(f"d{number}",))
    assert len(log.state.marks) == MAX_MARKS
    for number in range(1_000):
        cell = Cell(f"p{number}", USE, f"d{number}")
        assert stand_in(log.state, cell).status is Status.WITHDRAWN


def test_two_refusals_of_different_scenes_are_widened_to_one_for_every_scene() -> None:
    log = Log()
    for number in range(MAX_MARKS + 1):
        log.append(ConsentRefused, purpose="p", scene=f"s{number}")
    assert [mark.scene for mark in log.state.marks][:2] == ["", "s2"]


def test_a_mark_without_room_quarantines_the_subject() -> None:
    log = Log()
    for number in range(MAX_MARKS):
        log.append(ConsentWithdrawn, purpose="p", actor=Actor(role=ActorRole.CONTROLLER, id=f"operator-{number}"))
    assert not log.state.quarantined
    state = log.append(ConsentWithdrawn, purpose="q", actor=OPERATOR)
    assert state.quarantined == ()
    with pytest.raises(ConsentryError, match="no room"):
        log.append(ConsentWithdrawn, purpose="q", actor=Actor(role=ActorRole.CONTROLLER, id="operator-64"))
    assert fold_or_quarantine(log.state, log.records[-1])[0].quarantined == ("consent-events-3@66",)


def test_a_scope_of_very_many_words_is_widened_to_all() -> None:
    state = Log().append(ConsentWithdrawn, purpose="p", data=words(500, 60))
    assert state.marks[0].scope.data == ()
    assert state.marks[0].scope.purpose == "p"


def test_the_largest_row_that_marks_can_make_fits_a_record() -> None:
    log = Log()
    for number in range(MAX_MARKS):
        long = words(30, 60)
        log.append(ConsentWithdrawn, purpose=f"p{number}", data=long, recipients=long)
    assert len(encode_row(log.state)) < 500_000


def test_an_opt_out_beyond_512_quarantines_the_subject() -> None:
    log = Log()
    for number in range(MAX_OPT_OUTS):
        log.append(PreferenceSet, purpose=f"p{number}", opted_out=True)
    log.append(PreferenceSet, purpose="p0", opted_out=False)
    log.append(PreferenceSet, purpose="p0", opted_out=True)
    assert not log.state.quarantined
    with pytest.raises(ConsentryError, match="no room"):
        log.append(PreferenceSet, purpose="one more", opted_out=True)
    assert fold_or_quarantine(log.state, log.records[-1])[0].quarantined


def test_a_permission_beyond_512_is_on_for_nobody_and_off_for_all() -> None:
    log = Log()
    for number in range(MAX_PERMISSIONS):
        log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device=f"d{number}")
    state = log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="one more")
    assert len(state.permissions) == MAX_PERMISSIONS
    assert not state.quarantined
    with pytest.raises(ConsentryError, match="no room"):
        log.append(PermissionObserved, permission="camera", state=PermissionState.OFF, device="one more")
    assert fold_or_quarantine(log.state, log.records[-1])[0].quarantined
