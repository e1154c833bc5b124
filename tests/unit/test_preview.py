"""Whom a revision would concern is said before it is published, and is what its publication then brings about."""

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from unit.decision_worlds import Dice, many, seeds
from unit.story import DOCUMENT, PROJECT, START, events_of, first_version, published, row_of

from consentry.decision.age import age_of
from consentry.decision.consent import standing_of
from consentry.decision.grants import Terms
from consentry.decision.preview import Concern, Proposal, concern_of
from consentry.decision.versions import former_version
from consentry.policy import LEAVING, Policies, parse_policy
from consentry.state.row import SubjectState
from consentry.terms import Reason, Status

SECOND = (PROJECT / "examples/policies/reference-v2.yaml").read_text(encoding="utf-8")
SECOND_TEXT = (PROJECT / "examples/policies/privacy-policy-v2.txt").read_text(encoding="utf-8")
ANNOUNCED = 1_780_272_000_000
"""2026-06-01T00:00:00Z: what the second version says"""
PROPOSAL = Proposal.of(parse_policy(SECOND), first_version())
NEXT = DOCUMENT.replace("version: 1\n", "version: 2\n", 1).replace(
    "effective_at: 2026-01-08", "effective_at: 2026-07-01"
)
NOW = START + 3_600_000
PERSONALISED = {
    "purpose": "recommendation.personalised",
    "operations": ["use"],
    "data": ["behaviour"],
    "recipients": [],
}
OTHER = {"purpose": "recommendation.nearby", "operations": ["use"], "data": ["base_station"], "recipients": []}
SEARCH = {"purpose": "search.service", "operations": ["use"], "data": ["search_keywords"], "recipients": []}


def gives(cells: dict[str, Any] = PERSONALISED, **fields: Any) -> dict[str, dict[str, Any]]:
    return {"ConsentGiven": {"policy_version": 1, "expression": "separate", **cells, **fields}}


def row(*events: dict[str, dict[str, Any]]) -> SubjectState:
    found = row_of(events_of(list(events)))
    assert found is not None
    return found


def with_change(old: str, new: str) -> Proposal:
    assert NEXT.count(old) == 1
    return Proposal.of(parse_policy(NEXT.replace(old, new)), first_version())


@cache
def once_published() -> Policies:
    return published(first_version(), SECOND, SECOND_TEXT, now=ANNOUNCED)


WITHDRAWN = {"ConsentWithdrawn": {"purpose": "recommendation.personalised"}}
CLOSED = {"AccountClosed": {"identity_verified": True, "method": "mail"}}
MUM = {"role": "guardian", "id": "account:mum"}
WARD = [
    {"AgeAsserted": {"source": "declared", "age_band": "child"}},
    {"GuardianLinked": {"guardian": "account:mum", "relation": "mother"}},
    {"GuardianVerified": {"guardian": "account:mum", "method": "id card"}},
]


def by_guardian(**fields: Any) -> dict[str, dict[str, Any]]:
    return gives(actor=MUM, **fields)


MINOR = {"AgeAsserted": {"source": "declared", "age_band": "minor"}}


@pytest.mark.parametrize(
    ("events", "asked_again"),
    [
        ([gives()], ("recommendation.personalised",)),
        ([gives(), gives(OTHER)], ("recommendation.personalised",)),
        ([gives(OTHER), gives()], ("recommendation.personalised",)),
        ([gives(OTHER)], ()),
        ([gives(), WITHDRAWN], ()),
        ([WITHDRAWN], ()),
        ([{"ConsentRequested": {"policy_version": 1, **PERSONALISED}}], ()),
        ([gives(valid_for="PT59M")], ()),  # over now
        ([gives(valid_for="PT59M1S")], ("recommendation.personalised",)),
        ([gives(expression="implied")], ()),
        ([MINOR, gives()], ()),
        ([*WARD, by_guardian(expression="separate")], ("recommendation.personalised",)),
        ([*WARD, by_guardian(expression="expressed")], ()),  # a child's consent is always given separately
        ([gives(), CLOSED], ()),
    ],
)
def test_who_holds_a_consent_that_changes_is_asked_again(
    events: list[dict[str, dict[str, Any]]], asked_again: tuple[str, ...]
) -> None:
    assert concern_of(row(*events), PROPOSAL, NOW).asked_again == asked_again


def test_who_needs_no_consent_is_asked_for_none_again() -> None:
    """A grant where necessity is enough carries nothing."""
    material = Proposal.of(parse_policy(NEXT + '\nclause_changes: {"1.4": material}\n'), first_version())
    assert [cell for cell in material.changes.material if cell.purpose == "search.service"]
    assert concern_of(row(gives(SEARCH)), material, NOW) == Concern()


@pytest.mark.parametrize(
    ("events", "must_accept", "by_guardian"),
    [
        ([gives(OTHER)], True, False),
        ([WITHDRAWN], True, False),
        ([MINOR], True, True),
        ([gives(), CLOSED], False, False),
    ],
)
def test_who_came_before_a_reduction_would_have_to_accept_it(
    events: list[dict[str, dict[str, Any]]], must_accept: bool, by_guardian: bool
) -> None:
    concern = concern_of(row(*events), PROPOSAL, NOW)
    assert (concern.must_accept, concern.by_guardian) == (must_accept, by_guardian)


def test_who_has_not_acted_before_it_takes_effect_comes_under_it_from_the_start() -> None:
    known = row(gives(OTHER))
    effective_at = PROPOSAL.policy.effective_at
    for first_act_at, must_accept in ((None, False), (effective_at, False), (effective_at - 1, True)):
        acted = msgspec.structs.replace(known, first_act_at=first_act_at)
        assert concern_of(acted, PROPOSAL, NOW).must_accept is must_accept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("optional: [behaviour, posted_content]", "optional: [behaviour]"),
        ("notice_period: P7D", "notice_period: P8D"),
    ],
)
def test_what_narrows_concerns_nobody(old: str, new: str) -> None:
    assert concern_of(row(gives(), gives(OTHER)), with_change(old, new), NOW) == Concern()


def test_a_reduction_of_another_kind_asks_for_acceptance_alone() -> None:
    concern = concern_of(row(gives()), with_change("notice_period: P7D", "notice_period: P6D"), NOW)
    assert concern == Concern(must_accept=True)


@many
@given(seeds)
def test_what_was_foretold_is_what_publication_brings_about(seed: int) -> None:
    subject = Dice(seed).row()
    now = START + 10_000
    concern = concern_of(subject, PROPOSAL, now)
    if subject.closed_at is not None or subject.erased_at is not None:
        assert concern == Concern()
        return
    after, former, policy = once_published(), PROPOSAL.former, PROPOSAL.policy
    age = age_of(subject.circumstances, former)
    is_child = age is not None and age.now(now) == "child"
    due: set[str] = set()
    for cell in {cell for act in subject.acts if act.status is Status.GIVEN for cell in act.block.cells()}:
        line = former.purposes[cell.purpose]
        if line.basis == "necessity" and cell.data in line.without_consent:
            continue
        separately = cell.data in line.only_separately or cell.operation in LEAVING or is_child
        versions = [
            standing_of(subject, Terms(cell, version, separately, line.protects_minors, after, age), now).reason
            for version in (former.version, policy.version)
        ]
        if versions == [Reason.CONSENT, Reason.RECONSENT_DUE]:
            due.add(cell.purpose)
    assert set(concern.asked_again) == due
    accepted = subject.circumstances is not None and any(
        each.policy_version >= policy.version for each in subject.circumstances.acceptances
    )
    if not accepted:
        assert concern.must_accept is (former_version(subject, after, policy.effective_at) is not None)
