"""Whatever is sent, the node answers it, never with a fault of its own, and allows nothing by accident."""

import asyncio
import copy
import json
from typing import Any

import httpx
from contract.in_memory import Node, grant, question
from hypothesis import given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "subject",
    "action",
    "resource",
    "context",
    "type",
    "id",
    "name",
    "data",
    "active",
    "form",
    "min_position",
    "at",
]
EVENT_FIELDS = [
    "type", "subject", "actor", "channel", "occurred_at", "sent_at", "event_id", "purpose", "operations", "data",
    "recipients", "policy_version", "expression", "notice", "valid_until", "expected_position", "evidence", "producer",
    "reason", "scene", "opted_out", "permission", "state", "birth_date", "age_band", "source", "guardian", "role", "id",
]  # fmt: skip
KINDS = [
    "ConsentGiven",
    "ConsentWithdrawn",
    "PreferenceSet",
    "PermissionObserved",
    "AgeAsserted",
    "AccountClosed",
    "ConsentRefused",
]


NODE = Node()


def sent(node: Node, path: str, body: bytes) -> httpx.Response:
    return asyncio.run(node.send("POST", path, content=body, headers={"content-type": "application/json"}))


def changed(body: dict[str, Any], changes: list[tuple[str, Any]]) -> dict[str, Any]:
    """The body with some fields, at any depth, replaced by something else."""
    body = copy.deepcopy(body)
    for name, value in changes:
        for holder in [body, *(part for part in body.values() if isinstance(part, dict))]:
            if name in holder or holder is body:
                holder[name] = value
    return body


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        JSON, st.lists(st.tuples(st.sampled_from(FIELDS), JSON), max_size=3).map(lambda c: changed(question(), c))
    )
)
def test_any_question_is_answered_or_refused(body: object) -> None:
    answer = sent(NODE, "/access/v1/evaluation", json.dumps(body).encode())
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert answer.json()["decision"] is False  # nobody agreed to anything


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        JSON,
        st.tuples(st.sampled_from(KINDS), st.lists(st.tuples(st.sampled_from(EVENT_FIELDS), JSON), max_size=3)).map(
            lambda c: changed({**grant(), "type": c[0]}, c[1])
        ),
    )
)
def test_any_event_is_taken_or_refused(body: object) -> None:
    answer = sent(Node(), "/v1/events", json.dumps(body).encode())
    assert answer.status_code in (201, 400, 403, 409, 422), answer.text


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_question_and_as_an_event(body: bytes) -> None:
    for path in (*NODE.api.checks, "/v1/events"):
        answer = sent(NODE, path, body)
        assert answer.status_code in (400, 422), answer.text
