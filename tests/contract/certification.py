"""The certification scenario of OpenID AuthZEN 1.0: what it asks, and what its fixture has agreed to."""

from pathlib import Path
from typing import Any

POLICY = Path(__file__).parents[2] / "examples" / "policies" / "certification-v1.yaml"
WORDING = POLICY.with_name("certification.txt")


def asked(subject: str, action: str, resource: str = "record-1", **more: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "record", "id": resource},
        **more,
    }


# Rules 1 to 4 of its fixture: whom the harness knows the answer for.
DECIDED = (
    ("alice", "read", True),
    ("alice", "write", True),
    ("bob", "read", True),
    ("bob", "write", False),
)


def agreements(at: int) -> list[dict[str, Any]]:
    """alice may read and write record-1, bob may read it only."""
    return [_agreed("alice", at, ["use", "store"]), _agreed("bob", at, ["use"])]


def _agreed(name: str, at: int, operations: list[str]) -> dict[str, Any]:
    subject = f"account:{name}"
    return {
        "type": "ConsentGiven",
        "subject": subject,
        "actor": {"role": "subject", "id": subject},
        "channel": "web",
        "occurred_at": at,
        "purpose": "record-1",
        "operations": operations,
        "policy_version": 1,
        "expression": "expressed",
    }
