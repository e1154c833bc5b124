"""A subject's age at each edge: what a statement says, since when, known from where, and what it takes back."""

from datetime import UTC, date, datetime

import pytest
from unit.rows import BORN, EIGHTEEN, FOURTEEN, policy, said, verified

from consentry.decision.age import Age, Lowering, age_of, class_at, reaches
from consentry.state.row import AgeStatement, Circumstances, Guardianship
from consentry.terms import AgeBand, AgeSource

CHILD, MINOR, ADULT = AgeBand.CHILD, AgeBand.MINOR, AgeBand.ADULT
DAY = 86_400_000


def age(*statements: AgeStatement, guardian: int | None = None, unknown_age: AgeBand = ADULT) -> Age:
    guardianships = () if guardian is None else (verified(guardian),)
    return Age(Circumstances(ages=statements, guardianships=guardianships), policy(unknown_age))


@pytest.mark.parametrize(("moment", "band"), [(FOURTEEN - 1, CHILD), (FOURTEEN, MINOR), (EIGHTEEN - 1, MINOR)])
def test_a_birth_date_says_the_class_at_each_moment(moment: int, band: AgeBand) -> None:
    assert age(said(BORN, 10)).at(moment) is band
    assert age(said(BORN, 10)).at(EIGHTEEN) is ADULT


def test_a_birth_date_says_it_of_the_time_before_it_was_told() -> None:
    assert age(said(BORN, EIGHTEEN + DAY)).at(FOURTEEN - 1) is CHILD


def test_a_band_says_nothing_of_the_time_before_it_and_does_not_hide_what_follows() -> None:
    told = age(said(CHILD, 50), said(BORN, 60))
    assert told.at(49) is CHILD
    assert age(said(MINOR, 50)).at(49) is ADULT
    assert age(said(MINOR, 50)).at(50) is MINOR
    assert age(said(MINOR, 100, occurred=100), said(CHILD, 110, occurred=20)).at(30) is CHILD


def test_a_statement_counts_from_its_place_on() -> None:
    assert age(said(MINOR, 50)).at(60, known=49) is ADULT
    assert age(said(MINOR, 50)).at(60, known=50) is MINOR


def test_a_verified_guardian_makes_a_minor_from_that_moment_and_place_on() -> None:
    ward = age(guardian=50)
    assert [ward.at(49), ward.at(50), ward.at(60, known=49), ward.at(60, known=50)] == [ADULT, MINOR, ADULT, MINOR]


def test_who_asks_with_a_clock_behind_the_log_is_told_what_the_log_holds() -> None:
    assert age(guardian=50).now(10) is MINOR
    assert age(said(MINOR, 50)).now(10) is MINOR


def test_a_declared_age_does_not_raise_who_has_a_verified_guardian() -> None:
    assert age(said(ADULT, 60), guardian=50).at(70) is MINOR


def test_a_verified_age_raises_who_has_a_verified_guardian_if_it_is_later() -> None:
    assert age(said(ADULT, 60, source=AgeSource.VERIFIED), guardian=50).at(70) is ADULT
    assert age(said(ADULT, 60, source=AgeSource.VERIFIED, occurred=50), guardian=50).at(70) is MINOR


def test_a_raise_takes_a_clock_later_than_the_record_it_overrides() -> None:
    stronger = AgeSource.VERIFIED
    assert age(said(MINOR, 50), said(ADULT, 60, source=stronger, occurred=50)).at(70) is MINOR
    assert age(said(MINOR, 50), said(ADULT, 60, source=stronger, occurred=51)).at(70) is ADULT


def test_saying_the_same_again_moves_what_a_raise_has_to_be_later_than() -> None:
    again = (said(MINOR, 50), said(MINOR, 60))
    assert age(*again, said(ADULT, 70, source=AgeSource.VERIFIED, occurred=55)).at(80) is MINOR


def test_a_raise_needs_a_stronger_source_than_all_before_heeded_or_not() -> None:
    unheeded = said(ADULT, 60, source=AgeSource.GUARDIAN, occurred=40)
    assert age(said(MINOR, 50), unheeded, said(ADULT, 70, source=AgeSource.GUARDIAN)).at(80) is MINOR
    assert age(said(MINOR, 50), said(ADULT, 70, source=AgeSource.GUARDIAN)).at(80) is ADULT
    assert age(said(MINOR, 50), said(ADULT, 70, source=AgeSource.DECLARED)).at(80) is MINOR
    assert age(said(MINOR, 50), said(ADULT, 70, source=AgeSource.GUARDIAN, may_raise=False)).at(80) is MINOR


def test_the_last_statement_that_took_the_age_over_a_line_is_the_lowering() -> None:
    assert age(said(MINOR, 50), said(CHILD, 51)).lowering == Lowering(b"a" * 16, 51, 51)
    assert age(said(MINOR, 50), said(MINOR, 51)).lowering == Lowering(b"a" * 16, 50, 50)
    assert age(said(ADULT, 50)).lowering is None
    assert age(guardian=50).lowering is None


def test_a_lowering_voids_what_was_placed_before_it_or_sent_without_knowing_of_it() -> None:
    lowering = Lowering(b"a" * 16, 10, 100)
    assert lowering.voids(9, 200, informed=True)
    assert lowering.voids(11, 100)
    assert not lowering.voids(11, 100, informed=True)
    assert not lowering.voids(11, 101)


def test_an_adult_acts_who_is_of_age_by_the_clock_as_known_now_and_at_the_place_as_known_there() -> None:
    grown = age(said(BORN, 1))
    assert grown.adults_act(EIGHTEEN, EIGHTEEN, 5)
    assert not grown.adults_act(EIGHTEEN - 1, EIGHTEEN, 5)
    assert not grown.adults_act(EIGHTEEN, EIGHTEEN - 1, 5)


def test_a_guardian_acts_for_who_was_a_minor_by_both_clocks() -> None:
    grown = age(said(BORN, 1))
    assert grown.wards_act(EIGHTEEN - 1, EIGHTEEN - 1)
    assert not grown.wards_act(EIGHTEEN - 1, EIGHTEEN)
    assert not grown.wards_act(EIGHTEEN, EIGHTEEN - 1)


def test_an_act_for_a_child_needs_a_child_by_the_clock_and_at_the_place_as_known_there() -> None:
    grown = age(said(BORN, 10))
    assert grown.childs_act(FOURTEEN - 1, FOURTEEN - 1, 10)
    assert not grown.childs_act(FOURTEEN, FOURTEEN - 1, 10)
    assert not grown.childs_act(FOURTEEN - 1, FOURTEEN, 10)
    assert not grown.childs_act(FOURTEEN - 1, FOURTEEN - 1, 9), "nobody had said it there"


def test_one_came_of_age_when_the_last_unbroken_stretch_began() -> None:
    assert age(said(BORN, 1)).came_of_age(EIGHTEEN + DAY) == EIGHTEEN
    assert age(said(MINOR, 50), said(ADULT, 60, source=AgeSource.VERIFIED)).came_of_age(70) == 60
    assert age(said(ADULT, 50)).came_of_age(70) is None, "an adult from the start of time"
    assert age(said(ADULT, 50, source=AgeSource.VERIFIED), unknown_age=MINOR).came_of_age(70) == 50
    assert age(unknown_age=MINOR).came_of_age(70) is None
    assert age(said(MINOR, 50)).came_of_age(70) is None, "is none yet"


def test_the_next_birthday_that_matters_is_when_time_alone_changes_the_class() -> None:
    told = age(said(BORN, 1))
    assert told.changes_after(FOURTEEN - 1) == FOURTEEN
    assert told.changes_after(FOURTEEN) == EIGHTEEN
    assert told.changes_after(EIGHTEEN) is None


def test_nothing_said_of_an_adult_is_no_age_at_all() -> None:
    assert age_of(None, policy()) is None
    assert age_of(Circumstances(guardianships=(Guardianship(guardian="account:mum", linked_at=1),)), policy()) is None
    found = age_of(None, policy(MINOR))
    assert found is not None
    assert found.now(10) is MINOR


def test_the_class_of_whom_nothing_is_known_is_the_policys() -> None:
    assert class_at(None, policy(), 10) is ADULT
    assert class_at(None, policy(CHILD), 10) is CHILD
    facts = Circumstances(ages=(said(MINOR, 50),))
    assert [class_at(facts, policy(), 60, 49), class_at(facts, policy(), 60), class_at(facts, policy(), 49)] == [
        ADULT, MINOR, ADULT,
    ]  # fmt: skip


def test_a_birthday_begins_at_midnight_and_on_the_first_of_march_of_a_common_year() -> None:
    assert reaches(BORN.toordinal(), 18, "UTC") == EIGHTEEN
    assert reaches(BORN.toordinal(), 18, "Asia/Shanghai") == EIGHTEEN - 8 * 3_600_000
    leap = reaches(date(2004, 2, 29).toordinal(), 18, "UTC")
    assert leap == int(datetime(2022, 3, 1, tzinfo=UTC).timestamp() * 1_000)


def test_a_birthday_beyond_the_calendar_never_comes_and_the_last_of_it_does() -> None:
    assert reaches(date(9990, 5, 17).toordinal(), 10, "UTC") > 2**63
    assert age(said(date(9995, 5, 17), 1)).changes_after(0) is None
    assert reaches(date(9990, 5, 17).toordinal(), 9, "UTC") == int(
        datetime(9999, 5, 17, tzinfo=UTC).timestamp() * 1_000
    )
