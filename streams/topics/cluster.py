"""The topics of a live cluster, through its admin interface. Knows no rules."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from consentry.errors import ConsentryError, Unavailable
from consentry.settings import Settings

POLL_S = 0.05


class LiveTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replicas: int
    """of the partition that has the fewest"""
    leaderless: int
    """partitions that nobody serves now"""
    settings: dict[str, str]
    """what holds for it: its own settings, else the broker's"""


class PlannedTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic to be made."""

    name: str
    partitions: int
    replicas: int
    settings: dict[str, str]


@contextmanager
def kafka_faults(settings: Settings) -> Iterator[None]:
    """Whatever the client raises becomes Unavailable, which says where."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as fault:
        raise Unavailable(
            str(fault) or type(fault).__name__,
            where=f"Kafka at {settings.bootstrap_servers}",
            remedy="is it running, and is CONSENTRY_BOOTSTRAP_SERVERS (--bootstrap-servers) its address?",
        ) from fault


def bootstrap_of(settings: Settings) -> str:
    """The address to begin with. Raises ConsentryError where none is set."""
    if not settings.bootstrap_servers:
        raise ConsentryError(
            "no Kafka is named",
            where="CONSENTRY_BOOTSTRAP_SERVERS",
            remedy="set it or give --bootstrap-servers host:port; `consentry broker` starts one here",
        )
    return settings.bootstrap_servers


class Cluster:
    """An admin connection, made by `connect`."""

    def __init__(self, admin: AIOKafkaAdminClient, settings: Settings) -> None:
        self._admin = admin
        self._settings = settings

    async def brokers(self) -> int:
        """How many brokers are up."""
        described = await self._admin.describe_cluster()
        return len(described["brokers"])

    async def topics(self, *, wanted: Iterable[str] = (), beginning: Iterable[str] = ()) -> tuple[LiveTopic, ...]:
        """Those of `wanted` that exist, and each whose name begins with one of `beginning`; by name.

        Asks for all topics: a question for a missing one may create it.
        """
        names, heads = frozenset(wanted), tuple(beginning)
        found = [
            topic
            for topic in await self._admin.describe_topics()
            if topic["topic"] in names or (heads and topic["topic"].startswith(heads))
        ]
        configs = await self._configs([topic["topic"] for topic in found])
        return tuple(
            sorted(
                (_live(topic, configs[topic["topic"]]) for topic in found),
                key=lambda live: live.name,
            )
        )

    async def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, dict[str, str]] = {}
        for response in await self._admin.describe_configs(resources):
            for code, _message, _kind, name, entries in response.resources:
                if code:
                    raise for_code(code)(f"the settings of {name} cannot be read")
                configs[name] = {entry[0]: entry[1] or "" for entry in entries}
        return configs

    async def create(self, planned: Iterable[PlannedTopic]) -> tuple[str, ...]:
        """Make them and wait until each partition is served. One that another made meanwhile is no fault.

        Returns the names of those that this call made.
        """
        plan = tuple(planned)
        if not plan:
            return ()
        response = await self._admin.create_topics(
            [NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=topic.settings) for topic in plan]
        )
        made = []
        for name, code, *message in response.topic_errors:
            if code == 0:
                made.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise _creation_fault(name, code, message[0] if message else "")
        await self._served({topic.name for topic in plan})
        return tuple(made)

    async def _served(self, names: set[str]) -> None:
        deadline = time.monotonic() + self._settings.acknowledge_timeout_ms / 1000
        while time.monotonic() < deadline:
            live = await self.topics(wanted=names)
            if len(live) == len(names) and not any(topic.leaderless for topic in live):
                return
            await asyncio.sleep(POLL_S)
        raise TimeoutError(f"not served in time: {', '.join(sorted(names))}")


def _creation_fault(name: str, code: int, message: str | None) -> Exception:
    fault: Exception = for_code(code)(message or "")
    if getattr(fault, "retriable", False):
        return fault
    return ConsentryError(f"it cannot be created: {message or type(fault).__name__}", where=name)


def _live(topic: Any, settings: dict[str, str]) -> LiveTopic:
    partitions = topic["partitions"]
    return LiveTopic(
        name=topic["topic"],
        partitions=len(partitions),
        replicas=min((len(partition["replicas"]) for partition in partitions), default=0),
        leaderless=sum(1 for partition in partitions if partition["leader"] < 0 or partition["error_code"]),
        settings=settings,
    )


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Cluster]:
    """Raises Unavailable while no broker answers, and for whatever the client raises within the block."""
    bootstrap = bootstrap_of(settings)
    with kafka_faults(settings):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=settings.acknowledge_timeout_ms)
        try:
            await admin.start()
            yield Cluster(admin, settings)
        finally:
            await admin.close()
