"""ConsentPublisher: for services that write events through Kafka, to an intake topic of their own.

    async with ConsentPublisher(settings, "shop") as publisher:
        await publisher.publish(event)

The topic's ACL is the service's identity. What comes back says that the event lies safely in the intake topic, not
that intake has taken it: what it refuses goes to consent-quarantine, and the subject is denied until it is released.
So what can be checked on this side is checked here, before it is sent.
"""

import asyncio
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from consentry.codec import encode_event
from consentry.errors import ConsentryError, Unavailable
from consentry.events import AnySubjectEvent
from consentry.intake import faults_before_sending
from consentry.intake.faults import refusal
from consentry.producer import UNKNOWN_OUTCOME, IdempotentProducer
from consentry.settings import Settings

INTAKE_TOPIC: Final = "consent-intake"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class Published(NamedTuple):
    """Where an event lies in the intake topic; intake appends it to the log from there."""

    topic: str
    partition: int
    offset: int


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class ConsentPublisher:
    """Writes to consent-intake.<name>: idempotent, acks=all, keyed by subject. Times are ms since the epoch."""

    def __init__(self, settings: Settings | str, name: str, *, clock: Callable[[], int] = _wall_clock_ms) -> None:
        """`settings`: these, or only the bootstrap address. Raises ConsentryError on a name no topic can have."""
        if not _NAME.fullmatch(name):
            raise ConsentryError(f"{name[:80]!r} cannot name a producer", remedy="1 to 63 of A-Z a-z 0-9 . _ -")
        self._settings = Settings(bootstrap_servers=settings) if isinstance(settings, str) else settings
        self._clock = clock
        self.producer = IdempotentProducer(self._settings)
        self.topic = self._settings.topic(f"{INTAKE_TOPIC}.{name}")

    async def start(self) -> None:
        """Raises Unavailable where no broker answers."""
        await self.producer.start()

    async def stop(self) -> None:
        """What was handed over is delivered first, as far as acknowledge_timeout_ms allows."""
        await self.producer.stop()

    async def publish(self, event: AnySubjectEvent) -> Published:
        """Send one event and wait until all in-sync replicas have it.

        Raises InvalidEvent for what intake would refuse whatever the policy says, and Unavailable when the outcome
        is unknown: then send the same event again, with the same event_id.
        """
        now = self._clock()
        faults = list(faults_before_sending(event, self._settings, now))
        if faults:
            raise refusal(faults)
        if event.sent_at is None:
            event = msgspec.structs.replace(event, sent_at=now)
        try:
            async with asyncio.timeout(self._settings.acknowledge_timeout_ms / 1000):
                delivery = await self.producer.send(self.topic, encode_event(event), key=event.subject.encode())
                metadata = await delivery
        except TimeoutError as fault:
            raise Unavailable(f"{self.topic} does not acknowledge it", remedy=UNKNOWN_OUTCOME) from fault
        return Published(metadata.topic, metadata.partition, metadata.offset)

    async def flush(self) -> None:
        """Wait until everything handed over is acknowledged. Raises Unavailable."""
        await self.producer.flush()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
