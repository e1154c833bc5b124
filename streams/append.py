"""LogWriter: appends what intake has accepted to the log, and sets aside what it has not. Knows no rules.

It writes without transactions, so the log's offsets stay contiguous. Nothing here decides what may stand in the log:
all of it has gone through `consentry.intake.take_in`.
"""

import asyncio
from collections.abc import Awaitable, Sequence

from aiokafka.structs import RecordMetadata

from consentry.codec import encode_event, encode_quarantined
from consentry.errors import Unavailable, UntrustedLog
from consentry.events import AnySubjectEvent, Genesis, QuarantinedRecord
from consentry.intake import Accepted
from consentry.partition import partition_of
from consentry.producer import UNKNOWN_OUTCOME, IdempotentProducer
from consentry.settings import Settings
from consentry.terms import Position

Appended = tuple[Position, int]
"""where an event stands in the log, and its recorded_at (the broker's clock, ms)"""
_LOG_APPEND_TIME = 1


class LogWriter:
    """The one kind of writer of consent-events. Events of one subject stand in the log as they were handed over."""

    def __init__(self, settings: Settings, identity: Genesis) -> None:
        self._settings = settings
        self._identity = identity
        self._log = settings.topic("consent-events")
        self._quarantine = settings.topic("consent-quarantine")
        self.producer = IdempotentProducer(settings)

    async def start(self) -> None:
        """Raises Unavailable where no broker answers."""
        await self.producer.start()

    async def stop(self) -> None:
        """What was sent is delivered first, as far as acknowledge_timeout_ms allows."""
        await self.producer.stop()

    async def append(self, event: AnySubjectEvent) -> Appended:
        """Append one event. Raises Unavailable when it is not known, in acknowledge_timeout_ms, whether it stands."""
        return (await self.append_all([Accepted(event)]))[0]

    async def append_all(self, accepted: Sequence[Accepted]) -> list[Appended]:
        """Append a list in its order, each event as it is.

        Raises Unavailable like `append`: then some of the list may stand in the log, and all of it is safe to repeat.
        """
        timeout_s = self._settings.acknowledge_timeout_ms / 1000
        deliveries: list[asyncio.Future[Appended]] = []
        try:
            async with asyncio.timeout(timeout_s):
                for item in accepted:
                    deliveries.append(asyncio.ensure_future(await self.begin(item)))
                return await asyncio.gather(*deliveries)
        except TimeoutError as fault:
            raise Unavailable(f"not acknowledged in {timeout_s:g} s", remedy=UNKNOWN_OUTCOME) from fault
        finally:
            await _end(deliveries)

    async def begin(self, accepted: Accepted) -> Awaitable[Appended]:
        """Hand an event over; what comes back is awaited for its position. The calls' order is the log's order.

        Both raise Unavailable. The first waits while max_unacknowledged events are on their way.
        """
        subject = accepted.event.subject
        partition = partition_of(subject, self._identity.partitions)
        delivery = await self.producer.send(self._log, _value_of(accepted), key=subject.encode(), partition=partition)
        return self._appended(delivery)

    async def append_in_order(self, accepted: Sequence[Accepted]) -> None:
        """Append many, each subject's in their order, and return once all of them stand. For who needs no positions.

        Raises Unavailable: then some of them may stand, and all are safe to repeat.
        """
        spread: dict[int, list[tuple[bytes | None, bytes]]] = {}
        for item in accepted:
            subject = item.event.subject
            partition = partition_of(subject, self._identity.partitions)
            spread.setdefault(partition, []).append((subject.encode(), _value_of(item)))
        sent = [self.producer.send_in_order(self._log, place, records) for place, records in spread.items()]
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def set_aside(self, record: QuarantinedRecord) -> Awaitable[RecordMetadata]:
        """Hand a record over to consent-quarantine; what comes back is awaited until it is acknowledged."""
        key = None if record.subject is None else record.subject.encode()
        return await self.producer.send(self._quarantine, encode_quarantined(record), key=key)

    async def _appended(self, delivery: Awaitable[RecordMetadata]) -> Appended:
        metadata = await delivery
        if metadata.offset < 0:  # a repetition whose first place the broker no longer knows
            raise Unavailable("the broker does not say where the event stands", remedy=UNKNOWN_OUTCOME)
        if metadata.timestamp_type != _LOG_APPEND_TIME:
            raise UntrustedLog(
                "the broker does not date the records",
                where=self._log,
                remedy="message.timestamp.type must be LogAppendTime: consentry topics check",
            )
        return Position(self._identity.epoch, metadata.partition, metadata.offset), metadata.timestamp


def _value_of(accepted: Accepted) -> bytes:
    return accepted.value or encode_event(accepted.event)


async def _end(deliveries: Sequence[asyncio.Future[Appended]]) -> None:
    """Nobody waits any more: what is under way goes on in the client, its outcome has been told as unknown."""
    for delivery in deliveries:
        delivery.cancel()
    await asyncio.gather(*deliveries, return_exceptions=True)
