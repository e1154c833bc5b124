"""What a review proved wrong once, and what is ruled where the contract leaves room. Told to fold and decide."""

from typing import Any

import pytest
from unit.story import DOCUMENT, START, ask, events_of, first_version, published, row_of

from consentry.policy import Policies
from consentry.terms import Reason

MUM = {"role": "guardian", "id": "account:mum"}
STAFF = {"role": "controller", "id": "olga"}
GENDER = {"operation": "use", "purpose": "account.profile", "data": ["gender"]}
PUSH = {"operation": "use", "purpose": "push.personalised", "data": ["behaviour"]}
LINKED: list[dict[str, Any]] = [{"GuardianLinked": {"guardian": "account:mum", "relation": "mother", "actor": MUM}}]
VERIFIED: list[dict[str, Any]] = [
    {"GuardianVerified": {"guardian": "account:mum", "method": "id", "actor": STAFF}},
    {"PolicyAccepted": {"policy_version": 1, "actor": MUM}},
]
BORN_1990 = {"AgeAsserted": {"source": "verified", "birth_date": "1990-01-01", "actor": STAFF}}


def given(question: dict[str, Any], **more: Any) -> dict[str, Any]:
    cells = {"purpose": question["purpose"], "operations": [question["operation"]], "data": question["data"]}
    return {"ConsentGiven": {**cells, "policy_version": 1, "expression": "separate", **more}}


def said(band: str, source: str, **more: Any) -> dict[str, Any]:
    return {"AgeAsserted": {"age_band": band, "source": source, "actor": STAFF, **more}}


def withdrawn(purpose: str) -> dict[str, Any]:
    return {"ConsentWithdrawn": {"purpose": purpose, "actor": MUM}}


def reason(history: list[dict[str, Any]], question: dict[str, Any], policies: Policies | None = None) -> Reason:
    events = events_of(history)
    return ask(row_of(events), policies or first_version(), question, events[-1].recorded_at + 1_000, 0).reason


@pytest.mark.parametrize("more", [0, 63, 70])
def test_a_guardians_withdrawal_is_not_lost_to_many_others(more: int) -> None:
    ward = [*LINKED, withdrawn("account.profile"), *VERIFIED]
    history = [given(GENDER), *ward, given(GENDER), given(GENDER, actor=MUM)]
    assert reason(history, GENDER) is Reason.CONSENT
    history += [withdrawn("account.profile"), *(withdrawn(f"other.p{number}") for number in range(more))]
    assert reason(history, GENDER) is Reason.GUARDIAN_REQUIRED


def test_a_guardians_withdrawal_that_counted_is_not_lost_to_later_ones_that_do_not() -> None:
    history = [given(GENDER), *LINKED, *VERIFIED, withdrawn("account.profile"), BORN_1990]
    assert reason([*history, *[withdrawn("account.profile")] * 70], GENDER) is Reason.WITHDRAWN


@pytest.mark.parametrize("more", [1, 3, 9])
def test_a_guardians_opt_out_that_counted_is_not_lost_to_later_ones_that_do_not(more: int) -> None:
    objection = {"PreferenceSet": {"purpose": "push.personalised", "opted_out": True, "actor": MUM}}
    history = [*LINKED, objection, *VERIFIED, objection, BORN_1990, *[objection] * more, given(PUSH)]
    assert reason(history, PUSH) is Reason.OPTED_OUT


def test_who_is_of_age_lifts_what_was_made_to_count_whatever_the_ages_say() -> None:
    objection = {"PreferenceSet": {"purpose": "push.personalised", "opted_out": True, "actor": MUM}}
    ages = [said(band, "inferred") for _ in range(16) for band in ("minor", "adult")]
    history = [*LINKED, objection, *ages, said("child", "verified"), BORN_1990]
    lifted = {"PreferenceSet": {"purpose": "push.personalised", "opted_out": False}}
    assert reason([*history, given(PUSH)], PUSH) is Reason.OPTED_OUT
    assert reason([*history, lifted, given(PUSH)], PUSH) is Reason.CONSENT


def test_no_repetition_of_an_age_moves_the_day_on_which_it_changed() -> None:
    history = [*LINKED, *VERIFIED, said("child", "declared"), {"PolicyAccepted": {"policy_version": 1, "actor": MUM}}]
    history += [said("adult", "verified", occurred="PT1M"), said("adult", "verified"), given(GENDER, actor=MUM)]
    assert reason([*history, *[said("adult", "verified")] * 40], GENDER) is Reason.NO_CONSENT


def test_however_many_ages_were_said_one_that_lowers_it_counts() -> None:
    exempt = {"operations": ["use"], "data": ["gender"], "legal_ref": "act 5", "approver": "bob", "actor": STAFF}
    history = [{"ExemptionInvoked": {"code": "g", "valid_until": START * 2, **exempt}}]
    history += [said(band, "verified") for _ in range(16) for band in ("minor", "adult")]
    assert reason(history, GENDER) is Reason.EXEMPT
    history.append(said("child", "verified"))
    assert reason(history, GENDER) is Reason.GUARDIAN_REQUIRED
    assert reason([*history, said("adult", "verified")], GENDER) is Reason.EXEMPT


def test_what_an_age_voided_is_not_there_to_be_reaffirmed() -> None:
    lowered = {"AgeAsserted": {"source": "verified", "birth_date": "2010-06-01", "actor": STAFF}}
    cells = {"purpose": "account.profile", "operations": ["use"], "data": ["gender"]}
    history = [given(GENDER), lowered, *LINKED, *VERIFIED, given(GENDER, actor=MUM)]
    history.append({"ConsentReaffirmed": {**cells, "policy_version": 1}})
    assert reason(history, GENDER) is Reason.PENDING_SUBJECT


def test_a_childs_refusal_is_not_ended_by_a_grant_that_an_age_voided() -> None:
    history = [{"ConsentRefused": {"purpose": "account.profile"}}, given(GENDER), said("child", "verified")]
    assert reason([*history, *LINKED, *VERIFIED, given(GENDER, actor=MUM)], GENDER) is Reason.REFUSED


@pytest.mark.parametrize("before", [[], [said("child", "inferred")], [said("minor", "inferred")]])
def test_a_ward_does_not_declare_itself_of_age(before: list[dict[str, Any]]) -> None:
    declared = {"AgeAsserted": {"source": "declared", "birth_date": "1990-01-01"}}
    assert reason([*before, *LINKED, *VERIFIED, declared, given(GENDER)], GENDER) is Reason.PENDING_GUARDIAN


@pytest.mark.parametrize("before", [[], [said("child", "inferred")]])
def test_an_age_is_raised_only_by_who_spoke_after_all_that_said_less(before: list[dict[str, Any]]) -> None:
    late = [said("minor", "inferred", at="PT30M"), said("adult", "verified", at="PT40M", occurred="PT29M")]
    assert reason([*before, *late, given(GENDER)], GENDER) is Reason.GUARDIAN_REQUIRED


@pytest.mark.parametrize("operation", ["share", "transfer", "disclose", "export"])
def test_necessity_lets_nothing_leave_to_nobody_named(operation: str) -> None:
    document = DOCUMENT.replace(
        '{clause: "1.4", basis: necessity, data', f'{{clause: "1.4", basis: necessity, operations: [{operation}], data'
    )
    leaving = {"operation": operation, "purpose": "search.service", "data": ["search_log"]}
    answer = ask(None, published(Policies(), document), {**leaving, "transfer_mechanism": "certification"}, START, 0)
    assert answer.reason is Reason.NO_CONSENT


def test_a_new_cell_of_data_that_can_be_made_anonymous_needs_acceptance() -> None:
    second = DOCUMENT.replace("third_party: [statco, softco]", "third_party: [statco, softco, newco]")
    second = second.replace("version: 1\n", "version: 2\n", 1).replace("2026-01-08T00:00:00Z", "2026-01-20T00:00:00Z")
    policies = published(first_version(), second, now=START)
    assert policies.changes[-1].reduces
    asked = {"operation": "share", "purpose": "partner.statistics", "data": ["crowd_profile"], "recipient": "newco"}
    asked |= {"form": "anonymised", "joined_with_identity": False}
    row = row_of(events_of([{"PreferenceSet": {"purpose": "push.personalised", "opted_out": True}}]))
    later = START + 30 * 86_400_000
    assert ask(row, policies, asked, later, 0).reason is Reason.RECIPIENT_NOT_COVERED
    assert ask(None, policies, asked, later, 0).reason is Reason.NOT_PERSONAL_DATA
