"""Who may lift whose opt-out, and what a lift has to know of."""

import msgspec
import pytest
from unit.rows import BORN, CELL, EIGHTEEN, FOURTEEN, MUM, SUBJECT, age_of, at, by, opt_out, row, said, verified

from consentry.decision.opt_outs import standing_opt_outs
from consentry.state.row import AgeStatement, Circumstances, Lift, OptOut
from consentry.terms import ActorRole

DAD = "account:dad"
CHILD, MINOR, ADULT = FOURTEEN - 1_000, EIGHTEEN - 1_000, EIGHTEEN + 1_000
"""moments at which the subject was one"""


def lift(who: str, when: dict[str, int], *, informed: bool = False, purpose: str = CELL.purpose) -> Lift:
    return Lift(event_id=b"l" * 16, purpose=purpose, informed=informed, **by(who) | when)


def stands(
    entry: OptOut, *lifts: Lift, ages: tuple[AgeStatement, ...] = (said(BORN, 1),), purpose: str = CELL.purpose
) -> bool:
    facts = Circumstances(ages=ages, guardianships=(verified(2),), lifts=lifts)
    return bool(standing_opt_outs(row(facts, opt_outs=(entry,)), purpose, age_of(facts)))


def of_an_adult_all_along(entry: OptOut, *lifts: Lift) -> bool:
    found = row(Circumstances(lifts=lifts), opt_outs=(entry,))
    return bool(standing_opt_outs(found, CELL.purpose, None))


@pytest.mark.parametrize("who", [SUBJECT, MUM])
def test_an_opt_out_of_a_ward_stands(who: str) -> None:
    assert stands(opt_out(who, MINOR))
    assert not stands(opt_out(who, MINOR), purpose="search.service")


def test_a_guardians_opt_out_set_for_who_is_of_age_counts_for_nothing() -> None:
    assert not stands(opt_out(MUM, ADULT))
    assert not of_an_adult_all_along(opt_out(MUM, 100))


@pytest.mark.parametrize(("occurred", "stood"), [(MINOR, True), (MINOR + 1, False)])
def test_a_lift_has_to_be_later_than_what_it_lifts_or_to_know_of_it(occurred: int, stood: bool) -> None:
    assert stands(opt_out(MUM, MINOR), lift(MUM, at(MINOR + 5, occurred=occurred))) is stood
    assert not stands(opt_out(MUM, MINOR), lift(MUM, at(MINOR + 5, occurred=occurred), informed=True))


def test_a_lift_lifts_nothing_that_comes_after_it_and_nothing_of_another_purpose() -> None:
    assert stands(opt_out(MUM, MINOR), lift(MUM, at(MINOR - 1), informed=True))
    assert stands(opt_out(MUM, MINOR), lift(MUM, at(MINOR + 1), purpose="search.service"))


def test_a_guardian_lifts_the_own_opt_out_of_a_ward() -> None:
    assert not stands(opt_out(MUM, MINOR), lift(MUM, at(MINOR + 1)))


def test_a_guardian_lifts_nobody_elses_opt_out_of_a_minor() -> None:
    assert stands(opt_out(DAD, MINOR), lift(MUM, at(MINOR + 1)))
    assert stands(opt_out(SUBJECT, MINOR), lift(MUM, at(MINOR + 1)))


def test_a_guardian_lifts_anybodys_opt_out_of_a_child() -> None:
    assert not stands(opt_out(DAD, CHILD), lift(MUM, at(CHILD + 1)))
    assert not stands(opt_out(SUBJECT, CHILD), lift(MUM, at(CHILD + 1)))


def test_a_guardian_lifts_nothing_of_who_is_of_age() -> None:
    assert stands(opt_out(MUM, MINOR), lift(MUM, at(ADULT)))
    assert stands(opt_out(SUBJECT, MINOR), lift(MUM, at(ADULT)))
    assert of_an_adult_all_along(opt_out(SUBJECT, 100), lift(MUM, at(200)))


def test_who_is_of_age_lifts_what_a_guardian_had_set_and_a_minor_does_not() -> None:
    assert not stands(opt_out(MUM, MINOR), lift(SUBJECT, at(ADULT)))
    assert stands(opt_out(MUM, MINOR), lift(SUBJECT, at(MINOR + 1)))
    assert stands(opt_out(MUM, CHILD), lift(SUBJECT, at(CHILD + 1)))


def test_a_minor_lifts_the_own_opt_out() -> None:
    assert not stands(opt_out(SUBJECT, MINOR), lift(SUBJECT, at(MINOR + 1)))


@pytest.mark.parametrize("other", [{"actor_id": DAD}, {"actor_role": ActorRole.CONTROLLER}])
def test_an_opt_out_is_one_s_own_by_role_and_by_name(other: dict[str, object]) -> None:
    entry = opt_out(SUBJECT, MINOR)
    assert not stands(entry, lift(SUBJECT, at(MINOR + 1)))
    assert stands(msgspec.structs.replace(entry, **other), lift(SUBJECT, at(MINOR + 1)))
    entry = opt_out(MUM, MINOR)
    assert not stands(entry, lift(MUM, at(MINOR + 1)))
    assert stands(msgspec.structs.replace(entry, **other), lift(MUM, at(MINOR + 1)))
