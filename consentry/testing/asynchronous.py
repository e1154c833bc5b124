"""The same in-memory Consentry, for code that awaits its client: it has the methods of AsyncConsentClient."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from consentry.answers import Answer, Appended
from consentry.decision import Prompt, Request
from consentry.events import AnySubjectEvent

if TYPE_CHECKING:
    from consentry.testing.memory import InMemoryConsentry


class AsyncInMemoryConsentry:
    """What `InMemoryConsentry.awaited` gives."""

    def __init__(self, world: "InMemoryConsentry") -> None:
        self._world = world

    async def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer:
        return self._world.check(request, deadline_ms=deadline_ms)

    async def check_many(self, requests: Sequence[Request], *, deadline_ms: int | None = None) -> tuple[Answer, ...]:
        return self._world.check_many(requests, deadline_ms=deadline_ms)

    async def prompt(self, request: Request, *, deadline_ms: int | None = None) -> Prompt:
        return self._world.prompt(request, deadline_ms=deadline_ms)

    async def publish(self, event: AnySubjectEvent, **how: Any) -> Appended:
        return self._world.publish(event, **how)

    async def publish_all(self, events: Sequence[AnySubjectEvent], **how: Any) -> tuple[Appended, ...]:
        return self._world.publish_all(events, **how)

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
