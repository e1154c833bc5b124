"""Rule 6: which two become one where a row is full, and what that one says."""

import pytest
from unit.folding import COLLECT, OPERATOR, PERSON, STORE, USE, Log
from unit.rows import MUM, SUBJECT, at, mark

from consentry.events import ExemptionEnded, RightsRequested
from consentry.state.marks import with_mark
from consentry.state.objections import NO_EVENT, without_objection
from consentry.state.row import (
    COUNTS_ALWAYS,
    MAX_ENDINGS,
    MAX_MARKS,
    MAX_OBJECTIONS,
    Circumstances,
    Mark,
    Objection,
    Scope,
)
from consentry.terms import ActorRole, Operation, Right, Status

FIRST, LAST = 1, 1_000


def full(first: list[Scope], last: list[Scope]) -> tuple[Mark, ...]:
    """Marks of these scopes at both ends, and between them as many of other purposes as make one too many."""
    between = [Scope(f"other.{number}", (), (f"d{number}", "e", "f")) for number in range(MAX_MARKS + 1)]
    between = between[: MAX_MARKS + 1 - len(first) - len(last)]
    places = [*range(FIRST, FIRST + len(first)), *range(100, 100 + len(between)), *range(LAST, LAST + len(last))]
    return tuple(
        mark(SUBJECT, at(place), scope) for place, scope in zip(places, [*first, *between, *last], strict=True)
    )


def joined(marks: tuple[Mark, ...]) -> Scope:
    """The scope of the two that became one."""
    after = with_mark(marks[:-1], marks[-1])
    assert after is not None
    assert len(after) == MAX_MARKS
    (scope,) = {each.scope for each in after} - {each.scope for each in marks}
    return scope


def test_two_of_one_purpose_are_joined_however_many_stand_between_them() -> None:
    assert joined(full([Scope("p", (), ("a",))], [Scope("p", (), ("b",))])) == Scope("p", (), ("a", "b"))


def test_one_of_every_purpose_is_joined_with_the_one_that_opens_least_however_many_stand_between_them() -> None:
    assert joined(full([Scope("", (), ("a",))], [Scope("p", (), ("b",))])) == Scope("", (), ("a", "b"))


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (
            (Scope("p", (), ("a",)), Scope("p", (), ("b", "c"))),
            (Scope("q", (), ("a",)), Scope("q", (), ("b",))),
        ),
        (
            (Scope("p", (), ("a",), ("r",)), Scope("p", (), ("a",), ("s", "t"))),
            (Scope("q", (), ("a",)), Scope("q", (), ("b",))),
        ),
        (
            (Scope("p", (USE,), ("a", "b")), Scope("p", (USE,), ("c", "d"))),
            (Scope("q", (USE,)), Scope("q", (STORE,))),
        ),
        (
            (Scope("p", (USE,), ("a",)), Scope("p", (STORE,))),
            (Scope("q", (USE,), ("a", "b")), Scope("q", (USE,), ("c", "d"))),
        ),
        (
            (Scope("p", (), ("a",), ("r",)), Scope("p", (), ("b",))),
            (Scope("q", (), ("a",), ("r",)), Scope("q", (), ("b",), ("s",))),
        ),
    ],
    ids=["fewer data", "fewer recipients", "fewer words", "no data opened", "no recipients opened"],
)
def test_of_pairs_of_one_purpose_those_are_joined_that_open_least_and_then_those_of_fewest_words(
    worse: tuple[Scope, Scope], better: tuple[Scope, Scope]
) -> None:
    found = joined(full([worse[0], better[0]], [worse[1], better[1]]))
    assert found.purpose == better[0].purpose


@pytest.mark.parametrize(("scenes", "scene"), [(("map", "map"), "map"), (("map", "start"), ""), (("", "map"), "")])
def test_two_marks_that_become_one_stand_where_the_later_stood_and_are_known_to_who_knew_both(
    scenes: tuple[str, str], scene: str
) -> None:
    *others, last = full([Scope("p", (), ("a",))], [Scope("p", (), ("b",))])
    first = _with(others[0], event_id=b"1" * 16, scene=scenes[0], occurred_at=7, recorded_at=2_000)
    last = _with(last, event_id=b"2" * 16, scene=scenes[1])
    after = with_mark((first, *others[1:]), last)
    assert after is not None
    assert after[-1] == Mark(
        event_id=b"2" * 16, status=Status.WITHDRAWN, actor_role=ActorRole.SUBJECT, actor_id=SUBJECT,
        occurred_at=LAST, recorded_at=2_000, offset=LAST, scene=scene, scope=Scope("p", (), ("a", "b")),
    )  # fmt: skip


def test_two_marks_of_a_guardian_that_become_one_count_whatever_the_ages_say() -> None:
    marks = tuple(mark(MUM, at(place), Scope("p", (), (f"d{place}",))) for place in range(1, MAX_MARKS + 2))
    after = with_mark(marks[:-1], marks[-1])
    assert after is not None
    assert (after[0].occurred_at, after[0].actor_id, after[0].offset) == (COUNTS_ALWAYS, MUM, 2)


def _with(one: Mark, **parts: object) -> Mark:
    return Mark(**{name: getattr(one, name) for name in one.__struct_fields__} | parts)


# Endings of exemptions


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (
            ({"purpose": "p", "data": ("a",)}, {"purpose": "q", "data": ("a",)}),
            ({"purpose": "p", "data": ("a",)}, {"purpose": "p", "data": ("b",)}),
        ),
        (
            ({"operations": (USE,), "data": ("a",)}, {"operations": (STORE,), "data": ("b",)}),
            ({"operations": (USE,), "data": ("a",)}, {"operations": (USE,), "data": ("b", "c")}),
        ),
        (
            ({"data": ("a", "b")}, {"data": ("c", "d")}),
            ({"operations": (USE,), "data": ("a",)}, {"operations": (COLLECT,), "data": ("a",)}),
        ),
        (
            ({"data": ("a",), "recipients": ("r",)}, {"data": ("a",), "recipients": ("s", "t")}),
            ({"data": ("a",), "recipients": ("r",)}, {"data": ("b",), "recipients": ("r",)}),
        ),
    ],
    ids=["no purpose opened", "fewer cells", "fewer cells of more operations", "fewer recipients"],
)
def test_beyond_64_endings_the_two_of_a_code_are_joined_that_cover_least(
    worse: tuple[dict[str, object], dict[str, object]], better: tuple[dict[str, object], dict[str, object]]
) -> None:
    log = Log()
    others = [{"data": ("x",)}] * (MAX_ENDINGS - 3)
    ended = [("c", worse[0]), ("d", better[0]), *[(f"o{n}", other) for n, other in enumerate(others)]]
    for code, parts in [*ended, ("c", worse[1]), ("d", better[1])]:
        given = {"operations": (USE,), "legal_ref": "law", "approver": "b", "actor": OPERATOR} | parts
        log.append(ExemptionEnded, code=code, **given)
    facts = log.state.circumstances or Circumstances()
    assert len(facts.endings) == MAX_ENDINGS
    codes = [ending.code for ending in facts.endings]
    assert (codes.count("c"), codes.count("d")) == (2, 1)


# Objections


def test_two_objections_that_become_one_are_nobody_s_request_and_stand_where_the_later_stood() -> None:
    log = Log()
    for number in range(MAX_OBJECTIONS + 1):
        log.append(RightsRequested, right=Right.OBJECTION, purpose="p", operations=(USE,), data=(f"d{number:02}",))
    facts = log.state.circumstances or Circumstances()
    assert facts.objections[0] == Objection(
        event_id=NO_EVENT, actor_role=ActorRole.SUBJECT, actor_id=PERSON.id, recorded_at=1_020, offset=2,
        scope=Scope("p", (Operation.USE,), ("d00", "d01")),
    )  # fmt: skip
    assert without_objection(facts.objections, log.records[0].event.event_id) is facts.objections
    assert len(without_objection(facts.objections, log.records[2].event.event_id)) == MAX_OBJECTIONS - 1
