"""Heartbeats: asks, again and again, where the owned partitions end. Rows folded up to there were complete by then."""

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.settings import Settings
from streams.ownership import Ownership
from streams.processors import EndSeen

log = logging.getLogger(__name__)

ANSWER_S = 1.0
"""a broker that does not say in this time where its partitions end holds up nobody but them"""
INTAKE_EVERY_S = 1.0


class Heartbeats:
    """Two loops: one for the log and the policies, on which freshness rests, and one for the intake topics."""

    def __init__(self, settings: Settings, ownership: Ownership) -> None:
        self._ownership = ownership
        self._interval_s = settings.heartbeat_interval_ms / 1000
        self._events = settings.topic("consent-events")
        self._policies = TopicPartition(settings.topic("policy-revisions"), 0)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)

    async def run(self) -> None:
        """Until cancelled. Raises UntrustedLog when the log became shorter, KafkaError where it cannot start."""
        await self._consumer.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask_about_the_log())
                group.create_task(self._ask_about_intake())
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
        finally:
            await self._consumer.stop()

    async def _ask_about_the_log(self) -> None:
        while True:
            owners = self._ownership.owners()
            # before the question, so that the answer holds for it
            before = {partition: (owner.broker_time(), owner.offset_next) for partition, owner in owners.items()}
            tps = {partition: TopicPartition(self._events, partition) for partition in owners}
            ends = await self._ends([*tps.values(), *([self._policies] if 0 in owners else [])])
            for partition, owner in owners.items():
                asked_at, known_next = before[partition]
                if tps[partition] in ends and (partition != 0 or self._policies in ends):
                    owner.saw_end(
                        EndSeen(
                            asked_at=asked_at,
                            known_next=known_next,
                            offset_next=ends[tps[partition]],
                            policy_offset_last=ends[self._policies] - 1 if partition == 0 else None,
                        )
                    )
                # one after the other: a dozen transactions at once would hold up the events between them
                await asyncio.sleep(self._interval_s / len(owners))
            if not owners:
                await asyncio.sleep(self._interval_s)

    async def _ask_about_intake(self) -> None:
        while True:
            await asyncio.sleep(INTAKE_EVERY_S)
            intakes = self._ownership.intakes()
            ends = await self._ends([TopicPartition(tp.topic, tp.partition) for tp in intakes])
            for tp, intake in intakes.items():
                end = ends.get(TopicPartition(tp.topic, tp.partition))
                if end is not None:
                    intake.saw_end(end)

    async def _ends(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The ends of those that answer. One that does not spoils a question about all: then each is asked alone."""
        if not tps:
            return {}
        together = await self._answer(tps)
        if together is not None:
            return together
        alone = await asyncio.gather(*(self._answer([tp]) for tp in tps))
        return {tp: end for answer in alone if answer is not None for tp, end in answer.items()}

    async def _answer(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int] | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(tps))
        except (KafkaError, TimeoutError) as fault:
            log.warning("heartbeat.no_answer", extra={"partitions": len(tps), "error": repr(fault)})
            return None
        return ends
