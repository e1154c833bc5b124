"""POST /access/v1/evaluations: several questions at once, by AuthZEN's three semantics."""

import asyncio
from typing import Any

import pytest
from contract.in_memory import NOW, Node, grant, pointers_of, question

from consentry.settings import Settings

ALLOWED = question("search.service", "search_log")
DENIED = question()


async def ask(node: Node, body: object) -> list[dict[str, Any]]:
    answer = await node.send("POST", "/access/v1/evaluations", json=body)
    assert answer.status_code == 200, answer.text
    evaluations: list[dict[str, Any]] = answer.json()["evaluations"]
    return evaluations


def decisions(evaluations: list[dict[str, Any]]) -> list[bool]:
    return [evaluation["decision"] for evaluation in evaluations]


async def test_each_question_is_answered_in_its_place() -> None:
    assert decisions(await ask(Node(), {"evaluations": [ALLOWED, DENIED, ALLOWED]})) == [True, False, True]


async def test_what_a_question_leaves_out_is_as_the_request_says_for_all() -> None:
    body = {**ALLOWED, "evaluations": [{}, {"resource": {"type": "purpose", "id": "push.personalised"}}]}
    assert decisions(await ask(Node(), body)) == [True, False]


async def test_a_context_of_its_own_replaces_the_one_for_all() -> None:
    body = {**ALLOWED, "evaluations": [{"context": {"active": True}}]}
    (answer,) = await ask(Node(), body)
    assert answer["context"]["reason"] == "DATA_NOT_COVERED"


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        ("execute_all", [True, False, True, False]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_the_semantic_says_when_to_stop(semantic: str, expected: list[bool]) -> None:
    body = {"evaluations": [ALLOWED, DENIED, ALLOWED, DENIED], "options": {"evaluations_semantic": semantic}}
    assert decisions(await ask(Node(), body)) == expected


async def test_a_semantic_that_is_none_is_refused() -> None:
    body = {"evaluations": [ALLOWED], "options": {"evaluations_semantic": "whatever"}}
    answer = await Node().send("POST", "/access/v1/evaluations", json=body)
    assert answer.status_code == 400
    assert pointers_of(answer) == ["/options/evaluations_semantic"]


@pytest.mark.parametrize(
    "broken",
    [
        {"subject": None},
        {"action": {}},
        {"context": {"at": NOW}},
        {"at": NOW},
        {"context": {"active": "yes"}},
        {"context": {"min_position": "soon"}},
    ],
)
async def test_a_question_that_cannot_be_asked_denies_and_the_others_are_answered(broken: dict[str, Any]) -> None:
    answers = await ask(Node(), {"evaluations": [ALLOWED, {**ALLOWED, **broken}, ALLOWED]})
    assert decisions(answers) == [True, False, True]
    assert answers[1]["context"]["error"]["status"] == 400
    assert answers[1]["context"]["error"]["message"]


async def test_a_question_that_lacks_a_part_everywhere_denies() -> None:
    (answer,) = await ask(Node(), {"evaluations": [{"action": {"name": "use"}}]})
    assert answer["decision"] is False
    assert "/subject" in answer["context"]["error"]["message"]


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_without_questions_the_request_is_the_one_question(more: dict[str, Any]) -> None:
    answer = await Node().send("POST", "/access/v1/evaluations", json={**ALLOWED, **more})
    assert answer.json()["decision"] is True


async def test_more_questions_than_the_limit_are_refused() -> None:
    node = Node(settings=Settings(max_batch=2))
    assert decisions(await ask(node, {"evaluations": [ALLOWED] * 2})) == [True, True]
    answer = await node.send("POST", "/access/v1/evaluations", json={"evaluations": [ALLOWED] * 3})
    assert (answer.status_code, pointers_of(answer)) == (400, ["/evaluations"])


async def test_all_questions_together_wait_no_longer_than_one() -> None:
    node = Node()
    node.log.folds_at_once = False
    waits: list[int] = []

    async def wait_for(_position: object, timeout_ms: int) -> bool:
        waits.append(timeout_ms)
        await asyncio.sleep(0.005)
        return False

    node.log.wait_for = wait_for  # type: ignore[method-assign]
    position = (await node.record(grant())).json()["position"]
    answers = await ask(node, {"evaluations": [question(min_position=position)] * 3})
    assert [answer["context"]["reason"] for answer in answers] == ["NOT_YET_VISIBLE"] * 3
    assert waits[0] > waits[1] > waits[2]
    assert waits[0] <= node.settings.visible_timeout_ms
