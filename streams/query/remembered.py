"""What this node has appended of late, by event_id: the same request again is answered, not appended once more.

A row knows the last 32 events of its subject; this knows what is not folded yet, and where it stands in the log. Two
requests of one id at the same time go one after the other.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import msgspec

from consentry.errors import Problem
from consentry.intake import Accepted
from consentry.state.recent import content_hash
from consentry.terms import Position
from streams.query.problems import Refusal


class Written(msgspec.Struct, frozen=True):
    """Where an event stands in the log, acknowledged."""

    position: Position
    recorded_at: int


class _Entry(msgspec.Struct, frozen=True):
    content: bytes
    written: Written


class Remembered:
    """The oldest is forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[UUID, _Entry] = OrderedDict()
        self._under_way: dict[UUID, asyncio.Event] = {}

    async def all_of(self, accepted: Sequence[Accepted]) -> list[Written] | None:
        """Where each of them stands already; None unless all of them do.

        Waits for those that another request is appending. Raises Refusal (409) when one of them is known and said
        something else.
        """
        while waits := [done for item in accepted if (done := self._under_way.get(item.event.event_id))]:
            await waits[0].wait()
        known = [self._written(item) for item in accepted]
        written = [entry for entry in known if entry is not None]
        return written if len(written) == len(accepted) else None

    def _written(self, item: Accepted) -> Written | None:
        entry = self._entries.get(item.event.event_id)
        if entry is None:
            return None
        if entry.content != content_hash(item.event):
            what = f"event {item.event.event_id} is known and says something else"
            raise Refusal(what, status=409, code="EVENT_ID_CONFLICT", problems=(Problem(what, where="/event_id"),))
        return entry.written

    @contextmanager
    def appending(self, accepted: Sequence[Accepted]) -> Iterator[None]:
        """While it lasts, others that ask for one of these wait."""
        done = asyncio.Event()
        self._under_way.update((item.event.event_id, done) for item in accepted)
        try:
            yield
        finally:
            for item in accepted:
                del self._under_way[item.event.event_id]
            done.set()

    def add(self, accepted: Sequence[Accepted], written: Sequence[Written]) -> None:
        for item, place in zip(accepted, written, strict=True):
            self._entries[item.event.event_id] = _Entry(content_hash(item.event), place)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
