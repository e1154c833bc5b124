"""Guards on a real Kafka: another topic's records, in their order, by what people agreed to a moment ago."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from running import Child
from stack.living import Living, living_stack
from stack.pipelines import create, read, write

from consentry import ConsentDenied, ConsentReplica, Operation, consent_filter, requires_consent
from consentry.guard import Dropped
from consentry.guard.aiokafka import filtered
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.terms import Reason
from consentry.testing.live import LiveConsentry

pytestmark = pytest.mark.stack

HOME = "recommendation.personalised"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def living(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living_stack(kafka, tmp_path_factory.mktemp("living")) as stack:
        yield stack


@pytest.fixture(scope="module")
def world(living: Living) -> Iterator[LiveConsentry]:
    with living.client() as client:
        yield LiveConsentry(client, policy_version=1)


@pytest.fixture
async def replica(living: Living) -> AsyncIterator[ConsentReplica]:
    replica = ConsentReplica(living.settings)
    await replica.start()
    yield replica
    await replica.stop()


async def until_seen(replica: ConsentReplica, world: LiveConsentry, subject: str) -> None:
    assert await replica.wait_for(world._published[subject], 10_000)


async def test_a_function_asks_the_replica_of_its_own_process(
    living: Living, world: LiveConsentry, replica: ConsentReplica
) -> None:
    ada = await asyncio.to_thread(lambda: world.person("account:function").gives(HOME))

    @requires_consent(replica, purpose=HOME, data="behaviour", operation=Operation.USE, subject="who")
    def recommend(who: str) -> str:
        return who

    await until_seen(replica, world, ada.subject)
    assert recommend(ada.subject) == ada.subject
    await asyncio.to_thread(ada.withdraws, HOME)
    await until_seen(replica, world, ada.subject)
    with pytest.raises(ConsentDenied) as denied:
        recommend(ada.subject)
    assert denied.value.decision.reason is Reason.WITHDRAWN


async def test_a_consumers_records_pass_masked_or_whole_in_their_order_and_what_is_dropped_is_told(
    living: Living, world: LiveConsentry, replica: ConsentReplica
) -> None:
    await create(living.settings, "consumed-clicks")
    ada = await asyncio.to_thread(lambda: world.person("account:consumed").gives(HOME, data="behaviour"))
    await until_seen(replica, world, ada.subject)
    whose = [ada.subject if number % 3 else "account:nobody" for number in range(200)]
    clicks: list[object] = [
        {"account": who, "number": number, "watched": f"film {number}", "wrote": "a poem", "new": "?"}
        for number, who in enumerate(whose)
    ]
    await write(living.settings, "consumed-clicks", [*clicks, None, 7])
    told: list[Dropped] = []

    async def tell(dropped: Dropped) -> None:
        told.append(dropped)

    mask, drop = (
        consent_filter(
            replica,
            purpose=HOME,
            operation=Operation.USE,
            subject=lambda click: click["account"],
            fields={"watched": "behaviour", "wrote": "posted_content"} if how == "mask" else {"watched": "behaviour"},
            keeps=("account", "number"),
            denied=how,
        )
        for how in ("mask", "drop")
    )
    masked = [value async for value in passing(living, mask, tell, count=201)]
    assert masked[-1] is None  # a tombstone
    assert masked[:-1] == [
        {
            "account": who,
            "number": number,
            "watched": f"film {number}" if who == ada.subject else None,
            "wrote": None,
            "new": None,
        }
        for number, who in enumerate(whose)
    ]
    assert (mask.counts.masked, mask.counts.passed) == (200, 0)
    left = [number for number, who in enumerate(whose) if who == ada.subject]
    dropped = [value async for value in passing(living, drop, tell, count=len(left) + 1)]
    assert [value["number"] for value in dropped[:-1]] == left
    assert [each.offset for each in told if each.reason is Reason.NO_CONSENT] == [
        number for number, who in enumerate(whose) if who != ada.subject
    ]
    assert drop.counts.dropped == 200 - len(left)


async def passing(living: Living, keep: object, tell: object, count: int) -> AsyncIterator[object]:
    """The first `count` values that pass."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=living.settings.bootstrap_servers,
        value_deserializer=lambda value: None if value is None else json.loads(value),
        **CONSUMER_DEFAULTS,
    )
    await consumer.start()
    tp = TopicPartition(living.settings.topic("consumed-clicks"), 0)
    consumer.assign([tp])
    consumer.seek(tp, 0)
    try:
        async for record in filtered(consumer, keep, on_dropped=tell):  # type: ignore[arg-type]
            yield record.value
            count -= 1
            if not count:
                return
    finally:
        await consumer.stop()


async def test_a_faust_pipeline_drops_in_order_and_tells_where_it_stood(
    living: Living, world: LiveConsentry, tmp_path: Path
) -> None:
    await create(living.settings, "app-clicks", "passed-clicks", "dropped-clicks")
    ada = await asyncio.to_thread(lambda: world.person("account:dropping").gives(HOME))
    whose = [ada.subject if number % 2 else "account:nobody" for number in range(100)]
    await write(
        living.settings,
        "app-clicks",
        [{"account": who, "number": number, "watched": "a film"} for number, who in enumerate(whose)],
    )
    command = ("-m", "faust", "-A", "dropping_pipeline", "worker", "-l", "info")
    child = Child(living.settings, tmp_path / "pipeline.log", *command, cwd=HERE)
    try:
        passed = await read(living.settings, "passed-clicks", 50, child)
        dropped = await read(living.settings, "dropped-clicks", 50, child)
    finally:
        child.stop()
    assert [click["number"] for click in passed] == list(range(1, 100, 2))
    assert [note["offset"] for note in dropped] == list(range(0, 100, 2))
    assert {(note["reason"], note["clause"], note["partition"]) for note in dropped} == {("NO_CONSENT", "P-1", 0)}
    assert all(note.keys() == {"topic", "partition", "offset", "reason", "clause", "doubt"} for note in dropped)
