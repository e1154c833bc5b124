"""The second version of the reference policy does what its remarks say, to people who came before it and after."""

from functools import cache
from typing import Any

import pytest
from unit.story import PROJECT, TEXT, ask, events_of, first_version, published, row_of

from consentry.policy import Policies
from consentry.terms import Reason

EXAMPLES = PROJECT / "examples" / "policies"
DOCUMENT = (EXAMPLES / "reference-v2.yaml").read_text(encoding="utf-8")
SECOND_TEXT = (EXAMPLES / "privacy-policy-v2.txt").read_text(encoding="utf-8")
ANNOUNCED = 1_780_272_000_000
"""2026-06-01"""
EFFECTIVE = 1_781_481_600_000
"""2026-06-15"""
LATER = "P200D"
"""after the start of a story (2026-01-09), and after the second version took effect"""
RECOMMENDATION = {"operation": "use", "purpose": "recommendation.personalised", "data": ["behaviour"]}
MODEL = {"operation": "use", "purpose": "network.playback", "data": ["hardware_model"]}


@cache
def both() -> Policies:
    return published(first_version(), DOCUMENT, SECOND_TEXT, now=ANNOUNCED)


def answer(given: list[dict[str, Any]], question: dict[str, Any], now: int = EFFECTIVE + 86_400_000 * 30) -> Reason:
    return ask(row_of(events_of(given)), both(), question, now, 0).reason


def grant(purpose: str, version: int = 1, **fields: Any) -> dict[str, Any]:
    return {"ConsentGiven": {"purpose": purpose, "policy_version": version, "expression": "separate", **fields}}


def recommended(version: int = 1, **fields: Any) -> dict[str, Any]:
    return grant("recommendation.personalised", version, operations=["use"], data=["behaviour"], **fields)


def shared(recipient: str, version: int = 1) -> dict[str, Any]:
    return grant("partner.statistics", version, operations=["share"], data=["crowd_profile"], recipients=[recipient])


def sharing(recipient: str) -> dict[str, Any]:
    asked = {"operation": "share", "purpose": "partner.statistics", "data": ["crowd_profile"]}
    return {**asked, "recipient": recipient, "form": "deidentified"}


def test_it_is_refused_without_the_notice_that_the_first_promises() -> None:
    assert both().revisions[1].effective_at == EFFECTIVE
    assert EFFECTIVE - ANNOUNCED >= 7 * 86_400_000
    assert TEXT != SECOND_TEXT


def test_consent_to_what_changed_is_due_again_from_its_effect_on() -> None:
    moments = [EFFECTIVE - 1, EFFECTIVE]
    assert [answer([recommended()], RECOMMENDATION, at) for at in moments] == [Reason.CONSENT, Reason.RECONSENT_DUE]
    assert answer([recommended(), recommended(2, at=LATER)], RECOMMENDATION) is Reason.CONSENT


def test_consent_to_share_stays_and_the_new_recipient_has_none() -> None:
    accepted = {"PolicyAccepted": {"policy_version": 2, "at": LATER}}
    assert answer([shared("statco")], sharing("statco")) is Reason.CONSENT
    assert answer([shared("statco")], sharing("trendlab")) is Reason.RECIPIENT_NOT_COVERED  # by the first version
    assert answer([shared("statco"), accepted], sharing("trendlab")) is Reason.NO_CONSENT
    assert answer([accepted, shared("trendlab", 2)], sharing("trendlab")) is Reason.CONSENT


def test_a_clause_in_plainer_words_touches_nothing() -> None:
    search = {"operation": "use", "purpose": "search.service", "data": ["search_keywords"]}
    assert answer([recommended()], search) is Reason.NECESSARY


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([recommended()], Reason.DATA_NOT_COVERED),
        ([recommended(), {"PolicyAccepted": {"policy_version": 1, "at": LATER}}], Reason.DATA_NOT_COVERED),
        ([recommended(), {"PolicyAccepted": {"policy_version": 2, "at": LATER}}], Reason.NECESSARY),
        ([recommended(2, at=LATER)], Reason.NECESSARY),
        ([], Reason.NECESSARY),
    ],
    ids=["came before", "accepted the first", "accepted the second", "came after", "never seen"],
)
def test_the_right_that_it_reduces_is_kept_until_it_is_accepted(given: list[dict[str, Any]], reason: Reason) -> None:
    assert answer(given, MODEL) is reason
    network = {**MODEL, "data": ["network_status"]}
    assert answer(given, network) is Reason.NECESSARY
