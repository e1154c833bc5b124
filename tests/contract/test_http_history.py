"""GET /v1/subjects/{subject}/history: events, state and decision as of any moment, on two clocks, page by page."""

import asyncio
import base64
import zlib
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from contract.in_memory import NOW, PARTITIONS, Node, act, grant, pointers_of
from hypothesis import given, settings
from hypothesis import strategies as st

from consentry.audit import AsOf, replay
from consentry.codec import encode_row
from consentry.errors import Unavailable
from consentry.events import Genesis
from consentry.partition import partition_of
from consentry.settings import Settings
from streams.replay import Scanned

PATH = "/v1/subjects/account:u-1/history"
ASKED = {"operation": "use", "purpose": "recommendation.personalised", "data": "behaviour"}
DAY = 86_400_000
NEIGHBOUR = next(
    name
    for name in (f"account:u-{number}" for number in range(2, 99))
    if partition_of(name, PARTITIONS) == partition_of("account:u-1", PARTITIONS)
)
"""another subject of the same partition"""


async def asked(node: Node, **params: Any) -> httpx.Response:
    return await node.send("GET", PATH, params=params)


async def told(node: Node, **params: Any) -> dict[str, Any]:
    answer = await asked(node, **params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def pages(node: Node, **params: Any) -> list[dict[str, Any]]:
    found = [await told(node, **params)]
    while found[-1]["next_cursor"] is not None:
        assert (found[-1]["state"], found[-1]["decision"]) == (None, None)
        found.append(await told(node, **params, cursor=found[-1]["next_cursor"]))
    return found


def kinds(history: dict[str, Any]) -> list[str]:
    return [each["event"]["type"] for each in history["events"]]


async def recorded(node: Node, body: dict[str, Any], at: int) -> None:
    """As it arrives at `at`."""
    node.log.now = at
    answer = await node.record(body)
    assert answer.status_code == 201, answer.text


async def withdrawn_late() -> Node:
    """Given on day 0, withdrawn on day 1 on a phone that was offline until day 3; told on day 4."""
    node = Node()
    await recorded(node, grant(at=NOW), NOW)
    await recorded(node, act("ConsentWithdrawn", at=NOW + DAY), NOW + 3 * DAY)
    node.log.now = NOW + 4 * DAY
    return node


async def test_all_that_the_log_says_of_a_subject_is_told_with_the_state_and_the_answer_now() -> None:
    node = await withdrawn_late()
    history = await told(node, **ASKED)
    assert kinds(history) == ["ConsentGiven", "ConsentWithdrawn"]
    assert [each["effect"] for each in history["events"]] == ["applied", "applied"]
    assert [each["recorded_at"] for each in history["events"]] == [NOW, NOW + 3 * DAY]
    live = (await node.send("GET", "/v1/subjects/account:u-1")).json()
    assert history["state"] == live
    assert (history["decision"]["decision"], history["decision"]["context"]["reason"]) == (False, "WITHDRAWN")
    assert (history["left_out"], history["next_cursor"]) == (0, None)


@pytest.mark.parametrize(
    ("moment", "reason", "left_out"),
    [
        ({}, "WITHDRAWN", 0),
        ({"at": NOW - 1}, "NO_CONSENT", 2),
        ({"at": NOW}, "CONSENT", 1),
        ({"at": NOW + DAY - 1}, "CONSENT", 1),
        ({"at": NOW + DAY}, "WITHDRAWN", 0),
        ({"as_known_at": NOW + 3 * DAY - 1}, "CONSENT", 1),
        ({"as_known_at": NOW + 3 * DAY}, "WITHDRAWN", 0),
        ({"at": NOW + DAY, "as_known_at": NOW + 2 * DAY}, "CONSENT", 1),
        ({"at": NOW + DAY, "as_known_at": NOW + 3 * DAY}, "WITHDRAWN", 0),
        ({"at": NOW + DAY - 1, "as_known_at": NOW + 3 * DAY}, "CONSENT", 1),
    ],
)
async def test_one_clock_counts_what_had_occurred_and_the_other_what_was_known(
    moment: dict[str, int], reason: str, left_out: int
) -> None:
    history = await told(await withdrawn_late(), **moment, **ASKED)
    assert history["decision"]["context"]["reason"] == reason
    assert history["left_out"] == left_out
    assert (history["at"], history["as_known_at"]) == (moment.get("at"), moment.get("as_known_at"))


async def test_a_withdrawal_whose_clock_was_ahead_counts_from_its_arrival() -> None:
    node = Node()
    await recorded(node, grant(at=NOW), NOW)
    await recorded(node, act("ConsentWithdrawn", at=NOW + 9 * DAY), NOW + DAY)
    assert (await told(node, at=NOW + DAY, **ASKED))["decision"]["context"]["reason"] == "WITHDRAWN"
    assert (await told(node, at=NOW + DAY - 1, **ASKED))["decision"]["context"]["reason"] == "CONSENT"


async def test_what_was_published_later_was_not_known() -> None:
    node = Node()
    effective = node.log.policies.revisions[0].recorded_at
    for known_at, version in ((effective - 1, None), (effective, 1)):
        history = await told(node, at=NOW, as_known_at=known_at, **ASKED)
        assert history["decision"]["context"]["policy_version"] == version


async def test_of_a_subject_of_whom_the_log_says_nothing_there_is_no_state_and_a_decision() -> None:
    history = await told(Node(), **ASKED)
    assert (history["events"], history["state"], history["next_cursor"]) == ([], None, None)
    assert history["decision"]["context"]["reason"] == "NO_CONSENT"


async def test_without_a_question_nothing_is_decided() -> None:
    assert (await told(await withdrawn_late()))["decision"] is None


async def test_other_subjects_of_the_partition_are_not_told() -> None:
    node = Node()
    for number in range(40):
        name = f"account:other-{number}"
        await node.record(grant() | {"subject": name, "actor": {"role": "subject", "id": name}})
    await node.record(grant())
    assert kinds(await told(node)) == ["ConsentGiven"]


EVENTS = st.lists(
    st.sampled_from(["ConsentGiven", "ConsentWithdrawn", "ConsentRefused", "other"]), min_size=1, max_size=14
)


@settings(max_examples=30, deadline=None)
@given(EVENTS, st.integers(1, 5), st.none() | st.integers(0, 14), st.none() | st.integers(0, 14))
async def test_page_by_page_the_same_is_told_as_at_once(
    events: list[str], limit: int, at: int | None, known: int | None
) -> None:
    whole, paged = Node(), Node(settings=Settings(max_batch=limit))
    for place, kind in enumerate(events):
        name = "account:u-1" if kind != "other" else NEIGHBOUR
        body = grant(at=NOW + place) if kind in ("ConsentGiven", "other") else act(kind, at=NOW + max(0, place - 3))
        body["event_id"] = str(UUID(int=place + 1, version=4))
        for node in (whole, paged):
            await recorded(node, body | {"subject": name, "actor": {"role": "subject", "id": name}}, NOW + place)
    moment = {name: NOW + value for name, value in (("at", at), ("as_known_at", known)) if value is not None}
    once, found = await told(whole, **moment, **ASKED), await pages(paged, **moment, **ASKED)
    assert [each for page in found for each in page["events"]] == once["events"]
    assert all(len(page["events"]) <= limit for page in found)
    for name in ("state", "decision", "left_out", "read_to"):
        assert found[-1][name] == once[name]
    entries = [each for each in whole.log.appended if each.event.subject == "account:u-1"]
    state = replay(entries, AsOf(at=moment.get("at"), as_known_at=moment.get("as_known_at")))
    assert (once["state"] is None) is (state is None)
    if state is not None:
        assert once["state"]["position"] == str(state.position)


def slow(node: Node, *, parts: int) -> None:
    """The log gives some parts of a scan, and then nothing for ever."""
    scan = node.log.scan

    async def stuck(identity: Genesis, subject: str, offset_next: int = 0) -> AsyncGenerator[Scanned, None]:
        given = 0
        async for part in scan(identity, subject, offset_next):
            if given == parts:
                await asyncio.Event().wait()
            given += 1
            yield part

    node.log.scan = stuck  # type: ignore[method-assign]


async def test_what_takes_too_long_is_read_on_from_the_cursor() -> None:
    node = Node(settings=Settings(history_timeout_ms=100))
    for place in range(7):
        await recorded(node, grant(at=NOW + place), NOW + place)
    slow(node, parts=1)
    found = await pages(node, **ASKED)
    assert [len(page["events"]) for page in found] == [3, 3, 1]
    assert found[-1]["decision"]["decision"] is True


async def test_where_nothing_could_be_read_in_time_it_is_said() -> None:
    node = Node(settings=Settings(history_timeout_ms=50))
    await node.record(grant())
    slow(node, parts=0)
    answer = await asked(node)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]


async def test_where_kafka_does_not_answer_it_is_said() -> None:
    node = Node()

    async def broken(identity: Genesis, subject: str, offset_next: int = 0) -> AsyncGenerator[Scanned, None]:
        raise Unavailable("no broker answers")
        yield

    node.log.scan = broken  # type: ignore[method-assign]
    answer = await asked(node)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


async def test_no_more_histories_are_read_at_a_time_than_the_limit() -> None:
    node = Node(settings=Settings(history_timeout_ms=200, history_readers=2))
    await node.record(grant())
    slow(node, parts=0)
    answers = await asyncio.gather(*(asked(node) for _ in range(3)))
    assert sorted(answer.json()["code"] for answer in answers) == ["BUSY", "UNAVAILABLE", "UNAVAILABLE"]
    assert {answer.json()["code"] for answer in [await asked(node)]} == {"UNAVAILABLE"}  # the places are free again


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"at": "yesterday"}, "?at"),
        ({"at": "-1"}, "?at"),
        ({"at": "253402300800000"}, "?at"),
        ({"at": "9" * 5_000}, "?at"),
        ({"at": "٣"}, "?at"),
        ({"as_known_at": "1e3"}, "?as_known_at"),
        ({"as_knwon_at": "1"}, "?"),
        ({"operation": "use"}, "?operation, ?purpose, ?data"),
        ({"active": "true"}, "?operation, ?purpose, ?data"),
        (ASKED | {"operation": "read"}, "?operation"),
        (ASKED | {"form": "blurred"}, "?form"),
        (ASKED | {"active": "yes"}, "?active"),
        (ASKED | {"joined_with_identity": "1"}, "?joined_with_identity"),
        (ASKED | {"device": "eve@example.org"}, "?device"),
        ({"cursor": "x"}, "?cursor"),
    ],
)
async def test_a_parameter_that_says_nothing_sensible_is_refused(params: dict[str, str], pointer: str) -> None:
    answer = await asked(Node(), **params)
    assert (answer.status_code, pointers_of(answer)) == (400, [pointer])


async def test_a_subject_that_is_none_is_refused() -> None:
    answer = await Node().send("GET", "/v1/subjects/eve@example.org/history")
    assert (answer.status_code, pointers_of(answer)) == (400, ["/subject"])


async def test_a_cursor_is_of_one_request_alone() -> None:
    node = Node(settings=Settings(max_batch=1))
    await recorded(node, grant(), NOW)
    await recorded(node, act("ConsentWithdrawn"), NOW + 1)
    cursor = (await told(node, at=NOW + 5))["next_cursor"]
    for params in ({"at": NOW + 6}, {}, {"at": NOW + 5, "as_known_at": NOW + 5}):
        answer = await asked(node, **params, cursor=cursor)
        assert (answer.status_code, pointers_of(answer)) == (400, ["?cursor"])
    answer = await node.send("GET", f"/v1/subjects/{NEIGHBOUR}/history", params={"at": NOW + 5, "cursor": cursor})
    assert answer.status_code == 400
    assert (await told(node, at=NOW + 5, cursor=cursor))["events"]


def packed(*parts: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(msgspec.msgpack.encode(parts))).decode()


async def test_a_cursor_that_was_made_up_is_refused() -> None:
    node = Node(settings=Settings(max_batch=1))
    for place in range(2):
        await recorded(node, grant(at=NOW + place), NOW + place)
    cursor = (await told(node))["next_cursor"]
    digest, offset, left_out, row = msgspec.msgpack.decode(zlib.decompress(base64.urlsafe_b64decode(cursor)))
    state = node.log.view("account:u-1").row
    assert state is not None
    other = encode_row(msgspec.structs.replace(state, subject=NEIGHBOUR))
    made_up = [
        packed(digest, -1, left_out, row),
        packed(digest, offset, -1, row),
        packed(digest, offset, left_out, b"not a row"),
        packed(digest, offset, left_out, other),
        packed("another", offset, left_out, row),
        packed(digest, offset, left_out, b"\0" * 3_000_000),
        cursor[:-8],
    ]
    for each in made_up:
        answer = await asked(node, cursor=each)
        assert (answer.status_code, pointers_of(answer)) == (400, ["?cursor"])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3))
async def test_no_bytes_in_a_cursor_are_a_fault_of_ours(noise: bytes, offset: int) -> None:
    node = Node(settings=Settings(max_batch=1))
    for place in range(2):
        await recorded(node, grant(at=NOW + place), NOW + place)
    digest = msgspec.msgpack.decode(zlib.decompress(base64.urlsafe_b64decode((await told(node))["next_cursor"])))[0]
    state = node.log.view("account:u-1").row
    assert state is not None
    row = bytearray(encode_row(state))
    row[10 : 10 + len(noise)] = noise
    answer = await asked(node, cursor=packed(digest, offset, 0, bytes(row)), **ASKED)
    assert answer.status_code in (200, 400), answer.text
