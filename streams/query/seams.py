"""What a query node rests on, as it sees it: the copy it answers from, the writer of the log, who may ask."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

from consentry.decision import View
from consentry.events import Genesis
from consentry.intake import Accepted
from consentry.policy import Policies
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position
from streams.replay import Scanned

Clock = Callable[[], int]
"""ms since the epoch, UTC"""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Replica(Protocol):
    """`consentry.replica.ConsentReplica`, as far as a node needs it."""

    @property
    def ready(self) -> bool: ...
    @property
    def not_ready_because(self) -> str: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def identity(self) -> Genesis: ...
    @property
    def watermarks(self) -> Mapping[int, Watermark]: ...
    def staleness_ms(self, partition: int, now: int | None = None) -> int | None: ...
    def subjects_after(self, subject: str, limit: int) -> Sequence[str]: ...
    def changes(self) -> AsyncGenerator[SubjectState, None]: ...
    def view(self, subject: str, now: int | None = None) -> View: ...
    async def wait_for(self, position: Position, timeout_ms: int) -> bool: ...


class Log(Protocol):
    """`streams.replay.LogReader`, as far as a node needs it."""

    def scan(self, identity: Genesis, subject: str, offset_next: int = 0) -> AsyncGenerator[Scanned, None]: ...


class Ends(Protocol):
    """`streams.query.ends.LogEnds`, as far as metrics need it: partition -> offset, where it is known."""

    @property
    def of_log(self) -> Mapping[int, int]: ...
    @property
    def of_quarantine(self) -> Mapping[int, int]: ...


class Writer(Protocol):
    """`streams.append.LogWriter`, as far as a node needs it."""

    async def append_all(self, accepted: Sequence[Accepted]) -> list[tuple[Position, int]]: ...
