"""What a network, a node or a proxy can do to a call, and what the client makes of it. The other side is a socket."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import httpx2
import msgspec
import pytest
from contract.in_memory import Node, grant, question

from consentry.client import NOWHERE, AsyncConsentClient, ConsentClient, Doubt
from consentry.client.sending import MAX_ANSWER_BYTES
from consentry.decision import Request
from consentry.errors import ConsentryError, InvalidEvent, Unavailable
from consentry.events import Actor, ConsentGiven
from consentry.settings import Secret, Settings
from consentry.terms import ActorRole, Channel, Expression, Operation, Reason

REQUEST = Request(
    subject="account:u-1", operation=Operation.USE, purpose="recommendation.personalised", data=("behaviour",)
)
GRANT = ConsentGiven(
    event_id=uuid4(),
    subject="account:u-1",
    occurred_at=1_790_000_000_000,
    actor=Actor(role=ActorRole.SUBJECT, id="account:u-1"),
    channel=Channel.APP,
    purpose="recommendation.personalised",
    policy_version=1,
    expression=Expression.SEPARATE,
)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Heard:
    """A request as it came in."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self.body = body


Says = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


class OtherSide:
    """A server that says what a test wants, and remembers what it heard."""

    def __init__(self, *says: Says) -> None:
        self._says = list(says)
        self.heard: list[Heard] = []
        self.connections = 0
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                heard = Heard(head[:-4], b"")
                heard.body = await reader.readexactly(int(heard.headers.get("content-length", "0")))
                self.heard.append(heard)
                says = self._says[min(len(self.heard), len(self._says)) - 1]
                await says(heard, writer)
                await writer.drain()
        writer.transport.abort()

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


@contextlib.asynccontextmanager
async def other_side(*says: Says) -> AsyncIterator[OtherSide]:
    side = OtherSide(*says)
    server = await asyncio.start_server(side.serve, "127.0.0.1", 0)
    side.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield side
    finally:
        server.close()
        await side.stop()


def says(status: int, body: bytes = b"{}", *, echo: bool = True, **headers: str) -> Says:
    async def speak(heard: Heard, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}"]
        if echo:
            lines.append(f"x-request-id: {heard.headers['x-request-id']}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return speak


async def hangs(_heard: Heard, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def hangs_up(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def trickles(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """A head that goes on for ever: each read is quick, and there is no end."""
    writer.write(b"HTTP/1.1 200 OK\r\nx-request-id: " + heard.headers["x-request-id"].encode() + b"\r\nx-slow: ")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.02)


async def speaks_no_http(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    writer.close()


async def allow_of_another_request() -> bytes:
    node = Node()
    await node.record(grant())
    return (await node.ask(question())).content


async def asked(side: OtherSide, **how: float) -> tuple[bool, Reason, Doubt | None]:
    async with AsyncConsentClient(side.url, jitter=lambda: 0.0, **{"deadline_ms": 2_000, **how}) as client:  # type: ignore[arg-type]
        answer = await client.check(REQUEST)
    assert answer.position == NOWHERE
    assert answer.staleness_ms is None
    assert not answer.prompt.may_ask
    return answer.allow, answer.reason, answer.doubt


@pytest.mark.parametrize(
    ("what", "doubt"),
    [
        (says(200, b"{}"), Doubt.UNREADABLE),
        (says(200, b"<html>ok</html>"), Doubt.UNREADABLE),
        (says(200, b'{"decision": true}'), Doubt.UNREADABLE),
        (says(204, b""), Doubt.REFUSED),
        (says(302, b"", location="/elsewhere"), Doubt.REFUSED),
        (says(400, b'{"detail": "no"}'), Doubt.REFUSED),
        (says(401), Doubt.REFUSED),
        (says(403), Doubt.REFUSED),
        (says(404), Doubt.REFUSED),
        (says(500), Doubt.UNAVAILABLE),
        (says(503), Doubt.UNAVAILABLE),
        (says(502, b"<html>bad gateway</html>", echo=False), Doubt.UNAVAILABLE),
        (says(200, b"{}", content_encoding="gzip"), Doubt.UNREADABLE),
        (hangs_up, Doubt.UNREACHABLE),
        (speaks_no_http, Doubt.UNREACHABLE),
    ],
)
async def test_whatever_is_no_answer_is_a_deny_with_its_doubt(what: Says, doubt: Doubt) -> None:
    async with other_side(what) as side:
        assert await asked(side) == (False, Reason.STALE, doubt)


@pytest.mark.parametrize("what", [hangs, trickles], ids=["silence", "a reply without an end"])
async def test_at_the_deadline_the_answer_is_a_deny(what: Says) -> None:
    async with other_side(what) as side:
        began = time.monotonic()
        assert await asked(side, deadline_ms=150) == (False, Reason.STALE, Doubt.TIMEOUT)
        assert time.monotonic() - began < 10  # and not when the other side is done


async def test_the_blocking_client_denies_at_the_deadline_too() -> None:
    async with other_side(trickles) as side:
        with ConsentClient(side.url, deadline_ms=150) as client:
            answer = await asyncio.to_thread(client.check, REQUEST)
    assert (answer.allow, answer.doubt) == (False, Doubt.TIMEOUT)


async def test_an_allow_that_answers_another_request_is_not_believed() -> None:
    """As a cache would give it, or a proxy that has mixed up two connections."""
    allow = await allow_of_another_request()
    async with other_side(says(200, allow, echo=False)) as side:
        assert await asked(side) == (False, Reason.STALE, Doubt.MISMATCHED)
    async with other_side(says(200, allow, echo=False, x_request_id=str(uuid4()))) as side:
        assert await asked(side) == (False, Reason.STALE, Doubt.MISMATCHED)


async def test_a_connection_that_gave_anothers_answer_is_not_used_again() -> None:
    """Whose answers come one late would mistake all that follow."""
    allow = await allow_of_another_request()
    wrong, right = says(200, allow, echo=False, x_request_id=str(uuid4())), says(200, allow)
    async with other_side(wrong, right) as side, AsyncConsentClient(side.url) as client:
        assert (await client.check(REQUEST)).doubt is Doubt.MISMATCHED
        assert (await client.check(REQUEST)).allow
    assert side.connections == 2


async def test_an_answer_beyond_all_bounds_is_not_read_to_its_end() -> None:
    async with other_side(says(200, b" " * (MAX_ANSWER_BYTES + 1))) as side, AsyncConsentClient(side.url) as client:
        answer = await client.check(REQUEST, deadline_ms=20_000)
    assert (answer.allow, answer.doubt) == (False, Doubt.UNREADABLE)
    assert f"more than {MAX_ANSWER_BYTES} bytes" in answer.detail


async def test_an_address_where_nobody_listens_is_a_deny() -> None:
    async with other_side(hangs) as side:
        pass
    assert await asked(side) == (False, Reason.STALE, Doubt.UNREACHABLE)


async def test_a_fault_in_this_process_is_a_deny() -> None:
    class Broken(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, _request: httpx2.Request) -> httpx2.Response:
            raise RuntimeError("a fault of ours")

    async with AsyncConsentClient("http://node", transport=Broken()) as client:
        one, (other,) = await client.check(REQUEST), await client.check_many([REQUEST])
    assert (one.allow, one.doubt) == (other.allow, other.doubt) == (False, Doubt.BROKEN)


async def test_a_reading_is_tried_again_and_then_believed() -> None:
    allow = await allow_of_another_request()
    async with (
        other_side(says(503), hangs_up, says(200, allow)) as side,
        AsyncConsentClient(side.url, jitter=lambda: 0.0) as client,
    ):
        answer = await client.check(REQUEST)
    assert (answer.allow, answer.doubt, len(side.heard)) == (True, None, 3)
    assert len({heard.headers["x-request-id"] for heard in side.heard}) == 3


async def test_a_call_is_tried_as_often_as_was_said_and_no_more() -> None:
    async with other_side(says(503)) as side:
        await asked(side, attempts=4)
    assert len(side.heard) == 4


async def test_it_pauses_between_tries_and_not_after_the_last() -> None:
    pauses: list[float] = []

    def jitter() -> float:
        pauses.append(0.0)
        return 0.0

    async with other_side(says(503)) as side, AsyncConsentClient(side.url, attempts=3, jitter=jitter) as client:
        await client.check(REQUEST)
    assert (len(side.heard), len(pauses)) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
async def test_what_repeating_cannot_mend_is_not_repeated(status: int) -> None:
    async with other_side(says(status)) as side:
        await asked(side)
    assert len(side.heard) == 1


async def test_a_pause_that_is_asked_for_and_does_not_fit_into_the_deadline_ends_the_call() -> None:
    async with other_side(says(503, retry_after="60")) as side:
        began = time.monotonic()
        assert await asked(side, deadline_ms=20_000) == (False, Reason.STALE, Doubt.UNAVAILABLE)
        assert (len(side.heard), time.monotonic() - began < 15) == (1, True)


async def test_a_connection_is_kept_for_the_next_call() -> None:
    async with other_side(says(500)) as side, AsyncConsentClient(side.url) as client:
        for _ in range(5):
            await client.check(REQUEST)
    assert (len(side.heard), side.connections) == (5, 1)


async def test_of_many_questions_those_beyond_the_deadline_are_denied() -> None:
    async with other_side(hangs) as side, AsyncConsentClient(side.url, deadline_ms=150) as client:
        answers = await client.check_many([REQUEST] * 250)
    assert len(answers) == 250
    assert {(answer.allow, answer.doubt) for answer in answers} == {(False, Doubt.TIMEOUT)}
    assert len(side.heard) == 1


async def test_a_deadline_of_nothing_is_over() -> None:
    async with other_side(hangs) as side, AsyncConsentClient(side.url) as client:
        (many,) = await client.check_many([REQUEST], deadline_ms=0)
        one = await client.check(REQUEST, deadline_ms=0)
    assert (one.allow, one.doubt, many.doubt) == (False, Doubt.TIMEOUT, Doubt.TIMEOUT)


async def test_no_questions_ask_nobody() -> None:
    async with other_side(hangs) as side, AsyncConsentClient(side.url) as client:
        assert await client.check_many([]) == ()
    assert side.heard == []


# writing


def sent(side: OtherSide) -> list[dict[str, object]]:
    return [msgspec.json.decode(heard.body) for heard in side.heard]


async def test_a_write_is_repeated_as_one_and_the_same() -> None:
    done = msgspec.json.encode({"event_id": str(GRANT.event_id), "position": "e1.p2.o3", "effect": "applied"})
    async with (
        other_side(hangs_up, says(503), says(201, done)) as side,
        AsyncConsentClient(side.url, jitter=lambda: 0.0) as client,
    ):
        appended = await client.publish(GRANT, wait_ms=500)
    assert (str(appended.position), appended.effect) == ("e1.p2.o3", "applied")
    bodies = sent(side)
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["event_id"] == str(GRANT.event_id)
    assert all("wait=500" in heard.line for heard in side.heard)


async def test_with_a_key_each_try_sends_the_key_and_no_id_of_its_own() -> None:
    done = msgspec.json.encode({"event_id": str(uuid4()), "position": "e1.p2.o3"})
    async with (
        other_side(says(503), says(201, done)) as side,
        AsyncConsentClient(side.url, jitter=lambda: 0.0) as client,
    ):
        await client.publish(GRANT, idempotency_key="signup-7")
    assert [heard.headers["idempotency-key"] for heard in side.heard] == ["signup-7", "signup-7"]
    assert all("event_id" not in body for body in sent(side))


@pytest.mark.parametrize("what", [says(503), says(500), hangs_up, says(201, b"{}"), says(201, echo=False)])
async def test_an_outcome_that_is_not_known_is_said_to_be_so(what: Says) -> None:
    async with other_side(what) as side, AsyncConsentClient(side.url, jitter=lambda: 0.0) as client:
        with pytest.raises(Unavailable, match="nothing happens twice"):
            await client.publish(GRANT)


async def test_a_receipt_for_another_event_is_not_believed() -> None:
    other = msgspec.json.encode({"event_id": str(uuid4()), "position": "e1.p2.o3"})
    async with other_side(says(201, other)) as side, AsyncConsentClient(side.url) as client:
        with pytest.raises(Unavailable, match="other events"):
            await client.publish(GRANT)


async def test_a_refusal_names_the_fields() -> None:
    body = msgspec.json.encode(
        {"detail": "no", "code": "NOT_IN_POLICY", "errors": [{"pointer": "/purpose", "detail": "none such"}]}
    )
    async with other_side(says(422, body)) as side, AsyncConsentClient(side.url) as client:
        with pytest.raises(InvalidEvent) as fault:
            await client.publish(GRANT)
    assert (fault.value.status, fault.value.code) == (422, "NOT_IN_POLICY")
    assert [problem.where for problem in fault.value.problems] == ["/purpose"]


async def test_a_caller_who_is_not_known_is_no_fault_of_the_event() -> None:
    body = msgspec.json.encode({"detail": "no token", "code": "UNAUTHENTICATED"})
    async with other_side(says(401, body)) as side, AsyncConsentClient(side.url) as client:
        with pytest.raises(ConsentryError, match="no token") as fault:
            await client.publish(GRANT)
    assert not isinstance(fault.value, InvalidEvent)


async def test_a_state_that_cannot_be_read_is_none() -> None:
    async with other_side(says(200)) as side, AsyncConsentClient(side.url) as client:
        with pytest.raises(Unavailable):
            await client.state("account:u-1")


# how it is made


@pytest.mark.parametrize("url", ["", "node", "ftp://node", "http://", "/v1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    for kind in (AsyncConsentClient, ConsentClient):
        with pytest.raises(ConsentryError, match="no address"):
            kind(url)


async def test_settings_say_where_the_node_is_and_the_token_is_shown_to_it_alone() -> None:
    async with other_side(says(401)) as side:
        settings = Settings(node_url=side.url, bearer_token=Secret("t0ken"))
        async with AsyncConsentClient(settings) as client:
            answer = await client.check(REQUEST)
    assert side.heard[0].headers["authorization"] == "bearer t0ken"
    assert "t0ken" not in repr(client) + repr(answer)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return


@pytest.mark.usefixtures("proxied")
async def test_a_proxy_of_the_environment_is_not_asked() -> None:
    async with other_side(says(401)) as side:
        assert (await asked(side))[2] is Doubt.REFUSED
