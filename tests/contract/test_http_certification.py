"""OpenID AuthZEN's certification scenario over HTTP, level by level: Basic, Batch and Search Core, Discovery."""

from typing import Any

import httpx
import pytest
from contract.certification import DECIDED, POLICY, agreements, asked
from contract.in_memory import NOW, Node, reference_policy

from consentry.errors import ConsentryError
from consentry.settings import Settings

ONE = "/access/v1/evaluation"
SEVERAL = "/access/v1/evaluations"
SUBJECTS = "/access/v1/search/subject"
RESOURCES = "/access/v1/search/resource"
ACTIONS = "/access/v1/search/action"


async def certified(**settings: Any) -> Node:
    node = Node(policies=reference_policy(POLICY.read_text(encoding="utf-8")), settings=Settings(**settings))
    for agreement in agreements(NOW):
        assert (await node.record(agreement)).status_code == 201
    return node


async def answered(path: str, body: object) -> Any:
    answer = await (await certified()).send("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def decisions(answer: Any) -> list[bool]:
    assert "decision" not in answer
    return [each["decision"] for each in answer["evaluations"]]


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    """The body but for one field."""
    *outer, last = path
    kept = {name: dict(part) if isinstance(part, dict) else part for name, part in body.items()}
    holder = kept
    for name in outer:
        holder = holder[name]
    del holder[last]
    return kept


@pytest.mark.parametrize(("subject", "action", "decision"), DECIDED)
async def test_the_fixtures_decisions_hold(subject: str, action: str, decision: bool) -> None:
    answer = await answered(ONE, asked(subject, action))
    assert answer["decision"] is decision
    assert isinstance(answer["context"], dict)


@pytest.mark.parametrize("action", ["read", "write", "delete"])
@pytest.mark.parametrize("resource", ["record-1", "record-2"])
@pytest.mark.parametrize("subject", ["alice", "bob"])
async def test_the_fixtures_words_are_known(subject: str, resource: str, action: str) -> None:
    answer = await answered(ONE, asked(subject, action, resource))
    assert isinstance(answer["decision"], bool)
    assert answer["context"]["warnings"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"context": {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}},
        {"context": {}},
        {"context": None},
        {"foo": "bar", "futureField": {"nested": True}},
    ],
)
async def test_what_is_optional_or_unknown_changes_no_decision(more: dict[str, Any]) -> None:
    assert (await answered(ONE, asked("alice", "read", **more)))["decision"] is True
    assert (await answered(ONE, asked("bob", "write", **more)))["decision"] is False


async def test_data_that_are_said_to_be_none_are_none_and_those_named_are_asked_for() -> None:
    """The policy says what a record is about only where the question does not."""
    for data, decision in (([], False), (None, True), (["content"], True), ("secrets", False)):
        answer = await answered(ONE, asked("alice", "read", context={"data": data}))
        assert answer["decision"] is decision, data


async def test_properties_change_no_decision() -> None:
    body = asked("alice", "read")
    body["subject"]["properties"] = {"department": "Sales", "role": "manager"}
    body["action"]["properties"] = {"method": "GET"}
    body["resource"]["properties"] = {"status": "active", "owner": "bob"}
    assert (await answered(ONE, body))["decision"] is True


MISSING = [
    ("subject",), ("action",), ("resource",), ("subject", "type"), ("subject", "id"), ("action", "name"),
    ("resource", "type"), ("resource", "id"),
]  # fmt: skip


async def refused(path: str, **how: Any) -> httpx.Response:
    answer = await (await certified()).send("POST", path, **how)
    assert answer.status_code == 400, answer.text
    return answer


@pytest.mark.parametrize("path", MISSING)
async def test_what_is_required_is_asked_for(path: tuple[str, ...]) -> None:
    await refused(ONE, json=without(asked("alice", "read"), *path))


@pytest.mark.parametrize("change", [{"subject": "alice"}, {"action": {"name": 123}}, {"resource": []}])
async def test_a_field_of_another_type_is_refused(change: dict[str, Any]) -> None:
    await refused(ONE, json=asked("alice", "read") | change)


@pytest.mark.parametrize("path", [ONE, SEVERAL, SUBJECTS, RESOURCES, ACTIONS])
@pytest.mark.parametrize(
    ("media_type", "body"), [("text/plain", b"{}"), ("application/json", b"{"), ("application/json", b"")]
)
async def test_what_is_no_json_is_refused_on_every_path(path: str, media_type: str, body: bytes) -> None:
    await refused(path, content=body, headers={"content-type": media_type})


async def test_the_request_id_comes_back_on_every_path_and_is_not_needed() -> None:
    node = await certified()
    for path in (ONE, SEVERAL):
        answer = await node.send("POST", path, json=asked("alice", "read"), headers={"x-request-id": "bfe9eb29"})
        assert answer.headers["x-request-id"] == "bfe9eb29"
        assert (await node.send("POST", path, json=asked("alice", "read"))).status_code == 200
    refusal = await node.send("POST", ONE, json={}, headers={"x-request-id": "bfe9eb30"})
    assert (refusal.status_code, refusal.headers["x-request-id"]) == (400, "bfe9eb30")


async def test_the_same_request_again_has_the_same_answer() -> None:
    node = await certified()
    answers = {(await node.ask(asked("bob", "read"))).text for _ in range(5)}
    assert len(answers) == 1


async def test_a_batch_is_answered_in_its_order() -> None:
    body = {"subject": {"type": "user", "id": "bob"}, "resource": {"type": "record", "id": "record-1"}}
    body["evaluations"] = [{"action": {"name": "read"}}, {"action": {"name": "write"}}]  # type: ignore[assignment]
    assert decisions(await answered(SEVERAL, body)) == [True, False]


async def test_a_batch_needs_no_defaults() -> None:
    body = {"evaluations": [asked("alice", "read"), asked("bob", "write")]}
    assert decisions(await answered(SEVERAL, body)) == [True, False]


async def test_a_batch_hands_its_context_down() -> None:
    own = {"resource": {"type": "record", "id": "record-2"}, "context": {"time": "19:00", "source": "batch-override"}}
    body = without(asked("alice", "read"), "resource")
    body |= {"context": {"time": "18:03"}, "evaluations": [{"resource": {"type": "record", "id": "record-1"}}, own]}
    assert decisions(await answered(SEVERAL, body)) == [True, False]


async def test_a_broken_question_of_a_batch_denies_alone() -> None:
    body = without(asked("alice", "read"), "resource")
    body["evaluations"] = [{"resource": {"type": "record", "id": "record-1"}}, {}]
    answer = await answered(SEVERAL, body)
    assert decisions(answer) == [True, False]
    assert answer["evaluations"][1]["context"]["error"]["status"] == 400


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_a_batch_of_none_is_a_single_question(more: dict[str, Any]) -> None:
    assert (await answered(SEVERAL, asked("alice", "read") | more))["decision"] is True


async def test_a_batch_of_none_that_lacks_a_part_is_refused() -> None:
    await refused(SEVERAL, json=without(asked("alice", "read"), "action") | {"evaluations": []})


async def found(path: str, body: object) -> list[dict[str, str]]:
    answer = await answered(path, body)
    assert answer["page"]["next_token"] == ""
    assert answer["page"]["count"] == len(answer["results"])
    results: list[dict[str, str]] = answer["results"]
    return results


FOR_SUBJECTS = without(asked("", "read"), "subject", "id")
FOR_RESOURCES = without(asked("alice", "read"), "resource", "id")
FOR_ACTIONS = without(asked("alice", "read"), "action")


@pytest.mark.parametrize("more", [{}, {"context": {"time": "now"}}])
async def test_who_may_read_a_record_is_found(more: dict[str, Any]) -> None:
    assert await found(SUBJECTS, FOR_SUBJECTS | more) == [
        {"type": "user", "id": "alice"},
        {"type": "user", "id": "bob"},
    ]
    writers = FOR_SUBJECTS | {"action": {"name": "write"}} | more
    assert await found(SUBJECTS, writers) == [{"type": "user", "id": "alice"}]


@pytest.mark.parametrize("more", [{}, {"context": {"time": "now"}}])
async def test_which_record_may_be_read_is_found(more: dict[str, Any]) -> None:
    assert await found(RESOURCES, FOR_RESOURCES | more) == [{"type": "record", "id": "record-1"}]


@pytest.mark.parametrize("more", [{}, {"context": {"time": "now"}}])
async def test_what_may_be_done_with_a_record_is_found_in_a_gateways_words_and_in_ours(more: dict[str, Any]) -> None:
    names = [{"name": name} for name in ("read", "store", "use", "write")]
    assert await found(ACTIONS, FOR_ACTIONS | more) == names


async def test_what_is_unknown_is_found_nowhere() -> None:
    stranger = {"subject": {"type": "user", "id": "nonexistent-user"}}
    ship = {"subject": {"type": "spaceship"}}
    assert await found(ACTIONS, FOR_ACTIONS | stranger) == []
    assert await found(RESOURCES, FOR_RESOURCES | stranger) == []
    assert await found(SUBJECTS, FOR_SUBJECTS | ship) == []
    assert await found(RESOURCES, FOR_RESOURCES | {"resource": {"type": "spaceship"}}) == []


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [
        (SUBJECTS, FOR_SUBJECTS, ("action",)),
        (SUBJECTS, FOR_SUBJECTS, ("subject",)),
        (SUBJECTS, FOR_SUBJECTS, ("subject", "type")),
        (SUBJECTS, FOR_SUBJECTS, ("resource", "id")),
        (RESOURCES, FOR_RESOURCES, ("subject",)),
        (RESOURCES, FOR_RESOURCES, ("subject", "id")),
        (RESOURCES, FOR_RESOURCES, ("action",)),
        (ACTIONS, FOR_ACTIONS, ("resource",)),
        (ACTIONS, FOR_ACTIONS, ("resource", "id")),
        (ACTIONS, FOR_ACTIONS, ("subject",)),
    ],
)
async def test_a_search_asks_for_what_it_requires(path: str, body: dict[str, Any], missing: tuple[str, ...]) -> None:
    await refused(path, json=without(body, *missing))


async def test_a_page_holds_as_many_as_were_asked_for_and_its_token_leads_to_the_next() -> None:
    node = await certified()
    first = (await node.send("POST", SUBJECTS, json=FOR_SUBJECTS | {"page": {"limit": 1}})).json()
    assert [each["id"] for each in first["results"]] == ["alice"]
    token = first["page"]["next_token"]
    assert token
    second = (await node.send("POST", SUBJECTS, json=FOR_SUBJECTS | {"page": {"token": token}})).json()
    assert [each["id"] for each in second["results"]] == ["bob"]
    assert second["page"]["next_token"] == ""


async def test_discovery_names_every_endpoint_where_the_caller_reached_the_node() -> None:
    node = await certified()
    metadata = (await node.send("GET", "/.well-known/authzen-configuration")).json()
    assert metadata.pop("policy_decision_point") == "http://node"
    paths = {name: url.removeprefix("http://node") for name, url in metadata.items()}
    assert paths == {
        "access_evaluation_endpoint": ONE,
        "access_evaluations_endpoint": SEVERAL,
        "search_subject_endpoint": SUBJECTS,
        "search_resource_endpoint": RESOURCES,
        "search_action_endpoint": ACTIONS,
    }
    for path in paths.values():
        assert (await node.send("GET", path)).status_code == 405


async def test_behind_a_proxy_discovery_names_the_public_url() -> None:
    node = await certified(public_url="https://pdp.example.com/")
    metadata = (await node.send("GET", "/.well-known/authzen-configuration")).json()
    assert metadata["policy_decision_point"] == "https://pdp.example.com"
    assert all(url.startswith("https://pdp.example.com") for url in metadata.values())


@pytest.mark.parametrize(
    "url", ["pdp.example.com", "https://", "https://pdp.example.com?x", "https://u@pdp", "ftp://x"]
)
async def test_a_public_url_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConsentryError, match="public_url"):
        await certified(public_url=url)
