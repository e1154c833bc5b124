"""World: what a test is told on, whether it lives in memory or on a real stack."""

from collections.abc import Sequence
from typing import Protocol

from consentry.answers import Answer, Appended
from consentry.decision import Request
from consentry.events import AnySubjectEvent


class Clock(Protocol):
    def __call__(self) -> int: ...
    def advance(self, **time: float) -> int: ...


class World(Protocol):
    """InMemoryConsentry, or LiveConsentry."""

    @property
    def clock(self) -> Clock: ...
    @property
    def policy_version(self) -> int: ...
    def named(self, subject: str) -> str:
        """The subject as this world knows it: on a real stack another one for each run."""
        ...

    def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer: ...
    def publish(self, event: AnySubjectEvent, *, wait_ms: int = 0) -> Appended: ...
    def publish_all(self, events: Sequence[AnySubjectEvent], *, wait_ms: int = 0) -> tuple[Appended, ...]: ...
