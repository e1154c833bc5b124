"""`consentry service`, `controller` and `incident`: what they ask for before they write, and how it can be read."""

from typing import Any
from uuid import uuid4

import pytest
from contract.commanding import NOWHERE, consentry
from contract.in_memory import NOW, Node, reference_policy

from consentry.events import (
    AnyPolicyEvent,
    ControllerChanged,
    IncidentDeclared,
    RecordedPolicyEvent,
    ServiceDiscontinued,
)
from consentry.terms import Position
from streams.cli.frame import Exit

LATER = "2099-01-01T00:00:00Z"
DISCONTINUE = ("service", "discontinue", "--effective-at", LATER)
CHANGE = ("controller", "change", "--successor", "newco", "--effective-at", LATER, "--terms")
DECLARE = ("incident", "declare", "--data", "phone", "--from", "2026-01-01", "--to", "2026-01-02")


@pytest.mark.parametrize("arguments", [DISCONTINUE, (*CHANGE, "not-kept")])
def test_what_ends_what_people_agreed_to_needs_a_yes(arguments: tuple[str, ...]) -> None:
    result = consentry(*arguments, BOOTSTRAP_SERVERS=NOWHERE)
    assert result.exit_code == Exit.WRONG_USE
    assert "from 2099-01-01T00:00:00.000Z on every" in result.stderr
    assert "--yes" in result.stderr


@pytest.mark.parametrize(
    "arguments", [(*DISCONTINUE, "--yes"), (*CHANGE, "not-kept", "--yes"), (*CHANGE, "kept"), DECLARE]
)
def test_what_is_meant_or_ends_nothing_goes_to_kafka(arguments: tuple[str, ...]) -> None:
    result = consentry(*arguments, BOOTSTRAP_SERVERS=NOWHERE)
    assert result.exit_code == Exit.UNKNOWN
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("service", "discontinue", "--yes"),
        ("service", "discontinue", "--yes", "--effective-at", "soon"),
        (*CHANGE, "perhaps"),
        CHANGE[:-1],
        DECLARE[:2] + DECLARE[4:],
        DECLARE[:-2],
    ],
)
def test_what_is_not_said_is_not_guessed(arguments: tuple[str, ...]) -> None:
    assert consentry(*arguments, BOOTSTRAP_SERVERS=NOWHERE).exit_code == Exit.WRONG_USE


async def test_what_was_declared_can_be_read_by_whoever_may_read_the_policy() -> None:
    envelope: dict[str, Any] = {"event_id": uuid4(), "policy": "newsfeed-app", "occurred_at": NOW, "producer": "tests"}
    said: tuple[AnyPolicyEvent, ...] = (
        IncidentDeclared(**envelope, data=("phone",), from_at=NOW - 2, to_at=NOW - 1, reason="a backup"),
        ControllerChanged(**envelope, successor="newco", terms_kept=True, effective_at=NOW + 1),
        ServiceDiscontinued(**envelope, effective_at=NOW + 2),
    )
    policies = reference_policy()
    for offset, event in enumerate(said, start=2):
        policies = policies.after(RecordedPolicyEvent(Position(1, 0, offset), NOW, event))
    found = (await Node(policies=policies).send("GET", "/v1/policies")).json()
    assert found["discontinued_at"] == NOW + 2
    assert [(one["position"], one["declared"]["type"]) for one in found["declarations"]] == [
        ("e1.p0.o2", "IncidentDeclared"),
        ("e1.p0.o3", "ControllerChanged"),
        ("e1.p0.o4", "ServiceDiscontinued"),
    ]
    assert found["declarations"][0]["declared"]["data"] == ["phone"]
