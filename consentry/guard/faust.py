"""What a Faust stream reads, as far as it may pass.

keep = consent_filter(replica, purpose="…", operation="use", subject=…, fields={…})

@app.agent(raw)
async def mask(stream):
    async for value in filtered(stream, keep):
        await analytics.send(value=value)
"""

from collections.abc import AsyncIterator
from typing import Any

from faust.types import ChannelT, StreamT

from consentry.errors import ConsentryError
from consentry.guard.records import ConsentFilter, dropped_at


async def filtered(
    stream: StreamT[Any], keep: ConsentFilter[Any], *, dropped_to: ChannelT[Any] | None = None
) -> AsyncIterator[Any]:
    """The stream's values in their order, masked where they must be; what is dropped is left out, and acknowledged.

    `dropped_to` is sent, for each that is left out, where it stands and why, before the next is read. The topic's own
    serializer sees a mapping of topic, partition, offset, reason, clause and doubt.
    """
    async for value in stream:
        if value is None:
            yield value  # a tombstone holds nothing of anybody's
            continue
        weighed = await keep.weigh(value)
        if weighed.record is not None:
            yield weighed.record
            continue
        if dropped_to is None:
            continue
        event = stream.current_event
        if event is None:
            raise ConsentryError("a stream without events cannot say what was dropped", where="dropped_to")
        message = event.message
        dropped = dropped_at(message.topic, message.partition, message.offset, weighed.decision)
        await dropped_to.send(value={name: getattr(dropped, name) for name in dropped.__struct_fields__})
