"""The client and a real node: what was acknowledged is never overlooked, and what breaks in between is a deny."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from running import read_records
from stack.living import Living, living_stack

from consentry import AsyncConsentClient, Position, Reason, Request, Unavailable
from consentry.answers import Doubt
from consentry.codec import decode_log_record
from consentry.events import Actor, ConsentGiven, ConsentWithdrawn
from consentry.terms import ActorRole, Channel, Effect, Expression, Operation
from consentry.testing.live import LiveConsentry

pytestmark = pytest.mark.stack

HOME = "recommendation.personalised"


@pytest.fixture(scope="module")
def living(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living_stack(kafka, tmp_path_factory.mktemp("living")) as stack:
        yield stack


def asked_about(subject: str, seen: Position | None = None) -> Request:
    return Request(subject=subject, operation=Operation.USE, purpose=HOME, data=("behaviour",), min_position=seen)


def grant(subject: str) -> ConsentGiven:
    return ConsentGiven(
        event_id=uuid4(),
        subject=subject,
        occurred_at=time.time_ns() // 1_000_000,
        actor=Actor(role=ActorRole.SUBJECT, id=subject),
        channel=Channel.APP,
        purpose=HOME,
        policy_version=1,
        expression=Expression.SEPARATE,
    )


def withdrawal(subject: str) -> ConsentWithdrawn:
    return ConsentWithdrawn(
        event_id=uuid4(),
        subject=subject,
        occurred_at=time.time_ns() // 1_000_000,
        actor=Actor(role=ActorRole.SUBJECT, id=subject),
        channel=Channel.APP,
    )


async def test_a_withdrawal_that_was_acknowledged_is_never_overlooked(living: Living) -> None:
    subject = "account:never-overlooked"
    async with AsyncConsentClient(living.settings) as client:
        for _ in range(20):
            given = await client.publish(grant(subject), wait_ms=2_000)
            assert given.effect is Effect.APPLIED
            assert (await client.check(asked_about(subject, given.position))).allow
            stopped = await client.publish(withdrawal(subject))
            answer = await client.check(asked_about(subject, stopped.position))
            assert (answer.allow, answer.reason, answer.doubt) == (False, Reason.WITHDRAWN, None)
        many = await client.check_many([asked_about(subject, stopped.position)] * 250)
        assert {(each.allow, each.reason) for each in many} == {(False, Reason.WITHDRAWN)}
        assert (await client.state(subject)).tightened_position == str(stopped.position)


def test_a_node_that_stands_still_or_dies_is_a_deny_and_is_asked_again_once_it_is_back(living: Living) -> None:
    subject = "account:node-dies"
    with living.client(deadline_ms=1_000) as client:
        client.publish(grant(subject), wait_ms=2_000)
        assert client.check(asked_about(subject)).allow
        living.node.signal(signal.SIGSTOP)
        answer = client.check(asked_about(subject))
        assert (answer.allow, answer.doubt) == (False, Doubt.TIMEOUT)
        living.node.kill()
        answer = client.check(asked_about(subject))
        assert (answer.allow, answer.doubt) == (False, Doubt.UNREACHABLE)
        with pytest.raises(Unavailable):
            client.publish(withdrawal(subject))
        living.node.close()
        living.start_node()
        assert client.check(asked_about(subject), deadline_ms=10_000).allow


class CuttingProxy:
    """It carries each request to the node whole, and cuts the first answers off before a byte of them is through."""

    def __init__(self, living: Living, cuts: int) -> None:
        self._port = int(living.settings.node_url.rpartition(":")[2])
        self.left = cuts
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        carrying = asyncio.create_task(self._carry(reader, ours))
        try:
            while answer := await theirs.read(65_536):
                if self.left:
                    self.left -= 1
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)
            ours.transport.abort()
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, node: asyncio.StreamWriter) -> None:
        """Head and body may come one after the other."""
        while data := await reader.read(65_536):
            node.write(data)
            await node.drain()
        node.transport.abort()


@asynccontextmanager
async def cut_off(living: Living, cuts: int) -> AsyncIterator[str]:
    proxy = CuttingProxy(living, cuts)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert proxy.left == 0
    finally:
        server.close()
        for task in proxy.tasks:
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def test_a_write_whose_answers_were_lost_stands_in_the_log_once(living: Living) -> None:
    """By its event_id, and by a key whatever its event_id."""
    subject = "account:answers-lost"
    token = living.settings.bearer_token
    event, stop = grant(subject), withdrawal(subject)
    async with cut_off(living, cuts=4) as url, AsyncConsentClient(url, token=token, attempts=5) as client:
        first = await client.publish(event, wait_ms=2_000)
    async with cut_off(living, cuts=2) as url, AsyncConsentClient(url, token=token, attempts=2) as client:
        with pytest.raises(Unavailable, match="nothing happens twice"):
            await client.publish(stop, idempotency_key="job-7")
    async with AsyncConsentClient(living.settings) as client:
        assert (await client.publish(event)).position == first.position
        restarted = msgspec.structs.replace(stop, event_id=uuid4())
        keyed = await client.publish(restarted, idempotency_key="job-7")
    records = await read_records(living.settings, "consent-events", living.settings.partitions)
    written = [decode_log_record(record.value) for record in records if record.key == subject.encode()]
    assert [type(each).__name__ for each in written] == ["ConsentGiven", "ConsentWithdrawn"]
    assert [str(each.event_id) for each in written] == [first.event_id, keyed.event_id]  # type: ignore[union-attr]


def test_a_story_is_told_to_a_real_node(living: Living) -> None:
    with living.client() as client:
        world = LiveConsentry(client, policy_version=1)
        ada = world.person("account:ada").has_verified_age(birth_date="2010-01-01").has_guardian("account:gus")
        request = ada.asks("use", "behaviour", purpose=HOME)
        ada.accepts_policy(by="account:gus").gives(HOME)
        assert ada.answer(request).reason is Reason.PENDING_GUARDIAN
        ada.gives(HOME, by="account:gus")
        assert ada.effect is Effect.APPLIED
        assert ada.answer(request).allow
        ada.is_revoked(HOME)
        assert ada.answer(request).reason is Reason.REVOKED
        other_run = LiveConsentry(client, policy_version=1)
        assert world.person("account:ada").subject == ada.subject != other_run.named("account:ada")
