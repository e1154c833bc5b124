"""A version that reduces rights: whom it binds from the start, and whose acceptance makes it bind."""

import pytest
from unit.decision_worlds import second_version
from unit.rows import AFTER, MUM, SUBJECT, acceptance, at, row, said, verified

from consentry.decision.versions import former_version
from consentry.policy import Policies
from consentry.state.row import Acceptance, AgeStatement, Circumstances
from consentry.terms import AgeBand, AgeSource

MINOR, GROWN = said(AgeBand.MINOR, 50), said(AgeBand.ADULT, 90, source=AgeSource.VERIFIED)
"""a minor, and found to be of age at 90"""


class Reducing(Policies):
    """The second version reduces a right, whatever it says."""

    def reductions(self, _at_ms: int) -> tuple[int, ...]:
        return (2,)


def reducing() -> Policies:
    known = second_version()
    return Reducing(**{name: getattr(known, name) for name in known.__struct_fields__})


EFFECTIVE = reducing().revisions[1].effective_at


def binds(
    *accepted: Acceptance,
    ages: tuple[AgeStatement, ...] = (),
    guardian: bool = False,
    first_act_at: int | None = EFFECTIVE - 1,
    now: int = AFTER,
) -> bool:
    facts = Circumstances(ages=ages, guardianships=(verified(2),) if guardian else (), acceptances=accepted)
    return former_version(row(facts, first_act_at=first_act_at), reducing(), now) is None


def test_who_came_after_it_is_bound_from_the_start() -> None:
    assert binds(first_act_at=EFFECTIVE)
    assert not binds(first_act_at=EFFECTIVE - 1)
    assert binds(first_act_at=None)
    assert former_version(None, reducing(), AFTER) is None
    assert former_version(row(first_act_at=EFFECTIVE - 1), reducing(), AFTER) is not None


def test_the_former_version_protects_who_did_not_accept() -> None:
    former = former_version(row(first_act_at=EFFECTIVE - 1), reducing(), AFTER)
    assert former is reducing().revisions[0].policy or former == reducing().revisions[0].policy


@pytest.mark.parametrize(("version", "bound"), [(1, False), (2, True), (3, True)])
def test_an_acceptance_of_it_or_of_a_later_version_binds(version: int, bound: bool) -> None:
    assert binds(acceptance(SUBJECT, at(100), version)) is bound
    grown = binds(acceptance(SUBJECT, at(100), version), ages=(said(AgeBand.ADULT, 50),))
    assert grown is bound
    assert binds(acceptance(MUM, at(100), version), ages=(MINOR,), guardian=True) is bound


def test_a_minors_own_acceptance_binds_nobody() -> None:
    assert not binds(acceptance(SUBJECT, at(60), 2), ages=(MINOR,), guardian=True)
    assert not binds(acceptance(SUBJECT, at(60), 2), ages=(MINOR, GROWN)), "a minor's when it was given"


def test_a_guardians_acceptance_does_not_bind_who_was_of_age() -> None:
    assert not binds(acceptance(MUM, at(60), 2))
    assert not binds(acceptance(MUM, at(95), 2), ages=(MINOR, GROWN), guardian=True)
    assert not binds(acceptance(MUM, at(60), 2), ages=(MINOR,)), "of a guardian who is not verified"


def test_an_adults_acceptance_is_an_adults_by_its_clock_and_at_its_place() -> None:
    ages = (MINOR, GROWN)
    assert binds(acceptance(SUBJECT, at(95), 2), ages=ages)
    assert not binds(acceptance(SUBJECT, at(95, occurred=80), 2), ages=ages)
    assert not binds(acceptance(SUBJECT, at(89), 2), ages=ages)
    assert not binds(acceptance(SUBJECT, at(95, offset=80), 2), ages=ages), "as was known at its place"


def test_a_later_lowering_voids_what_was_accepted_before_it() -> None:
    lowered = (said(AgeBand.ADULT, 50), said(AgeBand.MINOR, 90), said(AgeBand.ADULT, 120, source=AgeSource.VERIFIED))
    assert not binds(acceptance(SUBJECT, at(80), 2), ages=lowered)
    assert not binds(acceptance(SUBJECT, at(125, occurred=90), 2), ages=lowered)
    assert binds(acceptance(SUBJECT, at(125), 2), ages=lowered)


def test_who_is_a_minor_now_is_not_bound_by_an_acceptance_of_when_the_age_was_unknown() -> None:
    assert not binds(acceptance(SUBJECT, at(80), 2), ages=(said(AgeBand.MINOR, 90),))
