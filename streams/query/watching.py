"""Who watches subjects, and what each has not been told yet. No HTTP, no text.

Only the name of a changed subject waits for a watcher; its row is read when it is told. So a change that is overtaken
is told once, as it stands then, and what a watcher is told never goes back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.state.row import SubjectState
from streams.query.metrics import Metrics
from streams.query.problems import RETRY, Refusal
from streams.query.seams import Replica

log = logging.getLogger(__name__)

MARK_S = 1.0
"""how far what a watcher of everybody may resume at lags behind"""
MARK_PARTS = 10
"""of it are looked at: a process that is held up for less than one of them hands on all the same"""
AT_A_TIME = 50
"""rows that are looked at before others get their turn"""

Offsets = dict[int, int]
"""partition -> offset up to which its rows are complete"""


class Watcher:
    """One who watches: these subjects, or everybody where none is named."""

    def __init__(self, subjects: Iterable[str], limit: int) -> None:
        self.subjects = tuple(subjects)
        self.told_to: Offsets = {}
        """of everybody's: all that changed up to there has been told"""
        self.catching_up = True
        """what changed before it came is still being told: until then no more counts as told"""
        self.dropped = ""
        """why no more is told"""
        self._named = frozenset(self.subjects)
        self._limit = limit
        self._waiting: dict[str, None] = {}
        self._complete: Offsets = {}
        self._stirred = asyncio.Event()

    def hear(self, subject: str) -> None:
        """The subject's row has changed."""
        if self.dropped or (self._named and subject not in self._named):
            return
        if len(self._waiting) >= self._limit and subject not in self._waiting:
            self.drop(f"{self._limit} changes wait to be read")
            return
        self._waiting[subject] = None
        self._stirred.set()

    def mark(self, complete: Offsets) -> None:
        """All that changed up to these offsets has been heard."""
        self._complete = complete
        self._advance()

    def caught_up(self) -> None:
        self.catching_up = False
        self._advance()

    def _advance(self) -> None:
        if self._complete and not (self._waiting or self.catching_up or self.dropped):
            self.told_to = self._complete

    def drop(self, why: str) -> None:
        self.dropped = self.dropped or why
        self._waiting.clear()
        self._stirred.set()

    async def next(self, timeout_s: float) -> str | None:
        """A subject that changed; None where nothing did in time, or no more will be told."""
        if not self._waiting and not self.dropped:
            self._stirred.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._stirred.wait()
            except TimeoutError:
                return None
        if self.dropped:
            return None
        return next(iter(self._waiting))

    def told(self, subject: str) -> None:
        """It is on its way; what changes from now on is told again."""
        self._waiting.pop(subject, None)
        self._advance()


class Watching:
    """All watchers of a node. They share one subscription, which runs while there are any."""

    def __init__(self, settings: Settings, replica: Replica, metrics: Metrics) -> None:
        self._settings = settings
        self._replica = replica
        self._metrics = metrics
        self._watchers: set[Watcher] = set()
        self._following: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def watch(self, subjects: Iterable[str]) -> AsyncIterator[Watcher]:
        """From now on nothing is missed that is not said to be. Raises Refusal: 503 with too many, or not ready."""
        because = self._replica.not_ready_because or ("it is about to stop" if self._closed else "")
        if because:
            raise Refusal(
                f"this node cannot tell of changes now: {because}", status=503, code="UNAVAILABLE", headers=RETRY
            )
        if len(self._watchers) >= self._settings.watchers:
            raise Refusal(
                f"{len(self._watchers)} watch here", status=503, code="BUSY", remedy="ask another node", headers=RETRY
            )
        watcher = Watcher(subjects, self._settings.watch_changes)
        self._watchers.add(watcher)
        self._metrics.watchers.set(len(self._watchers))
        try:
            if self._following is None:
                self._following = asyncio.create_task(self._follow(), name="watching")
                await asyncio.sleep(0)  # it subscribes in its first step
            watcher.told_to = self.complete()
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._metrics.watchers.set(len(self._watchers))
            if not self._watchers and self._following is not None:
                self._following.cancel()
                self._following = None

    def close(self) -> None:
        """Everybody is told to come again; called before the server stops, which would wait for them."""
        self._closed = True
        self._drop_all("the node stops")

    def complete(self) -> Offsets:
        return {partition: mark.position.offset for partition, mark in self._replica.watermarks.items()}

    async def changed_since(self, offsets: Offsets) -> AsyncIterator[str]:
        """Everybody whose row stands past the offset of its partition: each row is looked at."""
        subject = ""
        while names := self._replica.subjects_after(subject, AT_A_TIME):
            for subject in names:
                row = self._replica.view(subject).row
                if row is not None and row.position.offset > offsets.get(row.position.partition, -1):
                    yield subject
            await asyncio.sleep(0)

    async def _follow(self) -> None:
        """Hand each change on; whatever ends that, nobody waits for changes that would not come."""
        marking = asyncio.create_task(self._mark(), name="watching-marks")
        why = "the node follows no more"
        try:
            async with aclosing(self._replica.changes()) as changes:
                async for state in changes:
                    self._hand_on(state)
        except ConsentryError as fault:
            why = str(fault)
            log.warning("watching.ended", extra={"error": why})
        finally:
            marking.cancel()
            if self._following is asyncio.current_task():
                self._following = None
                self._drop_all(why)

    def _hand_on(self, state: SubjectState) -> None:
        for watcher in self._watchers:
            watcher.hear(state.subject)

    async def _mark(self) -> None:
        """A row is handed on long before MARK_S have passed since the watermark that covers it was seen.

        Unless this process is held up: then both may be due at once, and what was noted says nothing.
        """
        while True:
            complete = self.complete()
            if await _on_time(MARK_S):
                for watcher in self._watchers:
                    watcher.mark(complete)

    def _drop_all(self, why: str) -> None:
        for watcher in self._watchers:
            watcher.drop(why)


async def _on_time(duration_s: float) -> bool:
    """Sleeps so long. Whether the loop turned all the while, each part of it as long as it should be."""
    loop = asyncio.get_running_loop()
    part_s, on_time = duration_s / MARK_PARTS, True
    for _ in range(MARK_PARTS):
        due = loop.time() + part_s
        await asyncio.sleep(part_s)
        on_time = on_time and loop.time() - due < part_s
    return on_time
