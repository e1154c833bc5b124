"""Decisions over time: versions, the end of the service, another controller, and a policy unlike the reference."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from unit.decision_worlds import second_version
from unit.story import (
    DOCUMENT,
    MINUTE,
    START,
    SUBJECT,
    ask,
    event_id,
    events_of,
    first_version,
    published,
    recorded,
    row_of,
)

from consentry.events import ControllerChanged, ServiceDiscontinued
from consentry.policy import Policies
from consentry.state.row import Circumstances, Invocation, Scope, SubjectState
from consentry.terms import Operation, Position, Reason, Status

CLINIC = (Path(__file__).parent / "cases" / "clinic-policy.yaml").read_text(encoding="utf-8")
EFFECTIVE = 1_767_830_400_000
"""2026-01-08T00:00:00Z"""
SECOND_EFFECTIVE = START + 1_000
GENDER = {"operation": "use", "purpose": "account.profile", "data": ["gender"]}
SEARCH = {"operation": "use", "purpose": "search.service", "data": ["search_log"]}


def granted(**more: Any) -> SubjectState:
    grant = {
        "purpose": "account.profile",
        "operations": ["use"],
        "data": ["gender"],
        "policy_version": 1,
        "expression": "expressed",
        "at": "PT0S",
        **more,
    }
    row = row_of(events_of([{"ConsentGiven": grant}]))
    assert row is not None
    return row


def discontinued(effective_at: int) -> Policies:
    return recorded(
        first_version(),
        ServiceDiscontinued(event_id=uuid4(), policy="newsfeed-app", occurred_at=0, effective_at=effective_at),
    )


def sold(effective_at: int, *, terms_kept: bool) -> Policies:
    return recorded(
        first_version(),
        ControllerChanged(
            event_id=uuid4(),
            policy="newsfeed-app",
            occurred_at=0,
            successor="other",
            terms_kept=terms_kept,
            effective_at=effective_at,
        ),
    )


def test_before_the_first_version_takes_effect_no_purpose_is_known() -> None:
    answer = ask(None, first_version(), SEARCH, EFFECTIVE - 1, 0)
    assert answer.reason is Reason.PURPOSE_UNKNOWN
    assert answer.clause == "P-1"
    assert answer.policy_version is None
    assert answer.expires_at == EFFECTIVE


def test_at_its_time_of_effect_a_version_is_in_force() -> None:
    answer = ask(None, first_version(), SEARCH, EFFECTIVE, 0)
    assert answer.reason is Reason.NECESSARY
    assert answer.policy_version == 1
    assert answer.expires_at is None


def test_before_the_second_version_takes_effect_the_first_is_in_force() -> None:
    answer = ask(granted(), second_version(), GENDER, SECOND_EFFECTIVE - 1, 0)
    assert answer.reason is Reason.CONSENT
    assert answer.policy_version == 1
    assert answer.expires_at == SECOND_EFFECTIVE


def test_a_grant_under_an_older_version_holds_where_nothing_of_its_cell_changed() -> None:
    answer = ask(granted(), second_version(), GENDER, SECOND_EFFECTIVE, 0)
    assert answer.reason is Reason.CONSENT
    assert answer.policy_version == 2


def test_a_necessity_of_both_versions_allows_who_came_before_the_second() -> None:
    assert ask(granted(), second_version(), SEARCH, SECOND_EFFECTIVE, 0).reason is Reason.NECESSARY


def test_who_has_no_row_goes_by_the_version_in_force() -> None:
    answer = ask(None, second_version(), SEARCH, SECOND_EFFECTIVE, 0)
    assert answer.reason is Reason.NECESSARY
    assert answer.policy_version == 2


def test_a_denial_under_a_second_version_keeps_its_own_reason() -> None:
    other = {**GENDER, "data": ["region"]}
    assert ask(granted(), second_version(), other, SECOND_EFFECTIVE, 0).reason is Reason.NO_CONSENT


def test_a_grant_under_a_version_not_yet_in_force_does_not_count_yet() -> None:
    row = granted(policy_version=2)
    assert ask(row, second_version(), GENDER, SECOND_EFFECTIVE - 1, 0).reason is Reason.RECONSENT_DUE


def test_until_the_service_ends_it_is_answered_and_the_end_is_named() -> None:
    answer = ask(granted(), discontinued(START + MINUTE), GENDER, START + MINUTE - 1, 0)
    assert answer.reason is Reason.CONSENT
    assert answer.expires_at == START + MINUTE


@pytest.mark.parametrize(("end", "expected"), [("PT30S", 30_000), ("PT2M", 60_000)])
def test_of_several_ends_the_first_is_named(end: str, expected: int) -> None:
    answer = ask(granted(valid_for=end), discontinued(START + MINUTE), GENDER, START, 0)
    assert answer.expires_at == START + expected


@pytest.mark.parametrize("request_", [GENDER, SEARCH])
def test_a_discontinued_service_allows_nothing(request_: dict[str, Any]) -> None:
    answer = ask(granted(), discontinued(START + MINUTE), request_, START + MINUTE, 0)
    assert answer.reason is Reason.SERVICE_DISCONTINUED
    assert answer.clause == "6.6"


def test_an_unknown_purpose_is_told_before_the_end_of_the_service() -> None:
    unknown = {**GENDER, "purpose": "no.such.purpose"}
    assert ask(None, discontinued(START), unknown, START, 0).reason is Reason.PURPOSE_UNKNOWN


def test_a_closed_account_is_told_before_the_end_of_the_service() -> None:
    closed = row_of(events_of([{"AccountClosed": {"identity_verified": True, "method": "call"}}]))
    assert ask(closed, discontinued(START), SEARCH, START, 0).reason is Reason.SUBJECT_CLOSED


def test_consent_given_before_another_controller_on_other_terms_is_due_again() -> None:
    policies = sold(START + MINUTE, terms_kept=False)
    before = ask(granted(), policies, GENDER, START + MINUTE - 1, 0)
    assert (before.reason, before.expires_at) == (Reason.CONSENT, START + MINUTE)
    assert ask(granted(), policies, GENDER, START + MINUTE, 0).reason is Reason.RECONSENT_DUE


def test_consent_given_to_the_new_controller_holds() -> None:
    row = granted(at="PT1M")
    assert ask(row, sold(START + MINUTE, terms_kept=False), GENDER, START + MINUTE, 0).reason is Reason.CONSENT


def test_a_clock_ahead_does_not_move_a_consent_behind_the_sale() -> None:
    row = granted(occurred="PT2M")
    answer = ask(row, sold(START + MINUTE, terms_kept=False), GENDER, START + MINUTE, 0)
    assert answer.reason is Reason.RECONSENT_DUE


def test_a_controller_that_keeps_the_terms_changes_nothing() -> None:
    answer = ask(granted(), sold(START + 1, terms_kept=True), GENDER, START + MINUTE, 0)
    assert (answer.reason, answer.expires_at) == (Reason.CONSENT, None)


def test_where_an_unknown_age_is_no_adults_only_what_protects_minors_is_allowed() -> None:
    policies = published(Policies(), DOCUMENT.replace("unknown_age: adult", "unknown_age: minor"))
    assert ask(None, policies, SEARCH, START, 0).reason is Reason.GUARDIAN_REQUIRED
    protecting = {"operation": "use", "purpose": "security.malware", "data": ["installed_apps"]}
    assert ask(None, policies, protecting, START, 0).reason is Reason.NECESSARY


def clinic() -> Policies:
    return published(Policies(), CLINIC, "3. Treatment\n\n4. Letters\n")


def test_another_policy_runs_by_its_own_words_and_clauses() -> None:
    treatment = {"operation": "collect", "purpose": "treatment", "data": ["name"]}
    answer = ask(None, clinic(), treatment, START, 1_000)
    assert (answer.reason, answer.clause) == (Reason.NECESSARY, "3")
    denied = ask(None, clinic(), {**treatment, "data": ["newsletter_topic"]}, START, 0)
    assert (denied.reason, denied.clause) == (Reason.NO_CONSENT, "7")


def test_another_policy_sets_its_own_bounds_of_freshness() -> None:
    treatment = {"operation": "collect", "purpose": "treatment", "data": ["name"]}
    assert ask(None, clinic(), treatment, START, 1_001).reason is Reason.STALE


def test_sensitive_data_of_a_necessity_need_consent() -> None:
    treatment = {"operation": "collect", "purpose": "treatment", "data": ["blood_group"]}
    assert ask(None, clinic(), treatment, START, 0).reason is Reason.NO_CONSENT


@pytest.mark.parametrize(
    ("expression", "reason"), [("expressed", Reason.SEPARATE_CONSENT_REQUIRED), ("separate", Reason.CONSENT)]
)
def test_a_separate_purpose_needs_a_consent_of_its_own(expression: str, reason: Reason) -> None:
    row = granted(purpose="study", data=["name"], expression=expression)
    study = {"operation": "use", "purpose": "study", "data": ["name"]}
    assert ask(row, clinic(), study, START, 0).reason is reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, Reason.IDENTIFIABLE_FORM),
        ({"form": "deidentified"}, Reason.NECESSARY),
        ({"form": "anonymised"}, Reason.NECESSARY),
        ({"form": "deidentified", "joined_with_identity": True}, Reason.IDENTIFIABLE_FORM),
    ],
)
def test_a_line_that_demands_a_form_demands_it_of_use_too(said: dict[str, Any], reason: Reason) -> None:
    research = {"operation": "use", "purpose": "research", "data": ["name"], **said}
    assert ask(None, clinic(), research, START, 0).reason is reason


def exempted(*, closed_at: int | None = None, erased_at: int | None = None) -> SubjectState:
    """A row with an exemption that outlives the account; made by hand, for a fold keeps none in what is erased."""
    return SubjectState(
        subject=SUBJECT,
        position=Position(1, 3, 1),
        closed_at=closed_at,
        erased_at=erased_at,
        circumstances=Circumstances(
            invocations=(
                Invocation(
                    event_id=bytes(16),
                    code="c",
                    legal_ref="act 5",
                    valid_until=START + MINUTE,
                    occurred_at=0,
                    recorded_at=0,
                    offset=1,
                    scope=Scope("", (Operation.STORE, Operation.USE), ("search_log",)),
                ),
            )
        ),
    )


STORE = {"operation": "store", "purpose": "search.service", "data": ["search_log"]}


def test_what_an_exemption_covers_may_still_be_stored_after_closure() -> None:
    answer = ask(exempted(closed_at=START), first_version(), STORE, START, 0)
    assert (answer.reason, answer.clause, answer.expires_at) == (Reason.EXEMPT, "1.9.c", START + MINUTE)
    assert ask(exempted(closed_at=START), first_version(), STORE, START + MINUTE, 0).reason is Reason.SUBJECT_CLOSED


def test_what_an_exemption_covers_may_still_be_stored_after_the_end_of_the_service() -> None:
    assert ask(exempted(), discontinued(START), STORE, START, 0).reason is Reason.EXEMPT
    assert ask(exempted(), discontinued(START), STORE, START + MINUTE, 0).reason is Reason.SERVICE_DISCONTINUED


def test_using_it_is_denied_after_closure() -> None:
    use = {**STORE, "operation": "use"}
    assert ask(exempted(closed_at=START), first_version(), use, START, 0).reason is Reason.SUBJECT_CLOSED


def test_erasure_knows_no_exemption() -> None:
    assert ask(exempted(erased_at=START), first_version(), STORE, START, 0).reason is Reason.SUBJECT_CLOSED


def _treated() -> SubjectState:
    grant = {"purpose": "treatment", "operations": ["use"], "data": ["name", "newsletter_topic"], "policy_version": 1}
    row = row_of(events_of([{"ConsentGiven": {**grant, "expression": "separate"}}]))
    assert row is not None
    return row


def test_the_last_of_several_asks_is_the_status() -> None:
    row = granted()
    asked = replace(row.acts[0], status=Status.REQUESTED, offset=1)
    deferred = replace(row.acts[0], status=Status.DEFERRED, offset=2)
    for acts in ((asked, deferred), (deferred, asked)):
        answer = ask(replace(row, acts=acts), first_version(), GENDER, START + MINUTE, 0)
        assert answer.status is Status.DEFERRED


def test_a_vetoed_necessity_does_not_end_the_search() -> None:
    treatment = {"operation": "use", "purpose": "treatment", "data": ["name"]}
    answer = ask(_treated(), clinic(), treatment, START + MINUTE, 5_000)
    assert (answer.reason, answer.evidence) == (Reason.CONSENT, (str(event_id(0)),))


def test_where_no_later_step_allows_the_first_veto_is_the_reason() -> None:
    treatment = {"operation": "collect", "purpose": "treatment", "data": ["name"]}
    assert ask(_treated(), clinic(), treatment, START + MINUTE, 5_000).reason is Reason.STALE


def test_an_allow_of_several_rests_on_its_most_demanding_part() -> None:
    treatment = {"operation": "use", "purpose": "treatment", "data": ["newsletter_topic", "name"]}
    answer = ask(_treated(), clinic(), treatment, START + MINUTE, 0)
    assert answer.reason is Reason.CONSENT
    assert [result.reason for result in answer.results] == [Reason.CONSENT, Reason.NECESSARY]
