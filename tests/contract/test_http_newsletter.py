"""The tea shop's policy behind the HTTP API: its own kinds of subject, and a gateway's words for them."""

from pathlib import Path
from typing import Any

import httpx
from contract.in_memory import NOW, Node, reference_policy

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
DOCUMENT = (EXAMPLES / "newsletter-v1.yaml").read_text(encoding="utf-8")


def shop() -> Node:
    return Node(policies=reference_policy(DOCUMENT))


def order(subject: str = "kunde:anna", purpose: str = "rundbrief.versand") -> dict[str, Any]:
    actor = {"role": "subject", "id": subject}
    given = {"purpose": purpose, "policy_version": 1, "expression": "expressed"}
    return {"type": "ConsentGiven", "subject": subject, "occurred_at": NOW, "actor": actor, "channel": "web", **given}


async def ask(node: Node, kind: str, action: str, resource: str = "purpose") -> tuple[bool, str, str]:
    answer = await node.ask(
        {
            "subject": {"type": kind, "id": "anna"},
            "action": {"name": action},
            "resource": {"type": resource, "id": "rundbrief.versand"},
            "context": {"data": "email"},
        }
    )
    body = answer.json()
    return body["decision"], body["context"]["reason"], body["context"]["clause"]


def fields(refused: httpx.Response) -> list[str]:
    return [error["pointer"] for error in refused.json()["errors"]]


async def test_its_customers_are_asked_about_in_its_own_words_and_in_a_gateways() -> None:
    node = shop()
    assert await ask(node, "kunde", "use") == (False, "NO_CONSENT", "P-1")
    assert (await node.record(order())).status_code == 201
    assert await ask(node, "kunde", "use") == (True, "CONSENT", "3.a")
    assert await ask(node, "user", "send", "record") == (True, "CONSENT", "3.a")
    assert await ask(node, "customer", "read") == (True, "CONSENT", "3.a")


async def test_what_another_policy_calls_a_subject_or_a_purpose_is_refused() -> None:
    node = shop()
    assert fields(await node.record(order(subject="account:anna"))) == ["/subject"]
    assert fields(await node.record(order(purpose="account.profile"))) == ["/purpose"]
