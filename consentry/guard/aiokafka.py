"""What an aiokafka consumer reads, as far as it may pass.

keep = consent_filter(replica, purpose="…", operation="use", subject=…, fields={…})
async for record in filtered(consumer, keep):
    ...
    await consumer.commit()  # enable_auto_commit=False
"""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from consentry.errors import ConsentryError
from consentry.guard.records import ConsentFilter, Dropped, dropped_at

OnDropped = Callable[[Dropped], Awaitable[object]]


async def filtered(
    consumer: AIOKafkaConsumer, keep: ConsentFilter[Any], *, on_dropped: OnDropped | None = None
) -> AsyncIterator[ConsumerRecord]:
    """The consumer's records in their order, their values masked where they must be; what is dropped is left out.

    The consumer deserialises values into what has fields (`value_deserializer=json.loads`). `on_dropped` is told of
    each that is left out, before the next is read: it may send it to a topic; what it raises ends the reading.

    Whoever reads commits, once a record is handled: raises ConsentryError on a group's consumer that commits by itself,
    for it would before a record is weighed, and a restart then lose it.
    """
    if consumer._group_id is not None and consumer._enable_auto_commit:  # told nowhere else
        raise ConsentryError(
            "the consumer commits records before they are weighed and handled",
            where="enable_auto_commit",
            remedy="set enable_auto_commit=False, and await consumer.commit() once a record is handled",
        )
    async for record in consumer:
        if record.value is None:
            yield record  # a tombstone holds nothing of anybody's
            continue
        weighed = await keep.weigh(record.value)
        if weighed.record is not None:
            yield dataclasses.replace(record, value=weighed.record)
        elif on_dropped is not None:
            await on_dropped(dropped_at(record.topic, record.partition, record.offset, weighed.decision))
