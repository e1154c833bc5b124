"""GET /v1/policies/{former}..{version}: what revisions changed, for programs and for people."""

from functools import cache
from typing import Any
from uuid import UUID

import httpx
import pytest
from contract.in_memory import REFERENCE, WORDING, Node, pointers_of, reference_policy

from consentry.events import PolicyRevised, RecordedPolicyEvent
from consentry.policy import Policies, parse_policy
from consentry.terms import Position

SECOND = REFERENCE.with_name("reference-v2.yaml").read_text(encoding="utf-8")


def as_third(document: str) -> str:
    """The first version's terms again, as the third."""
    return document.replace("\nversion: 1\n", "\nversion: 3\n").replace(
        "\neffective_at: 2026-01-08", "\neffective_at: 2028-01-08"
    )


@cache
def revised() -> Policies:
    policies = reference_policy()
    for document in (SECOND, as_third(REFERENCE.read_text(encoding="utf-8"))):
        policy = parse_policy(document)
        event = PolicyRevised(
            event_id=UUID(int=policy.version),
            policy=policy.id,
            occurred_at=policy.effective_at,
            version=policy.version,
            effective_at=policy.effective_at,
            document=document,
            text=WORDING.read_text(encoding="utf-8"),
            text_hash="0" * 64,
        )
        recorded = RecordedPolicyEvent(Position(1, 0, policy.version), policy.effective_at, event)
        policies = policies.after(recorded)
    assert [revision.version for revision in policies.revisions] == [1, 2, 3]
    return policies


async def compared(versions: str, **headers: str) -> httpx.Response:
    return await Node(policies=revised()).send("GET", f"/v1/policies/{versions}", headers=headers)


async def differences(versions: str) -> dict[str, Any]:
    answer = await compared(versions)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_one_revision_is_told_change_by_change() -> None:
    found = await differences("1..2")
    (step,) = found["steps"]
    assert (found["former"], found["version"], step["former"], step["version"]) == (1, 2, 1, 2)
    assert (found["reduces"], found["material_cells"]) == (step["reduces"], step["material_cells"])
    assert found["material_cells"] == len(revised().changes[1].material) > 0
    in_the_fold = [(change.what, change.change, change.reduces) for change in revised().changes[1].changes]
    assert [(each["what"], each["class"], each["reduces"]) for each in step["changes"]] == in_the_fold


async def test_what_was_changed_and_changed_back_is_told_all_the_same() -> None:
    """A consent given before a material change is due again, whatever came after."""
    there, back, both = [await differences(versions) for versions in ("1..2", "2..3", "1..3")]
    assert both["steps"] == there["steps"] + back["steps"]
    assert both["material_cells"] >= max(there["material_cells"], back["material_cells"])
    assert both["reduces"] is True


async def test_people_get_it_as_text() -> None:
    answer = await compared("1..2", accept="text/plain")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.splitlines()[0] == "newsfeed-app: version 2 beside version 1"
    assert "asks again" in answer.text


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/plain", True),
        ("TEXT/PLAIN; charset=utf-8", True),
        ("text/plain;q=0.9, application/json;q=0.5", True),
        ("application/json;q=0.9, text/plain", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/json, text/plain", False),
        ("text/plain;q=0", False),
        ("text/plain;q=2", False),
        ("text/html", False),
    ],
)
async def test_who_would_rather_have_text_gets_text_and_everybody_else_json(accept: str, text: bool) -> None:
    answer = await compared("1..2", accept=accept)
    assert answer.headers["content-type"].startswith("text/plain" if text else "application/json")


@pytest.mark.parametrize(
    ("versions", "status", "code"),
    [
        ("1..4", 404, "NOT_FOUND"),
        ("0..1", 404, "NOT_FOUND"),
        ("2..1", 400, "MALFORMED"),
        ("1..1", 400, "MALFORMED"),
        ("1..2..3", 400, "MALFORMED"),
        ("one..two", 400, "MALFORMED"),
        ("-1..2", 404, "NOT_FOUND"),
        ("..2", 400, "MALFORMED"),
        ("9" * 5_000 + "..2", 400, "MALFORMED"),
    ],
)
async def test_versions_that_cannot_be_compared_are_refused(versions: str, status: int, code: str) -> None:
    answer = await compared(versions)
    pointers_of(answer)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
