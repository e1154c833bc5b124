"""What may be declared to everybody: nothing that rewrites what was answered, and the same only once."""

from typing import Any
from uuid import uuid4

import pytest
from unit.story import first_version, recorded

from consentry.errors import InvalidPolicy
from consentry.events import ControllerChanged, IncidentDeclared, ServiceDiscontinued
from consentry.policy import AnyDeclaration, Policies, check_declaration, of_this_log, standing_declaration

NOW = 1_790_000_000_000
HOUR_MS = 3_600_000


def envelope() -> dict[str, Any]:
    return {"event_id": uuid4(), "policy": "newsfeed-app", "occurred_at": NOW, "producer": "tests"}


def discontinued(effective_at: int = NOW + HOUR_MS) -> ServiceDiscontinued:
    return ServiceDiscontinued(**envelope(), effective_at=effective_at)


def changed(**fields: Any) -> ControllerChanged:
    said = {"successor": "newco", "terms_kept": False, "effective_at": NOW + HOUR_MS, **fields}
    return ControllerChanged(**envelope(), **said)


def incident(**fields: Any) -> IncidentDeclared:
    return IncidentDeclared(**envelope(), **{"data": ("phone",), "from_at": NOW - HOUR_MS, "to_at": NOW, **fields})


@pytest.mark.parametrize(
    "declaration",
    [
        discontinued(),
        discontinued(NOW),
        changed(),
        changed(effective_at=NOW),
        # it ends no consent, so it rewrites nothing
        changed(terms_kept=True, effective_at=NOW - HOUR_MS),
        incident(),
        incident(reason="r" * 512),
    ],
)
def test_what_rewrites_nothing_may_be_declared(declaration: AnyDeclaration) -> None:
    check_declaration(declaration, first_version(), NOW)


@pytest.mark.parametrize(
    ("declaration", "where", "says"),
    [
        (discontinued(NOW - 1), "effective_at", "1 ms ago, which rewrites history: answers that allowed"),
        (changed(effective_at=NOW - 1), "effective_at", "1 ms ago, which rewrites history: consent that allowed"),
        (changed(successor=" "), "successor", "empty"),
        (changed(successor="n" * 129), "successor", "too long"),
        (incident(data=()), "data", "no data are named"),
        (incident(data=("phone", "aura")), "data", "aura: no version of the policy names this"),
        (incident(from_at=NOW), "to", "ends no later than it begins"),
        (incident(to_at=NOW + 1), "to", "1 ms from now"),
        (incident(reason="r" * 513), "reason", "too long"),
    ],
)
def test_what_may_not_be_declared_is_refused_with_its_field_and_why(
    declaration: AnyDeclaration, where: str, says: str
) -> None:
    with pytest.raises(InvalidPolicy, match=says) as caught:
        check_declaration(declaration, first_version(), NOW)
    assert caught.value.where == where
    assert caught.value.remedy


def test_the_end_of_a_service_is_never_put_off() -> None:
    ending = recorded(first_version(), discontinued(NOW + HOUR_MS))
    check_declaration(discontinued(NOW + HOUR_MS - 1), ending, NOW)
    for later in (NOW + HOUR_MS, NOW + HOUR_MS + 1):
        with pytest.raises(InvalidPolicy, match="and the earliest end counts"):
            check_declaration(discontinued(later), ending, NOW)


@pytest.mark.parametrize("make", [discontinued, changed, incident])
def test_the_same_is_declared_once_whoever_says_it_and_when(make: Any) -> None:
    first = make()
    policies = recorded(first_version(), first)
    standing = standing_declaration(make(), policies)
    assert standing is not None
    assert standing.event is first
    assert standing.position == policies.position


@pytest.mark.parametrize(
    ("said", "other"),
    [
        (discontinued(), discontinued(NOW + 1)),
        (changed(), changed(terms_kept=True)),
        (changed(), changed(successor="another")),
        (incident(), incident(from_at=NOW - 1)),
        (incident(), discontinued()),
    ],
)
def test_what_says_something_else_is_another_declaration(said: AnyDeclaration, other: AnyDeclaration) -> None:
    assert standing_declaration(other, recorded(first_version(), said)) is None


def test_a_declaration_concerns_the_policy_of_its_log() -> None:
    ending = ServiceDiscontinued(event_id=uuid4(), policy="", occurred_at=NOW, effective_at=NOW)
    assert of_this_log(ending, first_version()).policy == "newsfeed-app"
    with pytest.raises(InvalidPolicy, match="no policy is published"):
        of_this_log(ending, Policies())


def test_each_declaration_is_kept_with_its_place_in_the_log() -> None:
    policies = first_version()
    said: list[AnyDeclaration] = [discontinued(), changed(), incident(), changed(terms_kept=True)]
    for declaration in said:
        policies = recorded(policies, declaration)
    assert [each.event for each in policies.declared] == said
    assert [each.position.offset for each in policies.declared] == [2, 3, 4, 5]
