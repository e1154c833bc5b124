"""The client and a node's own API, in one process: what each writes, the other reads."""

import asyncio
import inspect
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2
import msgspec
import pytest
from contract.in_memory import NOW, Node, act, grant

from consentry.client import AsyncConsentClient, ConsentClient, Doubt, state
from consentry.decision import Request, decide
from consentry.errors import InvalidEvent
from consentry.events import Actor, AnySubjectEvent, ConsentGiven, ConsentWithdrawn
from consentry.terms import ActorRole, Channel, Effect, Expression, Form, Operation, Position, Reason
from streams.query import circumstances, known_events, subjects

REQUEST = Request(
    subject="account:u-1", operation=Operation.USE, purpose="recommendation.personalised", data=("behaviour",)
)


def event_of(kind: type[AnySubjectEvent], **fields: object) -> AnySubjectEvent:
    return kind(
        event_id=uuid4(),
        subject="account:u-1",
        occurred_at=NOW,
        actor=Actor(role=ActorRole.SUBJECT, id="account:u-1"),
        channel=Channel.APP,
        purpose="recommendation.personalised",
        **fields,
    )


def a_grant(**fields: object) -> AnySubjectEvent:
    return event_of(ConsentGiven, policy_version=1, expression=Expression.SEPARATE, **fields)


def client_of(node: Node) -> AsyncConsentClient:
    return AsyncConsentClient(
        "http://node", token=node.token, transport=httpx2.ASGITransport(node.api), clock=node.log.clock
    )


@pytest.fixture
def node() -> Node:
    return Node()


async def test_an_answer_is_the_very_decision_of_the_node(node: Node) -> None:
    await node.record(grant())
    requests = [
        REQUEST,
        msgspec.structs.replace(REQUEST, data=("posted_content", "behaviour")),
        msgspec.structs.replace(REQUEST, purpose="no.such"),
        Request(
            subject="account:u-1",
            operation=Operation.SHARE,
            purpose="analytics.usage",
            data=("usage_statistics",),
            recipient="statco",
            form=Form.DEIDENTIFIED,
            joined_with_identity=False,
        ),
        Request(
            subject="account:u-1",
            operation=Operation.COLLECT,
            purpose="publish.camera",
            data=("camera_image",),
            active=True,
            device="device:d-1",
            scene="start",
        ),
    ]
    async with client_of(node) as client:
        answers = [await client.check(request) for request in requests]
        batch = await client.check_many(requests)
    for request, answer, again in zip(requests, answers, batch, strict=True):
        decision = decide(node.log.view(request.subject), node.log.policies, request, NOW)
        assert {name: getattr(answer, name) for name in decision.__struct_fields__} == msgspec.structs.asdict(decision)
        assert answer == again
        assert answer.doubt is None


async def test_more_questions_than_fit_into_one_request_are_all_answered_in_order(node: Node) -> None:
    await node.record(grant())
    requests = [
        REQUEST if number % 3 else msgspec.structs.replace(REQUEST, subject=f"account:n-{number}")
        for number in range(230)
    ]
    async with client_of(node) as client:
        answers = await client.check_many(requests)
    assert [answer.allow for answer in answers] == [bool(number % 3) for number in range(230)]


async def test_a_question_that_a_node_does_not_take_denies_itself_alone(node: Node) -> None:
    await node.record(grant())
    odd = msgspec.structs.replace(REQUEST, subject="account:" + "x" * 200)
    async with client_of(node) as client:
        answers = await client.check_many([REQUEST, odd, REQUEST])
        assert [answer.allow for answer in answers] == [True, False, True]
        assert answers[1].doubt is (await client.check(odd)).doubt is Doubt.REFUSED
        no_type = await client.check(msgspec.structs.replace(REQUEST, subject="u-1"))
        assert (no_type.allow, no_type.doubt) == (False, Doubt.REFUSED)


async def test_what_is_published_is_seen_by_its_position(node: Node) -> None:
    async with client_of(node) as client:
        given = await client.publish(a_grant(evidence=b"form:7"), wait_ms=1_000)
        assert given.effect is Effect.APPLIED
        seen = msgspec.structs.replace(REQUEST, min_position=given.position)
        assert (await client.check(seen)).allow
        (stopped,) = await client.publish_all([event_of(ConsentWithdrawn)])
        answer = await client.check(msgspec.structs.replace(REQUEST, min_position=stopped.position))
    assert (answer.allow, answer.reason, answer.tightened_position) == (False, Reason.WITHDRAWN, stopped.position)
    assert node.log.appended[0].event.evidence == b"form:7"
    assert node.log.appended[0].event.producer == "all"


async def test_an_event_of_a_clock_that_is_ahead_is_moved_back_by_as_much(node: Node) -> None:
    ahead_ms = 3_600_000
    event = msgspec.structs.replace(a_grant(), occurred_at=NOW + ahead_ms)
    transport = httpx2.ASGITransport(node.api)
    async with AsyncConsentClient(
        "http://node", token="all", transport=transport, clock=lambda: NOW + ahead_ms
    ) as client:
        await client.publish(event)
        await client.publish_all([msgspec.structs.replace(event, event_id=uuid4())])
    assert [(each.event.occurred_at, each.event.skew_ms) for each in node.log.appended] == [(NOW, ahead_ms)] * 2


async def test_what_is_not_visible_yet_is_denied_as_such(node: Node) -> None:
    node.log.folds_at_once = False
    async with client_of(node) as client:
        given = await client.publish(a_grant())
        answer = await client.check(msgspec.structs.replace(REQUEST, min_position=given.position))
    assert (answer.allow, answer.reason, answer.doubt) == (False, Reason.NOT_YET_VISIBLE, None)


async def test_an_event_that_is_published_twice_is_one(node: Node) -> None:
    event = a_grant()
    async with client_of(node) as client:
        assert await client.publish(event) == await client.publish(event)
        keyed = await client.publish(a_grant(), idempotency_key="job-7")
        assert keyed == await client.publish(a_grant(), idempotency_key="job-7")
    assert len(node.log.appended) == 2


async def test_an_event_that_intake_refuses_is_refused_here(node: Node) -> None:
    async with client_of(node) as client:
        with pytest.raises(InvalidEvent) as fault:
            await client.publish(a_grant(data=("camera_image",)))
        assert (fault.value.status, fault.value.code) == (422, "NOT_IN_POLICY")
        assert [problem.where for problem in fault.value.problems] == ["/data/0"]


async def test_a_caller_without_a_role_is_denied_and_refused(node: Node) -> None:
    node.token = "auditor"
    async with client_of(node) as client:
        assert (await client.check(REQUEST)).doubt is Doubt.REFUSED
        with pytest.raises(InvalidEvent) as fault:
            await client.publish(a_grant())
    assert fault.value.status == 403


async def test_whether_one_may_ask_is_as_the_node_says(node: Node) -> None:
    async with client_of(node) as client:
        assert (await client.prompt(REQUEST)).may_ask
        await node.record(act("ConsentRefused", scene="start"))
        held = await client.prompt(REQUEST)
        assert (held.may_ask, held.ask_after) == (False, NOW + 48 * 3_600_000)
        assert (await client.prompt(msgspec.structs.replace(REQUEST, user_initiated=True))).may_ask


async def test_a_state_is_read_whole(node: Node) -> None:
    await node.record(grant())
    await node.record(act("ConsentRefused", purpose="publish.camera"))
    async with client_of(node) as client:
        found = await client.state("account:u-1")
    told = (await node.send("GET", "/v1/subjects/account:u-1")).json()
    assert msgspec.json.decode(msgspec.json.encode(found)) == told
    assert {cell.status for cell in found.cells} == {"given", "refused"}


def test_the_client_knows_each_field_that_a_node_tells_of_a_subject() -> None:
    """The two are written twice, as the library imports nothing of what runs: they must not come apart."""

    def fields(kind: type[msgspec.Struct]) -> set[str]:
        return {field.name for field in msgspec.structs.fields(kind)}

    assert fields(state.KnownSubject) == fields(subjects.SubjectView)
    for name in ("KnownAge", "KnownGuardian", "AcceptedVersion", "StandingObjection", "InvokedExemption"):
        assert fields(getattr(state, name)) == fields(getattr(circumstances, name)), name
    assert fields(state.EndedExemption) == fields(circumstances.EndedExemption)
    assert fields(state.CellStatus) == fields(subjects.CellStatus)
    assert fields(state.SeenPermission) == fields(subjects.SeenPermission)
    assert fields(state.KnownEvent) == fields(known_events.KnownEvent)


def test_the_two_clients_have_the_same_methods_with_the_same_arguments() -> None:
    public = {name for name in vars(AsyncConsentClient) if not name.startswith("_")}
    assert public == {name for name in vars(ConsentClient) if not name.startswith("_")} - {"blocks"}
    for name in (*public, "__init__"):
        one, other = (inspect.signature(getattr(kind, name)) for kind in (AsyncConsentClient, ConsentClient))
        assert one == other, name


# without an event loop


@pytest.fixture
def blocking(node: Node) -> Iterator[ConsentClient]:
    transport = httpx2.ASGITransport(node.api)
    with ConsentClient("http://node", token="all", transport=transport, clock=node.log.clock) as client:
        yield client


def test_the_blocking_client_does_all_that_the_other_does(node: Node, blocking: ConsentClient) -> None:
    assert (blocking.check(REQUEST).reason, blocking.prompt(REQUEST).may_ask) == (Reason.NO_CONSENT, True)
    given = blocking.publish(a_grant(), wait_ms=1_000)
    assert [answer.allow for answer in blocking.check_many([REQUEST] * 3)] == [True] * 3
    (stopped,) = blocking.publish_all([event_of(ConsentWithdrawn)])
    assert stopped.position > given.position
    assert blocking.check(REQUEST).reason is Reason.WITHDRAWN
    assert blocking.state("account:u-1").tightened_position == str(stopped.position)
    with pytest.raises(InvalidEvent):
        blocking.publish(a_grant(data=("camera_image",)))


def test_threads_share_a_client(blocking: ConsentClient) -> None:
    blocking.publish(a_grant())
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.allow for answer in pool.map(blocking.check, [REQUEST] * 100))


def test_no_thread_is_begun_before_the_first_call_nor_left_after_the_last(node: Node) -> None:
    def threads() -> int:
        return sum(thread.name == "consentry-client" for thread in threading.enumerate())

    before = threads()
    client = ConsentClient("http://node", token="all", transport=httpx2.ASGITransport(node.api))
    assert threads() == before
    client.check(REQUEST)
    assert threads() == before + 1
    client.close()
    client.close()
    assert threads() == before


def test_a_client_that_was_closed_begins_anew(blocking: ConsentClient) -> None:
    blocking.check(REQUEST)
    blocking.close()
    assert blocking.check(REQUEST).doubt is None


def test_a_call_whose_loop_stands_still_ends_all_the_same() -> None:
    """As where the loop's thread is starved: the deadline is the caller's."""

    class Standing(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            self.go_on = threading.Event()

        async def handle_async_request(self, _request: httpx2.Request) -> httpx2.Response:
            self.go_on.wait(30)  # blocks the loop itself
            return httpx2.Response(500)

    standing = Standing()
    with ConsentClient("http://node", deadline_ms=50, transport=standing) as client:
        answer = client.check(REQUEST)
        standing.go_on.set()
    assert (answer.allow, answer.doubt) == (False, Doubt.TIMEOUT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
async def test_a_forked_process_has_connections_of_its_own() -> None:
    peers: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        while await reader.readline() not in (b"\r\n", b""):
            pass
        writer.write(b"HTTP/1.1 500 Said\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = ConsentClient(url, deadline_ms=5_000)
    try:
        assert (await asyncio.to_thread(client.check, REQUEST)).doubt is Doubt.UNAVAILABLE
        child = os.fork()
        if child == 0:
            answer = client.check(REQUEST)
            os._exit(0 if answer.doubt is Doubt.UNAVAILABLE else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert len(peers) == 2
    finally:
        await asyncio.to_thread(client.close)
        server.close()
        await asyncio.sleep(0.05)


def test_a_position_is_what_a_caller_keeps_beside_what_it_collected(node: Node, blocking: ConsentClient) -> None:
    blocking.publish(a_grant())
    kept = str(blocking.check(REQUEST).position)
    again = msgspec.structs.replace(REQUEST, min_position=Position.parse(kept))
    assert blocking.check(again).allow
