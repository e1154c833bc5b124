"""Calls into the Kafka consumer that lives in Faust's consumer thread."""

from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP


async def committed_or_beginning(thread: AIOKafkaConsumerThread, tp: TP) -> int:
    """The group's committed offset of a partition; without one its first offset, never its last."""
    offset: int = await thread.call_thread(_committed_or_beginning, thread, tp)
    return offset


async def _committed_or_beginning(thread: AIOKafkaConsumerThread, tp: TP) -> int:
    consumer = thread._ensure_consumer()
    partition = TopicPartition(tp.topic, tp.partition)
    beginning: int = (await consumer.beginning_offsets([partition]))[partition]
    committed: int | None = await consumer.committed(partition)
    return max(committed or 0, beginning)
