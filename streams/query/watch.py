"""GET /v1/watch: each change of a subject's state as a server-sent event, for services that do not speak Kafka."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from consentry.errors import Problem
from consentry.intake import fault_of_subject, stored_subject
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Position
from streams.query.answers import Fields, Send
from streams.query.body import Receive
from streams.query.metrics import Metrics
from streams.query.params import only_known
from streams.query.problems import unreadable
from streams.query.seams import Replica
from streams.query.watching import Offsets, Watcher, Watching
from streams.wording import latest_changes

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
MAX_ID_CHARACTERS = 8_192
NOT_TOLD = -1
"""an offset before every record"""


class ChangedState(msgspec.Struct, frozen=True, kw_only=True):
    """`event: state`. A subject's state as it stands now; `GET /v1/subjects/{subject}` has all of it."""

    subject: str
    """as the log names it"""
    asked_as: str | None
    """as `?subject=` named it; null: everybody is watched"""
    position: str
    """of the last event folded into it: a check with this min_position has seen it"""
    tightened_position: str | None
    closed_at: int | None
    erased_at: int | None
    quarantined: bool
    changes: tuple[str, ...]
    """what the last event left in it, in words"""


class WatchBegins(msgspec.Struct, frozen=True, kw_only=True):
    """`event: watching`. The first event: from here on nothing is missed."""

    subjects: tuple[str, ...]
    """as the log names them; empty: everybody"""
    resumed: bool
    """what changed since Last-Event-ID follows"""


class WatchEnds(msgspec.Struct, frozen=True, kw_only=True):
    """`event: dropped`. The last event: connect again with the Last-Event-ID, and nothing is lost."""

    why: str


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked to watch."""

    asked_as: dict[str, str]
    """by the name in the log; empty: everybody"""
    told: dict[str, int] | None
    """of those named: the offset of each as it was told last; None: nothing was"""
    told_to: Offsets | None
    """of everybody: the offset of each partition up to which all was told; None: it begins now"""

    @property
    def resumed(self) -> bool:
        return self.told is not None or self.told_to is not None


def watch_of(params: QueryParams, last_event_id: str, settings: Settings, epoch: int) -> Watch:
    """Raises Refusal (400). An id that is none of ours, of another epoch or other subjects, leaves nothing out."""
    only_known(params, ("subject",))
    names = params.getlist("subject")
    if len(names) > settings.watch_subjects:
        raise unreadable(Problem(f"{len(names)} subjects, {settings.watch_subjects} at the most", where="?subject"))
    asked_as: dict[str, str] = {}
    for name in names:
        if (fault := fault_of_subject(name, settings)) is not None:
            raise unreadable(Problem(fault, where="?subject"))
        asked_as[stored_subject(name, settings)] = name
    last_event_id = last_event_id[:MAX_ID_CHARACTERS]
    if not last_event_id:
        return Watch(asked_as=asked_as, told=None, told_to=None)
    offsets = _offsets_of(last_event_id, _head(asked_as, epoch))
    if not asked_as:
        return Watch(asked_as=asked_as, told=None, told_to=dict(enumerate(offsets)))
    if len(offsets) != len(asked_as):
        offsets = [NOT_TOLD] * len(asked_as)
    return Watch(asked_as=asked_as, told=dict(zip(sorted(asked_as), offsets, strict=True)), told_to=None)


def _head(subjects: dict[str, str], epoch: int) -> str:
    """Whose ids these are: of everybody, or of these subjects, in this life of the log."""
    whose = hashlib.sha256("\n".join(sorted(subjects)).encode()).hexdigest()[:12] if subjects else "all"
    return f"{whose}.e{epoch}"


def _offsets_of(last_event_id: str, head: str) -> list[int]:
    found, _, offsets = last_event_id.rpartition(".")
    parts = offsets.split(",")
    if found != head or not all((part.isascii() and part.isdigit() and len(part) < 19) or part == "" for part in parts):
        return []
    return [int(part) if part else NOT_TOLD for part in parts]


class Stream(Response):
    """The events of one watcher. It ends when the caller hangs up, is dropped, or reads nothing for too long."""

    media_type = MEDIA_TYPE

    def __init__(
        self, watch: Watch, watching: Watching, replica: Replica, settings: Settings, metrics: Metrics
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._watch = watch
        self._watching = watching
        self._replica = replica
        self._settings = settings
        self._metrics = metrics
        self._told: dict[str, int] = dict(watch.told or {})

    async def __call__(self, _scope: Any, receive: Receive, send: Send) -> None:
        telling = asyncio.create_task(self._tell(send), name="watch")
        gone = asyncio.create_task(_hangs_up(receive), name="watch-gone")
        try:
            await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, gone):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def _tell(self, send: Send) -> None:
        patience_s = self._settings.request_timeout_ms / 1000
        try:
            async with asyncio.timeout(None) as waiting, aclosing(self._events()) as events:
                started = False
                async for event in events:
                    waiting.reschedule(asyncio.get_running_loop().time() + patience_s)
                    if not started:  # a refusal comes before the first event, and is told as such
                        await send({"type": "http.response.start", "status": 200, "headers": _FIELDS})
                        started = True
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                    waiting.reschedule(None)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # it is not read: nothing more could be said to it
            self._metrics.dropped.inc()

    async def _events(self) -> AsyncGenerator[bytes, None]:
        async with self._watching.watch(self._watch.asked_as) as watcher:
            if self._watch.told_to is not None:
                watcher.told_to = self._watch.told_to
            subjects, resumed = tuple(sorted(self._watch.asked_as)), self._watch.resumed
            yield _event("watching", WatchBegins(subjects=subjects, resumed=resumed), self._id(watcher))
            async for subject in self._to_catch_up(subjects):
                if watcher.dropped:
                    break
                if (event := self._state(subject, watcher)) is not None:
                    yield event
            watcher.caught_up()
            while not watcher.dropped:
                subject_or_none = await watcher.next(self._settings.watch_heartbeat_ms / 1000)
                if subject_or_none is None:
                    if not watcher.dropped:
                        yield f": heartbeat\nid: {self._id(watcher)}\n\n".encode()
                    continue
                watcher.told(subject_or_none)
                if (event := self._state(subject_or_none, watcher)) is not None:
                    yield event
            self._metrics.dropped.inc()
            yield _event("dropped", WatchEnds(why=watcher.dropped), self._id(watcher))

    async def _to_catch_up(self, subjects: tuple[str, ...]) -> AsyncGenerator[str, None]:
        """Whom a caller that comes, or comes again, has not been told of."""
        for subject in subjects:
            yield subject
        if self._watch.told_to is not None:
            async for subject in self._watching.changed_since(self._watch.told_to):
                yield subject

    def _state(self, subject: str, watcher: Watcher) -> bytes | None:
        """None where the caller has been told of it as it stands."""
        row = self._replica.view(subject).row
        if row is None:
            return None
        if self._watch.asked_as:
            if row.position.offset <= self._told.get(subject, NOT_TOLD):
                return None
            self._told[subject] = row.position.offset
        return _event("state", _changed(row, self._watch.asked_as.get(subject)), self._id(watcher))

    def _id(self, watcher: Watcher) -> str:
        """From where on nothing is lost: of those named what each was told, of everybody how far all was told."""
        identity = self._replica.identity
        if self._watch.asked_as:
            known = [self._told.get(subject, NOT_TOLD) for subject in sorted(self._watch.asked_as)]
        else:
            known = [watcher.told_to.get(partition, NOT_TOLD) for partition in range(identity.partitions)]
        text = ",".join("" if offset == NOT_TOLD else str(offset) for offset in known)
        return f"{_head(self._watch.asked_as, identity.epoch)}.{text}"


_FIELDS: Fields = [(b"content-type", MEDIA_TYPE.encode()), (b"x-accel-buffering", b"no")]


async def _hangs_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, data: object, event_id: str) -> bytes:
    return f"event: {name}\nid: {event_id}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()


def _changed(row: SubjectState, asked_as: str | None) -> ChangedState:
    tightened: Position | None = row.tightened_position
    return ChangedState(
        subject=row.subject,
        asked_as=asked_as,
        position=str(row.position),
        tightened_position=None if tightened is None else str(tightened),
        closed_at=row.closed_at,
        erased_at=row.erased_at,
        quarantined=bool(row.quarantined),
        changes=latest_changes(row),
    )
