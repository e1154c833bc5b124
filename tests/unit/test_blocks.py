"""Cells as sets: whatever blocks and scopes say must be what the sets of their cells say, for all small ones."""

from itertools import combinations, product
from typing import Any

import pytest
from unit.story import events_of

from consentry.errors import ConsentryError
from consentry.events import AnySubjectEvent, Cells
from consentry.state.blocks import MAX_SCOPE_TEXT, block_of, bounded, join, meet, within, without_block, without_scope
from consentry.state.direction import loosens, tightens
from consentry.state.row import CellBlock, Scope
from consentry.terms import Cell, Operation

PURPOSES, DATA, RECIPIENTS = ("p", "q"), ("a", "b"), ("r", "s")
OPERATIONS = (Operation.USE, Operation.SHARE)


def parts(words: tuple[Any, ...], *, none: bool) -> list[tuple[Any, ...]]:
    some = [chosen for size in range(1, len(words) + 1) for chosen in combinations(words, size)]
    return [(), *some] if none else some


BLOCKS = [
    CellBlock(*each)
    for each in product(PURPOSES, parts(OPERATIONS, none=False), parts(DATA, none=False), parts(RECIPIENTS, none=True))
]
SCOPES = [
    Scope(*each)
    for each in product(
        ("", *PURPOSES), parts(OPERATIONS, none=True), parts(DATA, none=True), parts(RECIPIENTS, none=True)
    )
]
ALL = [Cell(*each) for each in product(PURPOSES, OPERATIONS, DATA, ("", *RECIPIENTS))]


def event(kind: str, **fields: Any) -> AnySubjectEvent:
    return events_of([{kind: fields}])[0].event


def granting(**fields: Any) -> Cells:
    given = {"purpose": "p", "operations": ["use"], "data": ["a"], "policy_version": 1, "expression": "expressed"}
    found = event("ConsentGiven", **given | fields)
    assert isinstance(found, Cells)
    return found


def cells(*blocks: CellBlock) -> list[Cell]:
    return sorted(cell for block in blocks for cell in block.cells())


def test_a_block_without_a_scope_holds_what_the_scope_does_not_cover_each_cell_once() -> None:
    for block, scope in product(BLOCKS, SCOPES):
        left = [cell for cell in cells(block) if not scope.covers(cell)]
        assert cells(*without_scope(block, scope)) == left, (block, scope)


def test_a_block_without_another_holds_what_the_other_does_not_each_cell_once() -> None:
    for block, other in product(BLOCKS, BLOCKS):
        left = [cell for cell in cells(block) if not other.holds(cell)]
        assert cells(*without_block(block, other)) == left, (block, other)


def test_what_two_blocks_share_is_what_both_hold() -> None:
    for block, other in product(BLOCKS, BLOCKS):
        both = meet(block, other)
        shared = [cell for cell in cells(block) if other.holds(cell)]
        assert ([] if both is None else cells(both)) == shared, (block, other)
        assert (both is None) is (not shared), "a block without cells is none"


def test_a_block_that_nothing_is_taken_from_stays_the_same_object() -> None:
    block = CellBlock("p", OPERATIONS, DATA)
    assert without_scope(block, Scope("q"))[0] is block
    assert without_scope(block, Scope("p", (), ("c",)))[0] is block
    assert without_scope(block, Scope("p", (), ("a",), ("r",)))[0] is block
    assert without_block(block, CellBlock("p", OPERATIONS, ("c",)))[0] is block


def test_a_scope_is_within_another_only_if_that_covers_whatever_it_covers() -> None:
    for inner, outer in product(SCOPES, SCOPES):
        covered = all(outer.covers(cell) for cell in ALL if inner.covers(cell))
        if within(inner, outer):
            assert covered, (inner, outer)
        elif covered:  # all the words there are, named one by one, are not every word there will be
            assert any(
                len(one) == 2 and not other
                for one, other in [
                    (outer.operations, inner.operations),
                    (outer.data, inner.data),
                    (outer.recipients, inner.recipients),
                ]
            ) or set(RECIPIENTS) >= set(outer.recipients), (inner, outer)


def test_within_looks_at_every_part() -> None:
    whole = Scope("p", (Operation.USE,), ("a",), ("r",))
    assert within(whole, whole)
    assert within(whole, Scope())
    for outer in [
        Scope("q", (Operation.USE,), ("a",), ("r",)),
        Scope("p", (Operation.SHARE,), ("a",), ("r",)),
        Scope("p", (Operation.USE,), ("b",), ("r",)),
        Scope("p", (Operation.USE,), ("a",), ("s",)),
    ]:
        assert not within(whole, outer)
    assert not within(Scope("p"), whole)
    assert not within(Scope("p", (Operation.USE,), ("a",)), whole), "every recipient is more than one"


def test_two_scopes_joined_are_each_within_what_covers_both_and_a_part_both_name_stays_named() -> None:
    for one, other in product(SCOPES, SCOPES):
        both = join(one, other)
        assert within(one, both), (one, other)
        assert within(other, both), (one, other)
        assert both.purpose == (one.purpose if one.purpose == other.purpose else "")
        for first, second, joined in [
            (one.operations, other.operations, both.operations),
            (one.data, other.data, both.data),
            (one.recipients, other.recipients, both.recipients),
        ]:
            assert set(joined) == (set(first) | set(second) if first and second else set())
            assert len(joined) == len(set(joined))


FITS, BURSTS = ("x" * (MAX_SCOPE_TEXT - 1),), ("x" * MAX_SCOPE_TEXT,)


@pytest.mark.parametrize(("data", "data_left"), [(FITS, FITS), (BURSTS, ())])
@pytest.mark.parametrize(("recipients", "recipients_left"), [(FITS, FITS), (BURSTS, ()), (("r",), ("r",))])
def test_a_list_that_would_burst_the_row_is_widened_to_every_one_and_the_rest_stays(
    data: tuple[str, ...], data_left: tuple[str, ...], recipients: tuple[str, ...], recipients_left: tuple[str, ...]
) -> None:
    scope = Scope("p", (Operation.USE,), data, recipients)
    assert bounded(scope) == Scope("p", (Operation.USE,), data_left, recipients_left)


@pytest.mark.parametrize("missing", ["purpose", "operations", "data"])
def test_an_event_that_names_no_cells_has_none(missing: str) -> None:
    named = granting(**{missing: "" if missing == "purpose" else []})
    with pytest.raises(ConsentryError):
        block_of(named)


def test_the_words_of_a_block_stand_once_and_in_order() -> None:
    block = block_of(granting(operations=["share", "use"], data=["b", "a", "b"], recipients=["s", "s"]))
    assert (block.data, block.recipients) == (("a", "b"), ("s",))
    assert block.operations == tuple(each for each in Operation if each in OPERATIONS)


@pytest.mark.parametrize(
    ("opted_out", "topic", "turn"),
    [
        (True, None, (True, False)),
        (False, None, (False, True)),
        (True, "sport", (False, False)),
        (False, "sport", (False, False)),
    ],
)
def test_an_opinion_on_a_topic_turns_no_answer(opted_out: bool, topic: str | None, turn: tuple[bool, bool]) -> None:
    said = event("PreferenceSet", purpose="p", opted_out=opted_out, topic=topic)
    assert (tightens(said), loosens(said)) == turn


def test_whatever_loosens_nothing_and_whatever_tightens_nothing_says_so() -> None:
    assert loosens(event("AccountClosed", identity_verified=True, method="app")) is False
    assert tightens(event("IdentityLinked", device="device:1", account="account:1")) is False
