"""Subscribers: each change of a subject's state, handed on in order, and never less than all of them unsaid."""

import asyncio
from collections import deque

from consentry.errors import ConsentryError
from consentry.state.row import SubjectState

CHANGES_WAITING = 10_000
"""A subscriber that lags by more changes than this is told so, and has to start again."""


class Subscriber:
    """What one subscriber has not yet read."""

    def __init__(self) -> None:
        self._waiting: deque[SubjectState] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._fault: ConsentryError | None = None

    def hand_on(self, state: SubjectState) -> None:
        if self._closed:
            return
        if len(self._waiting) >= CHANGES_WAITING:
            self._waiting.clear()
            self.close(
                ConsentryError(
                    f"the subscriber is {CHANGES_WAITING} changes behind, and has missed some",
                    remedy="read faster; start again from the state as it is now",
                )
            )
            return
        self._waiting.append(state)
        self._ready.set()

    def close(self, fault: ConsentryError | None = None) -> None:
        """No more comes: the replica stopped, or `fault` says why."""
        if not self._closed:
            self._closed, self._fault = True, fault
            self._ready.set()

    async def next(self) -> SubjectState | None:
        """The next change; None at the end. Raises what closed it."""
        while not self._waiting:
            if self._closed:
                if self._fault is not None:
                    raise self._fault
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._waiting.popleft()
