"""LiveConsentry: the same tests on a real stack, through ConsentClient (extra `client`)."""

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, NoReturn
from uuid import uuid4

import msgspec

from consentry.answers import Answer, Appended
from consentry.client import ConsentClient
from consentry.decision import Request
from consentry.errors import ConsentryError
from consentry.events import AnySubjectEvent
from consentry.terms import Position
from consentry.testing.person import Person


def refuse_to_travel() -> NoReturn:
    raise ConsentryError("a real stack's clock cannot be moved", remedy="tell this story in memory alone")


class WallClock:
    """Real time: it is asked, not moved."""

    def __init__(self, on_travel: Callable[[], NoReturn]) -> None:
        self._on_travel = on_travel

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000

    def advance(self, **time: float) -> int:  # noqa: ARG002
        """What a test that moves the clock comes to here. Raises what `on_travel` raises."""
        self._on_travel()


class LiveConsentry:
    """A world on a real stack. Each run has subjects of its own, and each check sees what the run has published."""

    blocks: ClassVar[bool] = True

    def __init__(
        self, client: ConsentClient, *, policy_version: int, on_travel: Callable[[], NoReturn] = refuse_to_travel
    ) -> None:
        """`client`: its token needs the roles of what the tests tell. `policy_version`: the one that is in force."""
        self.client = client
        self.clock = WallClock(on_travel)
        self.policy_version = policy_version
        self._run = uuid4().hex[:8]
        self._published: dict[str, Position] = {}

    def named(self, subject: str) -> str:
        """Another name in each run: a log forgets nobody."""
        return subject if subject.endswith(f"-t{self._run}") else f"{subject}-t{self._run}"

    def person(self, subject: str) -> Person:
        return Person(self, subject)

    def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer:
        """By state that has seen all that was published here for the subject."""
        if request.min_position is None and request.subject in self._published:
            request = msgspec.structs.replace(request, min_position=self._published[request.subject])
        return self.client.check(request, deadline_ms=deadline_ms)

    def publish(self, event: AnySubjectEvent, *, wait_ms: int = 0) -> Appended:
        appended = self.client.publish(event, wait_ms=wait_ms, min_position=self._published.get(event.subject))
        self._published[event.subject] = appended.position
        return appended

    def publish_all(self, events: Sequence[AnySubjectEvent], *, wait_ms: int = 0) -> tuple[Appended, ...]:
        appended = self.client.publish_all(events, wait_ms=wait_ms)
        for event, each in zip(events, appended, strict=True):
            self._published[event.subject] = each.position
        return appended

    def close(self) -> None:
        self.client.close()
