"""What of a minor's consent stands when the subject comes of age (7.b), at each edge of that moment."""

from typing import Any

import msgspec
import pytest
from unit.rows import (
    BORN,
    CELL,
    EIGHTEEN,
    MUM,
    SUBJECT,
    acceptance,
    age_of,
    at,
    grant,
    mark,
    row,
    said,
    verified,
)
from unit.story import first_version

from consentry.decision.consent import standing_of
from consentry.decision.grants import Standing, Terms
from consentry.state.row import Acceptance, Act, Circumstances, Mark, Scope
from consentry.terms import AgeBand, AgeSource, Expression, Reason, Status

DAY = 86_400_000
BEFORE = EIGHTEEN - DAY
NOW = EIGHTEEN + DAY
BOTH = (grant(SUBJECT, at(BEFORE)), grant(MUM, at(BEFORE + 1)))
ACCEPTED = acceptance(MUM, at(10))


def standing(
    *acts: Act,
    accepted: Acceptance | None = ACCEPTED,
    marks: tuple[Mark, ...] = (),
    ages: tuple[Any, ...] = (said(BORN, 1),),
    protects_minors: bool = False,
    now: int = NOW,
) -> Standing:
    facts = Circumstances(ages=ages, guardianships=(verified(2),), acceptances=() if accepted is None else (accepted,))
    terms = Terms(CELL, 1, False, protects_minors, first_version(), age_of(facts))  # noqa: FBT003
    return standing_of(row(facts, acts=acts, marks=marks), terms, now)


def stands(found: Standing) -> bool:
    """It holds, and is due to be reaffirmed; what does not hold is due again."""
    assert (found.reason, found.reaffirm_due) in ((Reason.CONSENT, True), (Reason.RECONSENT_DUE, False))
    return found.reason is Reason.CONSENT


def test_what_held_the_day_before_stands_and_is_due_to_be_reaffirmed() -> None:
    assert stands(standing(*BOTH))


@pytest.mark.parametrize("at_majority", [at(EIGHTEEN, offset=5_000), at(EIGHTEEN, occurred=BEFORE, offset=5_000)])
def test_a_half_that_came_at_majority_did_not_hold_the_day_before(at_majority: dict[str, int]) -> None:
    assert not stands(standing(grant(SUBJECT, at(BEFORE)), grant(MUM, at_majority)))


def test_a_grant_recorded_the_moment_before_majority_held() -> None:
    assert stands(standing(grant(SUBJECT, at(EIGHTEEN - 1)), grant(MUM, at(BEFORE))))


def test_one_half_alone_did_not_hold() -> None:
    assert not stands(standing(BOTH[0]))
    assert not stands(standing(BOTH[1]))


@pytest.mark.parametrize(
    "accepted",
    [None, acceptance(MUM, at(EIGHTEEN)), acceptance(MUM, at(EIGHTEEN, occurred=BEFORE)), acceptance(SUBJECT, at(10))],
)
def test_without_a_guardians_acceptance_before_majority_nothing_held(accepted: Acceptance | None) -> None:
    assert not stands(standing(*BOTH, accepted=accepted))


def test_an_acceptance_the_moment_before_majority_is_one() -> None:
    assert stands(standing(*BOTH, accepted=acceptance(MUM, at(EIGHTEEN - 1))))


def test_a_guardians_mark_on_the_cell_and_no_other_stood_against_it() -> None:
    others = mark(MUM, at(BEFORE - 5), Scope("search.service"))
    assert stands(standing(*BOTH, marks=(others,)))
    stopped = (grant(SUBJECT, at(BEFORE)),)
    assert not stands(standing(*stopped, marks=(mark(MUM, at(BEFORE - 5)),)))


def test_what_protects_minors_held_by_the_own_half_and_without_an_acceptance() -> None:
    assert stands(standing(BOTH[0], accepted=None, protects_minors=True))
    expired = grant(SUBJECT, at(BEFORE), valid_until=BEFORE + 5)
    assert standing(expired, accepted=None, protects_minors=True).reason is Reason.EXPIRED


CHILD_UNTIL = (said(AgeBand.CHILD, 50), said(AgeBand.ADULT, 90, source=AgeSource.VERIFIED))
"""a child first, and found to be of age at 90"""


def test_who_was_a_child_the_day_before_needed_a_consent_given_separately() -> None:
    expressed = grant(MUM, at(70))
    separate = grant(MUM, at(70), expression=Expression.SEPARATE)
    assert stands(standing(separate, ages=CHILD_UNTIL, accepted=acceptance(MUM, at(60)), now=100))
    assert not stands(standing(expressed, ages=CHILD_UNTIL, accepted=acceptance(MUM, at(60)), now=100))


def test_a_childs_own_refusal_is_the_answer_of_its_own_status() -> None:
    facts = (said(AgeBand.CHILD, 50),)
    refused = mark(SUBJECT, at(70), status=Status.REFUSED)
    found = standing(grant(MUM, at(80), expression=Expression.SEPARATE), ages=facts, marks=(refused,), now=100)
    assert (found.reason, found.status, found.evidence) == (Reason.REFUSED, Status.REFUSED, (b"m" * 16,))


def test_of_two_grants_that_lack_the_same_the_later_is_the_evidence() -> None:
    over = {"valid_until": EIGHTEEN}
    one, other = (grant(SUBJECT, at(place), event_id=bytes([place]) * 16, **over) for place in (8, 9))
    found = standing(other, one, ages=(), protects_minors=True)
    assert (found.reason, found.evidence) == (Reason.EXPIRED, (bytes([9]) * 16,))


FOUND_OUT = (said(AgeBand.MINOR, 1), said(BORN, EIGHTEEN + 10, source=AgeSource.VERIFIED))
"""a minor, as it was said; when the subject came of age was found out later"""


@pytest.mark.parametrize(
    ("clock", "held"),
    [(at(EIGHTEEN - 1), True), (at(EIGHTEEN), False), (at(EIGHTEEN, occurred=EIGHTEEN - 1), False)],
)
def test_an_own_half_that_came_at_majority_did_not_hold_the_day_before(clock: dict[str, int], held: bool) -> None:
    assert stands(standing(grant(SUBJECT, clock), grant(MUM, at(BEFORE)), ages=FOUND_OUT)) is held


@pytest.mark.parametrize("child_at", [88, 89])
def test_who_was_a_child_in_the_last_moment_before_majority_needed_a_consent_given_separately(
    child_at: int,
) -> None:
    ages = (said(AgeBand.CHILD, child_at), said(AgeBand.ADULT, 90, source=AgeSource.VERIFIED))
    own = grant(SUBJECT, at(89, offset=91), informed=True)
    separate = msgspec.structs.replace(own, expression=Expression.SEPARATE)
    assert not stands(standing(own, ages=ages, protects_minors=True, now=100))
    assert stands(standing(separate, ages=ages, protects_minors=True, now=100))


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"policy_version": 0, "valid_until": 60}, Reason.EXPIRED),
        ({"policy_version": 2}, Reason.RECONSENT_DUE),
        ({}, Reason.PENDING_GUARDIAN),
    ],
)
def test_of_what_a_half_lacks_and_the_half_that_is_missing_the_first_in_the_order_of_reasons_is_told(
    own: dict[str, Any], reason: Reason
) -> None:
    minor = (said(AgeBand.MINOR, 1),)
    assert standing(grant(SUBJECT, at(50), **own), ages=minor, now=100).reason is reason
