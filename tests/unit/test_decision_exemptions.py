"""Exemptions at their edges: what ends one, and whose objection voids one."""

from typing import Any

import msgspec
import pytest
from unit.rows import (
    AFTER,
    BORN,
    CELL,
    EIGHTEEN,
    MUM,
    SUBJECT,
    acceptance,
    age_of,
    at,
    ending,
    grant,
    invocation,
    mark,
    opt_out,
    policy,
    row,
    said,
    verified,
)

from consentry.decision.age import Age
from consentry.decision.exemptions import live_exemption
from consentry.policy import Policy
from consentry.state.row import Circumstances, Scope, SubjectState
from consentry.terms import Cell, Expression, Operation

GROWN = said(BORN, 1)
"""of age since EIGHTEEN"""
WHILE_MINOR = EIGHTEEN - 1_000
THIS = Scope("", (CELL.operation,), (CELL.data,))


def is_exempt(found: SubjectState, age: Age | None = None, cell: Cell = CELL, terms: Policy | None = None) -> bool:
    return live_exemption(found, cell, terms or policy(), age, AFTER, after_closure=False) is not None


def ended(invoked: dict[str, int], ending_at: tuple[int, int], scope: Scope = THIS) -> bool:
    facts = Circumstances(invocations=(invocation("c", invoked),), endings=(ending("c", *ending_at, scope),))
    return not is_exempt(row(facts))


def test_an_ending_ends_what_stands_before_it_in_the_log() -> None:
    assert ended(at(50), (60, 60))


def test_an_ending_ends_what_comes_later_and_is_not_newer_by_its_clock() -> None:
    assert ended(at(70, occurred=60), (60, 60))
    assert not ended(at(70, occurred=61), (60, 60))


def test_an_ending_that_names_a_recipient_ends_what_does_not_leave_for_every_one() -> None:
    assert ended(at(50), (60, 60), msgspec.structs.replace(THIS, recipients=("bank",)))


def test_an_ending_that_names_a_recipient_ends_what_leaves_for_that_one_alone() -> None:
    scope = Scope("", (Operation.SHARE,), ("gender",), ("bank", "court"))
    facts = Circumstances(
        invocations=(invocation("c", at(50), scope=scope),),
        endings=(ending("c", 60, 60, msgspec.structs.replace(scope, recipients=("bank",))),),
    )
    cell = Cell("account.profile", Operation.SHARE, "gender", "")
    assert not is_exempt(row(facts), cell=cell._replace(recipient="bank"))
    assert is_exempt(row(facts), cell=cell._replace(recipient="court"))


def test_an_ending_of_another_code_ends_nothing() -> None:
    facts = Circumstances(invocations=(invocation("c", at(50)),), endings=(ending("d", 60, 60, THIS),))
    assert is_exempt(row(facts))


# what voids: code e says voided_by_objection


def grown(**parts: Any) -> tuple[SubjectState, Age]:
    """Of age now, with a guardian who was verified before."""
    facts = Circumstances(ages=(GROWN,), guardianships=(verified(2),), invocations=(invocation("e", at(50)),))
    return row(facts, **parts), age_of(facts)


def test_nothing_voids_what_nobody_objects_to() -> None:
    assert is_exempt(*grown())


def test_an_opt_out_that_a_guardian_set_for_a_ward_voids() -> None:
    assert not is_exempt(*grown(opt_outs=(opt_out(MUM, WHILE_MINOR),)))
    assert is_exempt(*grown(opt_outs=(opt_out(MUM, EIGHTEEN),))), "there was no ward any more"


def test_a_mark_that_a_guardian_set_for_a_ward_voids() -> None:
    assert not is_exempt(*grown(marks=(mark(MUM, at(WHILE_MINOR)),)))
    assert is_exempt(*grown(marks=(mark(MUM, at(EIGHTEEN)),))), "there was no ward any more"


def test_a_guardians_mark_is_ended_by_a_guardians_grant_that_counts_and_by_none_that_does_not() -> None:
    stop = mark(MUM, at(WHILE_MINOR))
    assert is_exempt(*grown(marks=(stop,), acts=(grant(MUM, at(WHILE_MINOR + 1)),)))
    assert not is_exempt(*grown(marks=(stop,), acts=(grant(MUM, at(EIGHTEEN)),))), "there was no ward any more"
    assert not is_exempt(*grown(marks=(stop,), acts=(grant(SUBJECT, at(WHILE_MINOR + 1)),))), "another's grant"
    implied = grant(MUM, at(WHILE_MINOR + 1), expression=Expression.IMPLIED)
    assert not is_exempt(*grown(marks=(stop,), acts=(implied,)))


def test_ones_own_mark_voids_until_the_cell_is_granted_again() -> None:
    stop = mark(SUBJECT, at(100))
    assert not is_exempt(row(Circumstances(invocations=(invocation("e", at(50)),)), marks=(stop,)))
    again = row(Circumstances(invocations=(invocation("e", at(50)),)), marks=(stop,), acts=(grant(SUBJECT, at(101)),))
    assert is_exempt(again)
    assert not is_exempt(*grown(marks=(stop,)))


def test_a_guardians_mark_voids_for_a_ward_too_where_the_policy_exempts_wards() -> None:
    terms = policy()
    line = msgspec.structs.replace(terms.exemptions["e"], guardian=False)
    terms = msgspec.structs.replace(terms, exemptions=dict(terms.exemptions) | {"e": line})
    facts = Circumstances(
        guardianships=(verified(2),),
        acceptances=(acceptance(MUM, at(3)),),
        invocations=(invocation("e", at(50)),),
    )
    assert is_exempt(row(facts), age_of(facts), terms=terms)
    assert not is_exempt(row(facts, marks=(mark(MUM, at(60)),)), age_of(facts), terms=terms)
    assert not is_exempt(row(facts, opt_outs=(opt_out(MUM, 60),)), age_of(facts), terms=terms)


@pytest.mark.parametrize("code", ["e", "f"])
def test_a_line_that_is_not_for_wards_exempts_no_ward(code: str) -> None:
    facts = Circumstances(guardianships=(verified(2),), invocations=(invocation(code, at(50)),))
    assert not is_exempt(row(facts), age_of(facts))


def test_the_mark_of_who_is_no_ward_s_guardian_voids_nothing() -> None:
    facts = Circumstances(invocations=(invocation("e", at(50)),))
    assert is_exempt(row(facts, marks=(mark(MUM, at(60)),)))
