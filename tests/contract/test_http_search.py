"""POST /access/v1/search/…: what is found is what a check allows; a page is bounded, and its token is of one search."""

import base64
import json
from typing import Any

import pytest
from contract.in_memory import PARTITIONS, Node, act, grant, pointers_of, question
from hypothesis import given, settings
from hypothesis import strategies as st

from consentry.partition import partition_of
from consentry.settings import Settings

PURPOSES = ("recommendation.personalised", "push.personalised", "search.service", "recommendation.city")
DATA = ("behaviour", "search_log", "ip_city", "posted_content")
ACTIONS = ("collect", "store", "use", "share")


def asked(node_is_for: str, **parts: Any) -> dict[str, Any]:
    body = question("search.service", "search_log")
    body |= parts
    if node_is_for == "action":
        del body["action"]
    return body


async def search(node: Node, of: str, body: dict[str, Any], **page: Any) -> dict[str, Any]:
    more = {"page": page} if page else {}
    answer = await node.send("POST", f"/access/v1/search/{of}", json=body | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def all_of(node: Node, of: str, body: dict[str, Any], limit: int) -> list[str]:
    """Page after page, to the last."""
    names: list[str] = []
    page: dict[str, Any] = {"limit": limit}
    while True:
        found = await search(node, of, body, **page)
        assert len(found["results"]) == found["page"]["count"] <= limit
        names += [each.get("id", each.get("name")) for each in found["results"]]
        if not found["page"]["next_token"]:
            return names
        page["token"] = found["page"]["next_token"]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["ConsentGiven", "ConsentWithdrawn", "PreferenceSet"]),
        st.sampled_from([f"account:u-{number}" for number in range(6)]),
        st.sampled_from(PURPOSES[:2]),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(ACTS, st.sampled_from(PURPOSES), st.sampled_from(DATA), st.sampled_from(ACTIONS), st.integers(1, 7))
async def test_what_is_found_is_what_a_check_allows_whatever_the_page(
    acts: list[tuple[str, str, str]], purpose: str, datum: str, action: str, limit: int
) -> None:
    node = Node()
    for kind, subject, about in acts:
        fields = {"opted_out": True} if kind == "PreferenceSet" else {}
        body = grant(purpose=about) if kind == "ConsentGiven" else act(kind, purpose=about, **fields)
        await node.record(body | {"subject": subject, "actor": {"role": "subject", "id": subject}})
    body = question(purpose, datum, action=action)

    async def allowed(**parts: Any) -> bool:
        return bool((await node.ask(body | parts)).json()["decision"])

    known = sorted({subject.partition(":")[2] for _, subject, _ in acts})
    subjects = [name for name in known if await allowed(subject={"type": "account", "id": name})]
    assert await all_of(node, "subject", body, limit) == subjects

    (revision,) = node.log.policies.revisions
    lines = sorted(revision.policy.purposes)
    purposes = [name for name in lines if await allowed(resource={"type": "purpose", "id": name})]
    assert await all_of(node, "resource", body, limit) == purposes

    words = sorted(("collect", "disclose", "export", "share", "store", "transfer", "use"))
    actions = [name for name in words if await allowed(action={"name": name})]
    assert await all_of(node, "action", body, limit) == actions


async def populated(subjects: int, **limits: Any) -> Node:
    node = Node(settings=Settings(**limits))
    for number in range(subjects):
        name = f"account:u-{number:03}"
        await node.record(grant() | {"subject": name, "actor": {"role": "subject", "id": name}})
    return node


async def test_a_page_looks_at_no_more_subjects_than_the_limit() -> None:
    node = await populated(5, search_subjects=2)
    nobody = question("push.personalised", "behaviour")
    looked_at: list[str] = []
    view = node.log.view

    def counted(subject: str, now: int | None = None) -> Any:
        looked_at.append(subject)
        return view(subject, now)

    node.log.view = counted  # type: ignore[method-assign]
    found = await search(node, "subject", nobody)
    assert (found["results"], len(looked_at)) == ([], 2)
    assert found["page"]["next_token"]
    assert await all_of(node, "subject", question(), 500) == [f"u-{number:03}" for number in range(5)]


async def test_a_page_holds_no_more_results_than_a_batch_and_a_limit_asks_for_fewer() -> None:
    node = await populated(5, max_batch=3)
    for limit, held in ((2, 2), (3, 3), (4, 3), (10**9, 3)):
        assert len((await search(node, "subject", question(), limit=limit))["results"]) == held
    assert len((await search(node, "subject", question()))["results"]) == 3


@pytest.mark.parametrize("limit", [0, -1, "ten", 1.5])
async def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    answer = await Node().send("POST", "/access/v1/search/subject", json=question() | {"page": {"limit": limit}})
    assert (answer.status_code, pointers_of(answer)) == (400, ["/page/limit"])


async def test_a_token_is_of_one_search_alone() -> None:
    node = await populated(3)
    token = (await search(node, "subject", question(), limit=1))["page"]["next_token"]
    others: list[tuple[str, dict[str, Any]]] = [
        ("subject", question("push.personalised")),
        ("subject", question(data="search_log")),
        ("subject", question(action="store")),
        ("subject", question() | {"subject": {"type": "device"}}),
        ("resource", question()),
        ("action", asked("action")),
    ]
    for of, body in others:
        answer = await node.send("POST", f"/access/v1/search/{of}", json=body | {"page": {"token": token}})
        assert (answer.status_code, pointers_of(answer)) == (400, ["/page/token"])


@pytest.mark.parametrize("token", ["x", "%%%", "ä", base64.urlsafe_b64encode(b"[1]").decode(), "bnVsbA==", "A" * 999])
async def test_what_is_no_token_is_refused(token: str) -> None:
    answer = await Node().send("POST", "/access/v1/search/subject", json=question() | {"page": {"token": token}})
    assert (answer.status_code, pointers_of(answer)) == (400, ["/page/token"])


async def test_a_made_up_token_shows_nobody_who_may_not_be_found() -> None:
    node = await populated(3)
    token = (await search(node, "subject", question(), limit=1))["page"]["next_token"]
    search_id, _ = json.loads(base64.urlsafe_b64decode(token))
    for after in ("", "~", "device:", "account:"):
        made_up = base64.urlsafe_b64encode(json.dumps([search_id, after]).encode()).decode()
        for each in (await search(node, "subject", question(), token=made_up))["results"]:
            assert (await node.ask(question() | {"subject": each})).json()["decision"] is True


async def test_an_empty_token_is_the_first_page() -> None:
    node = await populated(2)
    assert (await search(node, "subject", question(), token=""))["page"]["count"] == 2


async def test_subjects_of_another_type_are_not_found() -> None:
    node = await populated(1)
    await node.record(grant() | {"subject": "device:d-1", "actor": {"role": "subject", "id": "device:d-1"}})
    assert [each["type"] for each in (await search(node, "subject", question()))["results"]] == ["account"]
    devices = await search(node, "subject", question() | {"subject": {"type": "device"}})
    assert devices["results"] == [{"type": "device", "id": "d-1"}]


async def test_a_misspelt_field_is_warned_of_and_finds_nobody_whom_the_right_word_would_not() -> None:
    node = await populated(2)
    found = await search(node, "subject", question(recpient="somebody"))
    assert found["results"] == []
    assert found["context"]["warnings"] == ["context field 'recpient' is ignored; is 'recipient' meant?"]


async def test_a_stale_node_finds_nobody() -> None:
    node = await populated(2)
    node.log.age_ms = None
    assert (await search(node, "subject", question()))["results"] == []


@pytest.mark.parametrize("of", ["subject", "resource", "action"])
async def test_a_search_waits_for_a_position_or_says_that_it_is_not_visible(of: str) -> None:
    node = Node()
    node.log.folds_at_once = False
    position = (await node.record(grant())).json()["position"]
    body = question(min_position=position)
    if of == "action":
        del body["action"]
    early = await node.send("POST", f"/access/v1/search/{of}", json=body)
    assert (early.status_code, early.json()["code"]) == (503, "NOT_YET_VISIBLE")
    node.log.fold()
    assert len((await search(node, of, body))["results"]) >= 1


async def test_a_position_of_another_partition_is_refused_for_one_subject_alone() -> None:
    node = await populated(1)
    other = (partition_of("account:u-1", PARTITIONS) + 1) % PARTITIONS
    body = question(min_position=f"e1.p{other}.o0")
    refused = await node.send("POST", "/access/v1/search/resource", json=body)
    assert (refused.status_code, pointers_of(refused)) == (400, ["/context/min_position"])
    assert (await node.send("POST", "/access/v1/search/subject", json=body)).status_code == 200


@pytest.mark.parametrize("of", ["subject", "resource", "action"])
async def test_a_search_answers_for_now_alone(of: str) -> None:
    answer = await Node().send("POST", f"/access/v1/search/{of}", json=question() | {"at": 1})
    assert (answer.status_code, pointers_of(answer)) == (400, ["/at"])


async def test_searches_are_timed_apart_from_checks() -> None:
    node = await populated(1)
    await search(node, "subject", question())
    text = (await node.send("GET", "/metrics")).text
    assert "consentry_search_seconds_count 1.0" in text
    assert "consentry_evaluation_seconds_count 0.0" in text
