"""GET /v1/subjects/{subject}/prompt: whether a consent for a purpose may be asked for now."""

from typing import Any

import httpx
import pytest
from contract.in_memory import NOW, Node, act, grant, pointers_of, question

PURPOSE = "recommendation.personalised"
COOLDOWN = 48 * 3_600_000


async def asked(node: Node, **params: Any) -> httpx.Response:
    return await node.send("GET", "/v1/subjects/account:u-1/prompt", params={"purpose": PURPOSE, **params})


async def told(node: Node, **params: Any) -> tuple[bool, int | None, str]:
    answer = await asked(node, **params)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["may_ask"], found["ask_after"], found["reason"]


async def test_who_was_never_asked_may_be_asked() -> None:
    assert await told(Node()) == (True, None, "NO_CONSENT")


async def test_who_agreed_is_not_asked_again() -> None:
    node = Node()
    await node.record(grant())
    assert await told(node) == (False, None, "CONSENT")


async def test_who_agreed_to_a_part_may_be_asked_for_the_rest() -> None:
    node = Node()
    await node.record(grant(data=["behaviour"]))
    assert await told(node) == (True, None, "NO_CONSENT")


@pytest.mark.parametrize(
    ("params", "may_ask"),
    [
        ({}, False),
        ({"scene": "start"}, False),
        ({"scene": "settings"}, True),
        ({"user_initiated": "true"}, True),
        ({"scene": "start", "user_initiated": "true"}, True),
        ({"scene": "", "user_initiated": "false"}, False),
    ],
)
async def test_a_refusal_forbids_it_for_a_while_in_its_scene(params: dict[str, str], may_ask: bool) -> None:
    node = Node()
    await node.record(act("ConsentRefused", scene="start"))
    after = None if may_ask else NOW + COOLDOWN
    assert await told(node, **params) == (may_ask, after, "REFUSED")
    node.log.now = NOW + COOLDOWN
    assert (await told(node, **params))[0] is True


async def test_who_opted_out_is_not_asked() -> None:
    node = Node()
    await node.record(act("PreferenceSet", opted_out=True))
    assert await told(node) == (False, None, "OPTED_OUT")


async def test_where_what_is_known_may_be_too_old_nobody_is_asked() -> None:
    node = Node()
    node.log.age_ms = None
    assert (await told(node))[0] is False


async def test_for_what_needs_no_consent_nobody_is_asked() -> None:
    assert (await told(Node(), purpose="search.service"))[0] is False


async def test_for_a_purpose_that_is_none_nobody_is_asked() -> None:
    assert await told(Node(), purpose="nothing.known") == (False, None, "PURPOSE_UNKNOWN")


async def test_a_function_that_is_not_in_use_is_no_reason_not_to_ask() -> None:
    assert (await told(Node(), purpose="publish.camera"))[0] is True


async def test_it_says_what_a_check_says() -> None:
    node = Node()
    await node.record(act("ConsentRefused", scene="start"))
    check = (await node.ask(question(scene="start"))).json()["context"]
    prompt = (await asked(node, scene="start")).json()
    assert check["prompt"] == {"may_ask": prompt["may_ask"], "ask_after": prompt["ask_after"]}
    for name in ("policy_version", "position", "tightened_position", "staleness_ms", "reason"):
        assert prompt[name] == check[name]


async def test_it_waits_for_a_position_or_says_that_it_is_not_visible() -> None:
    node = Node()
    node.log.folds_at_once = False
    position = (await node.record(act("ConsentRefused"))).json()["position"]
    early = await asked(node, min_position=position)
    assert (early.status_code, early.json()["code"]) == (503, "NOT_YET_VISIBLE")
    node.log.fold()
    assert (await told(node, min_position=position))[2] == "REFUSED"


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"purpose": ""}, "?purpose"),
        ({"user_initiated": "yes"}, "?user_initiated"),
        ({"min_position": "812"}, "?min_position"),
        ({"secne": "start"}, "?"),
    ],
)
async def test_a_parameter_that_says_nothing_sensible_is_refused(params: dict[str, str], pointer: str) -> None:
    answer = await asked(Node(), **params)
    assert (answer.status_code, pointers_of(answer)) == (400, [pointer])
