"""POST /v1/events: intake's door over HTTP."""

import asyncio
import json
from collections.abc import Sequence
from uuid import UUID

import httpx
import pytest
from contract.in_memory import NOW, Node, act, grant, pointers_of

from consentry.intake import Accepted
from consentry.policy import Policies
from consentry.settings import Settings
from consentry.terms import Position

JSON = {"content-type": "application/json"}


async def test_an_event_is_answered_with_its_id_and_position() -> None:
    node = Node()
    answer = await node.record(grant())
    assert answer.status_code == 201
    assert set(answer.json()) == {"event_id", "position"}
    (recorded,) = node.log.appended
    assert answer.json()["position"] == str(recorded.position)
    assert UUID(answer.json()["event_id"]) == recorded.event.event_id


async def test_a_list_is_answered_event_by_event() -> None:
    node = Node()
    answer = await node.record([grant(), act("ConsentWithdrawn")])
    assert answer.status_code == 201
    assert [event["position"] for event in answer.json()["events"]] == [str(r.position) for r in node.log.appended]


async def test_a_list_of_one_is_answered_as_a_list() -> None:
    assert set((await Node().record([grant()])).json()) == {"events"}


async def test_a_list_with_one_fault_appends_nothing_and_names_each() -> None:
    node = Node()
    answer = await node.record([grant(), grant(purpose="no.such.purpose"), grant(occurred_at=-1)])
    assert answer.status_code == 422
    assert [pointer.split("/")[1] for pointer in pointers_of(answer)] == ["1", "2"]
    assert node.log.appended == []


async def test_the_producer_is_who_authenticated() -> None:
    node = Node(token="producer")
    await node.record(grant())
    assert node.log.appended[0].event.producer == "a-producer"


@pytest.mark.parametrize(
    ("event", "status", "pointer"),
    [
        (grant(subject="account:+4915112345678"), 422, "/subject"),
        (grant(expression="loud"), 422, "/expression"),
        (grant(colour="red"), 422, "/colour"),
        (grant(type="ConsentBought"), 422, "/type"),
        (grant(producer="somebody-else"), 403, "/producer"),
        (act("ConsentRevoked", reason="finding"), 403, "/actor/role"),
        (grant(actor={"role": "controller", "id": "app"}), 403, "/actor/role"),
    ],
)
async def test_an_event_that_intake_refuses_names_its_field(
    event: dict[str, object], status: int, pointer: str
) -> None:
    answer = await Node().record(event)
    assert answer.status_code == status
    assert pointer in pointers_of(answer)


async def test_a_body_that_is_no_json_is_refused() -> None:
    answer = await Node().send("POST", "/v1/events", content=b"{", headers=JSON)
    assert answer.status_code == 400
    pointers_of(answer)


async def test_a_known_event_id_is_answered_with_its_place_and_is_no_second_record() -> None:
    node = Node()
    event = grant(event_id="11111111-2222-4333-8444-555555555555")
    first = await node.record(event)
    again = await node.record(event)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(node.log.appended) == 1


async def test_a_known_event_id_that_says_something_else_is_a_conflict() -> None:
    node = Node()
    event = grant(event_id="11111111-2222-4333-8444-555555555555")
    await node.record(event)
    answer = await node.record({**event, "purpose": "push.personalised"})
    assert (answer.status_code, answer.json()["code"]) == (409, "EVENT_ID_CONFLICT")


async def test_a_known_event_id_not_folded_yet_is_a_conflict_all_the_same() -> None:
    node = Node()
    node.log.folds_at_once = False
    event = grant(event_id="11111111-2222-4333-8444-555555555555")
    await node.record(event)
    answer = await node.record({**event, "purpose": "push.personalised"})
    assert answer.status_code == 409
    assert pointers_of(answer) == ["/event_id"]


@pytest.mark.parametrize(("other", "status"), [({}, 201), ({"purpose": "push.personalised"}, 409)])
async def test_two_requests_of_one_event_id_at_the_same_time_go_one_after_the_other(
    other: dict[str, object], status: int
) -> None:
    node = Node()
    append_all = node.log.append_all

    async def slow(accepted: Sequence[Accepted]) -> list[tuple[Position, int]]:
        await asyncio.sleep(0.01)
        return await append_all(accepted)

    node.log.append_all = slow  # type: ignore[method-assign]
    node.log.folds_at_once = False
    event = grant(event_id="11111111-2222-4333-8444-555555555555")
    first, second = await asyncio.gather(node.record(event), node.record({**event, **other}))
    assert (first.status_code, second.status_code) == (201, status)
    assert len(node.log.appended) == 1


async def test_an_idempotency_key_stands_for_an_event_id() -> None:
    node = Node()
    key = {"idempotency-key": "order-7"}
    first = await node.record(grant(), headers=key)
    again = await node.record(grant(), headers=key)
    other_key = await node.record(grant(), headers={"idempotency-key": "order-8"})
    assert again.json() == first.json()
    assert other_key.json()["event_id"] != first.json()["event_id"]
    assert len(node.log.appended) == 2


async def test_the_same_idempotency_key_with_another_body_is_a_conflict() -> None:
    node = Node()
    key = {"idempotency-key": "order-7"}
    await node.record(grant(), headers=key)
    answer = await node.record(act("ConsentWithdrawn"), headers=key)
    assert answer.status_code == 409


async def test_two_callers_may_use_the_same_idempotency_key() -> None:
    node = Node()
    key = {"idempotency-key": "order-7"}
    await node.record(grant(), headers=key)
    node.token = "producer"
    assert (await node.record(act("ConsentWithdrawn"), headers=key)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
async def test_an_idempotency_key_that_is_none_is_refused(key: str) -> None:
    assert (await Node().record(grant(), headers={"idempotency-key": key})).status_code == 400


async def test_an_unknown_outcome_is_503_and_names_the_event_that_is_safe_to_repeat() -> None:
    node = Node()
    node.log.acknowledges = False
    lost = await node.record(grant())
    assert (lost.status_code, lost.json()["code"]) == (503, "OUTCOME_UNKNOWN")
    assert lost.headers["retry-after"] == "1"
    (event_id,) = lost.json()["event_ids"]
    node.log.acknowledges = True
    assert (await node.record(grant(event_id=event_id))).json()["event_id"] == event_id


async def test_while_no_policy_is_in_force_events_have_to_wait() -> None:
    answer = await Node(policies=Policies()).record(grant())
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


async def test_waiting_for_an_event_tells_its_effect() -> None:
    node = Node()
    given = await node.record(grant(), params={"wait": 100})
    withdrawn = await node.record(act("ConsentWithdrawn"), params={"wait": 100})
    late = await node.record(grant(at=NOW - 1), params={"wait": 100})
    assert [answer.json()["effect"] for answer in (given, withdrawn, late)] == ["applied", "applied", "superseded"]


async def test_waiting_for_a_repeated_event_tells_that_it_changed_nothing() -> None:
    node = Node()
    event = grant(event_id="11111111-2222-4333-8444-555555555555")
    await node.record(event)
    assert (await node.record(event, params={"wait": 100})).json()["effect"] == "unchanged"


async def test_withdraw_all_but_this_is_one_list_and_both_take_effect() -> None:
    node = Node()
    everything = {name: value for name, value in act("ConsentWithdrawn").items() if name != "purpose"}
    answer = await node.record([everything, grant()], params={"wait": 100})
    assert [event["effect"] for event in answer.json()["events"]] == ["applied", "applied"]


async def test_each_event_of_a_list_is_told_its_own_effect_whatever_the_next_one_does() -> None:
    node = Node()
    answer = await node.record([act("ConsentWithdrawn"), grant(), act("ConsentWithdrawn"), grant()], params={"wait": 9})
    assert [event["effect"] for event in answer.json()["events"]] == ["applied"] * 4


async def test_an_event_not_folded_in_time_is_answered_without_its_effect() -> None:
    node = Node()
    node.log.folds_at_once = False
    answer = await node.record(grant(), params={"wait": 1})
    assert answer.status_code == 201
    assert "effect" not in answer.json()


@pytest.mark.parametrize("wait", ["-1", "soon", "1.5", "2001", "٣"])
async def test_a_wait_that_is_none_or_too_long_is_refused(wait: str) -> None:
    node = Node(settings=Settings(visible_timeout_ms=2_000))
    answer = await node.record(grant(), params={"wait": wait})
    assert answer.status_code == 400
    assert pointers_of(answer) == ["?wait"]
    assert node.log.appended == []


async def test_the_longest_wait_is_taken() -> None:
    node = Node(settings=Settings(visible_timeout_ms=2_000))
    assert (await node.record(grant(), params={"wait": 2_000})).status_code == 201


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    body = json.dumps(grant()).encode()
    node = Node(settings=Settings(max_body_bytes=len(body)))
    assert (await node.send("POST", "/v1/events", content=body, headers=JSON)).status_code == 201
    larger = await node.send("POST", "/v1/events", content=body + b" ", headers=JSON)
    assert (larger.status_code, larger.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_in_chunks_is_held_to_the_same_limit() -> None:
    body = json.dumps(grant()).encode()
    node = Node(settings=Settings(max_body_bytes=len(body)))

    async def chunks(content: bytes):  # type: ignore[no-untyped-def]
        for start in range(0, len(content), 16):
            yield content[start : start + 16]

    taken = await node.send("POST", "/v1/events", content=chunks(body), headers=JSON)
    refused = await node.send("POST", "/v1/events", content=chunks(body + b" "), headers=JSON)
    assert (taken.status_code, refused.status_code) == (201, 413)


async def test_an_event_that_nests_too_deeply_is_refused_unread() -> None:
    node = Node(settings=Settings(max_json_depth=8))
    body = json.dumps(grant(note=json.loads("[" * 8 + "]" * 8))).encode()
    answer = await node.send("POST", "/v1/events", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "deep" in answer.json()["detail"]


@pytest.mark.parametrize("size", [0, 3])
async def test_a_list_outside_its_limit_is_refused(size: int) -> None:
    node = Node(settings=Settings(max_batch=2))
    answer: httpx.Response = await node.record([act("ConsentWithdrawn") for _ in range(size)])
    assert answer.status_code in (400, 422)
    pointers_of(answer)


async def test_only_so_many_requests_are_remembered_and_the_log_bears_the_rest() -> None:
    node = Node(settings=Settings(remembered_requests=1))
    first = act("ConsentWithdrawn", event_id="11111111-2222-4333-8444-555555555555")
    await node.record(first)
    await node.record(act("ConsentWithdrawn"))
    again = await node.record(first, params={"wait": 100})
    assert (again.status_code, again.json()["effect"]) == (201, "unchanged")
    assert len(node.log.appended) == 3
