"""POST /access/v1/evaluation: OpenID AuthZEN 1.0 on the outside, the contract's decision inside."""

import json
from typing import Any

import pytest
from contract.in_memory import NOW, PARTITIONS, REFERENCE, Node, act, grant, pointers_of, question, reference_policy

from consentry.partition import partition_of
from consentry.policy import Policies
from consentry.settings import Secret, Settings

ANSWER_FIELDS = {
    "reason", "clause", "basis", "status", "evidence", "policy_version", "position", "tightened_position",
    "staleness_ms", "engine_version", "expires_at", "obligations", "prompt", "results", "warnings",
}  # fmt: skip


async def test_what_needs_no_consent_is_allowed_and_says_why() -> None:
    answer = await Node().ask(question("search.service", "search_keywords", action="collect"))
    assert answer.status_code == 200
    assert answer.json()["decision"] is True
    context = answer.json()["context"]
    assert (context["reason"], context["clause"], context["policy_version"]) == ("NECESSARY", "1.4", 1)


async def test_an_answer_has_every_field_of_the_contract() -> None:
    answer = await Node().ask(question())
    assert set(answer.json()) == {"decision", "context"}
    assert set(answer.json()["context"]) == ANSWER_FIELDS
    assert answer.json()["context"]["results"][0]["data"] == "behaviour"


async def test_a_grant_over_http_allows_and_is_the_evidence() -> None:
    node = Node()
    granted = await node.record(grant())
    answer = (await node.ask(question())).json()
    assert answer["decision"] is True
    assert answer["context"]["evidence"] == [granted.json()["event_id"]]
    assert answer["context"]["position"] == granted.json()["position"]


async def test_a_withdrawal_denies_the_next_check() -> None:
    node = Node()
    await node.record(grant())
    withdrawn = await node.record(act("ConsentWithdrawn"))
    answer = (await node.ask(question())).json()
    assert answer["decision"] is False
    assert answer["context"]["reason"] == "WITHDRAWN"
    assert answer["context"]["tightened_position"] == withdrawn.json()["position"]


async def test_without_a_policy_everything_is_denied() -> None:
    answer = await Node(policies=Policies()).ask(question("search.service", "search_keywords"))
    assert answer.status_code == 200
    assert answer.json()["decision"] is False


async def test_one_datum_may_stand_alone_and_several_in_a_list() -> None:
    node = Node()
    alone = (await node.ask(question("search.service", "search_log"))).json()
    listed = (await node.ask(question("search.service", ["search_keywords", "search_log"]))).json()
    assert [result["data"] for result in alone["context"]["results"]] == ["search_log"]
    assert [result["data"] for result in listed["context"]["results"]] == ["search_keywords", "search_log"]
    assert listed["decision"] is True


@pytest.mark.parametrize("data", [None, []])
async def test_a_question_about_no_data_is_denied(data: object) -> None:
    answer = (await Node().ask(question("search.service", data))).json()
    assert (answer["decision"], answer["context"]["reason"]) == (False, "DATA_NOT_COVERED")


@pytest.mark.parametrize("context", [{}, None])
async def test_the_context_is_optional(context: object) -> None:
    body = question()
    if context is None:
        del body["context"]
    else:
        body["context"] = context
    answer = await Node().ask(body)
    assert (answer.status_code, answer.json()["decision"]) == (200, False)


async def test_what_a_gateway_adds_is_ignored() -> None:
    body = question("search.service", "search_log", time="2026-11-24T12:00:00Z")
    body["subject"]["properties"] = {"department": "Sales"}
    body["action"]["properties"] = {"method": "GET"}
    body["resource"]["properties"] = {"deep": [{"er": 1}]}
    body["options"] = {"another": True}
    answer = await Node().ask(body)
    assert answer.json()["decision"] is True
    assert answer.json()["context"]["warnings"] == []


@pytest.mark.parametrize(
    ("word", "meant", "value"),
    [
        ("recipent", "recipient", "x"),
        ("Active", "active", True),
        ("min-position", "min_position", "e1.p0.o0"),
        ("transferMechanism", "transfer_mechanism", "x"),
        ("datas", "data", "x"),
    ],
)
async def test_a_misspelt_field_of_ours_is_answered_with_a_warning(word: str, meant: str, value: object) -> None:
    node = Node()
    partition = partition_of("account:u-1", PARTITIONS)
    answer = await node.ask(
        question(**{word: value.replace("p0", f"p{partition}") if isinstance(value, str) else value})
    )
    assert answer.status_code == 200
    (warning,) = answer.json()["context"]["warnings"]
    assert warning == f"context field {word!r} is ignored; is {meant!r} meant?"


async def test_the_request_id_comes_back() -> None:
    node = Node()
    answer = await node.ask(question(), headers={"x-request-id": "bfe9eb29-ab87"})
    refused = await node.ask({}, headers={"x-request-id": "again"})
    assert answer.headers["x-request-id"] == "bfe9eb29-ab87"
    assert refused.headers["x-request-id"] == "again"


async def test_no_answer_may_be_cached() -> None:
    node = Node()
    assert (await node.ask(question())).headers["cache-control"] == "no-store"
    assert (await node.ask({})).headers["cache-control"] == "no-store"


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"subject": ...}, "/subject"),
    ({"action": ...}, "/action"),
    ({"resource": ...}, "/resource"),
    ({"subject": {"type": "account"}}, "/subject/id"),
    ({"subject": {"id": "u-1"}}, "/subject/type"),
    ({"subject": {"type": "account", "id": 7}}, "/subject/id"),
    ({"subject": {"type": "account", "id": ""}}, "/subject/id"),
    ({"subject": {"type": "account", "id": "+4915112345678"}}, "/subject/id"),
    ({"subject": {"type": "account", "id": "eve@example.org"}}, "/subject/id"),
    ({"action": {"name": None}}, "/action/name"),
    ({"resource": {"type": "purpose"}}, "/resource/id"),
    ({"context": []}, "/context"),
    ({"context": {"data": 1}}, "/context/data"),
    ({"context": {"data": ["behaviour", 1]}}, "/context/data/1"),
    ({"context": {"active": "yes"}}, "/context/active"),
    ({"context": {"form": "blurred"}}, "/context/form"),
    ({"context": {"device": "eve@example.org"}}, "/context/device"),
    ({"context": {"min_position": "812"}}, "/context/min_position"),
    ({"context": {"at": NOW}}, "/context/at"),
    ({"at": NOW}, "/at"),
]


@pytest.mark.parametrize(("change", "pointer"), MALFORMED)
async def test_a_malformed_question_is_refused_and_names_the_field(change: dict[str, Any], pointer: str) -> None:
    body = {**question(), **change}
    answer = await Node().ask({name: value for name, value in body.items() if value is not ...})
    assert answer.status_code == 400
    assert pointers_of(answer) == [pointer]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"subject": {"type": "account", "id": "\xff"}}', b"\x00", b'"text"']
)
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    answer = await Node().send(
        "POST", "/access/v1/evaluation", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert pointers_of(answer) == [""]


async def test_json_that_nests_too_deeply_is_refused_unread() -> None:
    node = Node(settings=Settings(max_json_depth=8))
    fits = {**question(), "properties": json.loads("[" * 7 + "]" * 7)}
    too_deep = {**question(), "properties": json.loads("[" * 8 + "]" * 8)}
    assert (await node.ask(fits)).status_code == 200
    assert (await node.ask(too_deep)).status_code == 400


async def test_brackets_inside_of_text_do_not_nest() -> None:
    node = Node(settings=Settings(max_json_depth=8))
    body = {**question(), "note": '[[[[[[[[[[ {{{ \\" [[['}
    assert (await node.ask(body)).status_code == 200


async def test_a_body_that_is_not_said_to_be_json_is_refused() -> None:
    for headers in ({"content-type": "text/plain"}, {}):
        answer = await Node().send("POST", "/access/v1/evaluation", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "NOT_JSON")


VOCABULARY = """
authzen:
  subject_types: {user: account}
  actions: {read: use}
  resource_types: {record: purpose}
"""


async def test_a_gateways_words_are_understood_by_the_policys_vocabulary() -> None:
    node = Node(policies=policy_with_vocabulary())
    body = question("search.service", "search_log", action="read")
    body["subject"]["type"] = "user"
    body["resource"]["type"] = "record"
    answer = (await node.ask(body)).json()
    assert (answer["decision"], answer["context"]["warnings"]) == (True, [])


async def test_our_own_words_are_understood_beside_a_gateways() -> None:
    node = Node(policies=policy_with_vocabulary())
    assert (await node.ask(question("search.service", "search_log"))).json()["decision"] is True


def policy_with_vocabulary() -> Policies:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    document = "\n".join(line for line in lines if not line.startswith("authzen:")) + VOCABULARY
    return reference_policy(document)


@pytest.mark.parametrize(
    ("part", "field", "word"),
    [("subject", "type", "Robot"), ("action", "name", "read"), ("resource", "type", "record")],
)
async def test_a_word_that_the_policy_does_not_know_is_denied(part: str, field: str, word: str) -> None:
    body = question("search.service", "search_log")
    body[part][field] = word
    answer = await Node().ask(body)
    assert (answer.status_code, answer.json()["decision"]) == (200, False)
    (warning,) = answer.json()["context"]["warnings"]
    assert word in warning


async def test_a_question_about_an_event_not_yet_folded_is_denied_as_not_yet_visible() -> None:
    node = Node()
    node.log.folds_at_once = False
    position = (await node.record(grant())).json()["position"]
    early = (await node.ask(question(min_position=position))).json()
    assert (early["decision"], early["context"]["reason"]) == (False, "NOT_YET_VISIBLE")
    node.log.fold()
    assert (await node.ask(question(min_position=position))).json()["decision"] is True


async def test_a_position_of_another_epoch_is_never_visible() -> None:
    partition = partition_of("account:u-1", PARTITIONS)
    answer = await Node().ask(question("search.service", "search_log", min_position=f"e2.p{partition}.o0"))
    assert (answer.json()["decision"], answer.json()["context"]["reason"]) == (False, "NOT_YET_VISIBLE")


async def test_a_position_of_another_partition_is_a_mistake_of_the_caller() -> None:
    other = (partition_of("account:u-1", PARTITIONS) + 1) % PARTITIONS
    answer = await Node().ask(question(min_position=f"e1.p{other}.o0"))
    assert answer.status_code == 400
    assert pointers_of(answer) == ["/context/min_position"]


@pytest.mark.parametrize("age_ms", [None, 2_001])
async def test_a_view_older_than_its_bound_allows_no_consent(age_ms: int | None) -> None:
    node = Node()
    await node.record(grant())
    node.log.age_ms = age_ms
    answer = (await node.ask(question())).json()
    assert (answer["decision"], answer["context"]["reason"]) == (False, "STALE")


async def test_a_fault_inside_is_never_an_allow_and_tells_nothing_of_itself() -> None:
    node = Node()

    def broken(*_: object) -> None:
        raise RuntimeError("inner secret")

    node.log.view = broken  # type: ignore[assignment]
    answer = await node.ask(question("search.service", "search_log"))
    assert answer.status_code == 500
    assert "decision" not in answer.json()
    assert "secret" not in answer.text


async def test_with_a_pepper_the_subject_and_the_device_are_asked_by_their_keyed_hash() -> None:
    node = Node(settings=Settings(subject_pepper=Secret("pepper")))
    granted = await node.record(grant())
    assert granted.status_code == 201
    assert node.log.appended[0].event.subject.startswith("account:h1:")
    assert (await node.ask(question())).json()["decision"] is True
