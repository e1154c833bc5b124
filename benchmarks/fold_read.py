"""The floor: a bare aiokafka consumer that reads the same log and does nothing with it."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.children import Said, end_with_parent, say
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.settings import Settings, load_settings

FETCH_BYTES = 8 * 1024 * 1024


async def read(settings: Settings) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        **CONSUMER_DEFAULTS,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(settings.topic("consent-events"), number) for number in range(settings.partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, 0)
        count = 0
        rest = set(tps)
        while rest:
            batches = await consumer.getmany(timeout_ms=500, max_records=settings.batch_records)
            if not count and batches:
                say(Said(event="began", at=time.time_ns() // 1_000_000))
            for tp, records in batches.items():
                count += len(records)
                if records[-1].offset + 1 >= ends[tp]:
                    rest.discard(tp)
        say(Said(event="ended", at=time.time_ns() // 1_000_000, count=count))
    finally:
        await consumer.stop()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(read(load_settings()))
