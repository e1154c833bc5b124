"""LogEnds: where the log and the quarantine end, asked of Kafka now and then. For metrics: no answer rests on it."""

import asyncio
import logging
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.errors import Unavailable
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.settings import Settings
from streams.topics.cluster import connect

log = logging.getLogger(__name__)

LOG = "consent-events"
QUARANTINE = "consent-quarantine"
ASKED_EVERY_S = 5.0


class LogEnds:
    """What Kafka said last; nothing while it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: Mapping[TopicPartition, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_asking(), name="log-ends")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def of_log(self) -> dict[int, int]:
        """Partition -> the offset that its next event will have."""
        return self._of(LOG)

    @property
    def of_quarantine(self) -> dict[int, int]:
        return self._of(QUARANTINE)

    def _of(self, name: str) -> dict[int, int]:
        topic = self._settings.topic(name)
        return {tp.partition: end for tp, end in self._ends.items() if tp.topic == topic}

    async def _keep_asking(self) -> None:
        while True:
            try:
                await self._ask()
            except (KafkaError, Unavailable) as fault:
                log.warning("log_ends.not_known", extra={"error": repr(fault)})
            self._ends = {}
            await asyncio.sleep(ASKED_EVERY_S)

    async def _ask(self) -> None:
        async with connect(self._settings) as cluster:
            names = [self._settings.topic(name) for name in (LOG, QUARANTINE)]
            live = await cluster.topics(wanted=names)
        tps = [TopicPartition(topic.name, partition) for topic in live for partition in range(topic.partitions)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self._settings.bootstrap_servers, **CONSUMER_DEFAULTS)
        try:
            await consumer.start()
            while True:
                self._ends = await consumer.end_offsets(tps)
                await asyncio.sleep(ASKED_EVERY_S)
        finally:
            await consumer.stop()
