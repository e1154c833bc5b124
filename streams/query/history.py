"""GET /v1/subjects/{subject}/history: what the log says of a subject as of any moment, read from the log itself.

The log has no index, so a request reads the subject's partition, for a bounded time; the cursor of its answer leads on.
The cursor holds the state so far: it is taken at its word, and so is worth what the caller's own word is.
"""

import asyncio
import base64
import binascii
import hashlib
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import msgspec
from starlette.datastructures import QueryParams

from consentry.audit import AsOf, Replay, policies_known
from consentry.authzen import EvaluationAnswer, answer_of
from consentry.codec import decode_row, encode_row
from consentry.decision import Request, View
from consentry.errors import Problem, Unavailable, UndecodableRecord
from consentry.events import Genesis, Recorded, RecordedPolicyEvent
from consentry.folding import Unreadable
from consentry.intake.subjects import fault_of_device, fault_of_subject, stored_device, stored_subject
from consentry.partition import partition_of
from consentry.policy import Policies
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Effect, Form, Operation, Position
from streams.query.params import flag, moment, only_known, term
from streams.query.problems import RETRY, Refusal, unreadable
from streams.query.seams import Clock, Log, Replica
from streams.query.subjects import SubjectView, shown
from streams.replay import LOG, Scanned

MAX_CURSOR_BYTES = 1_048_576
"""of a cursor's state, unpacked"""
_ASKED = ("operation", "purpose", "data", "recipient", "form", "active", "device", "transfer_mechanism")
PARAMETERS = ("at", "as_known_at", "cursor", *_ASKED, "joined_with_identity")


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the subject that counts as of then, and what it did."""

    position: str
    recorded_at: int
    effect: Effect
    fault: str | None
    """why it was set aside; null: it was folded"""
    event: msgspec.Raw | None
    """as it stands in the log; null: it cannot be read"""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What had happened by `at`, as far as it was known by `as_known_at`; null bounds nothing."""

    subject: str
    at: int | None
    as_known_at: int | None
    events: tuple[HistoryEvent, ...]
    """in log order, on this page"""
    left_out: int
    """records of the subject that do not count as of then, so far"""
    read_to: str
    """position of the last record of the partition that was read"""
    next_cursor: str | None
    """where the next page begins; null: all is read"""
    state: SubjectView | None
    """as of then, on the last page; null there: the log said nothing of the subject"""
    decision: EvaluationAnswer | None
    """what was asked, answered as of then, on the last page"""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    asked: str
    """of which request"""
    offset_next: int
    left_out: int
    row: bytes | None


class _Page:
    """What one request has come to."""

    def __init__(self, subject: str, as_of: AsOf, begin: _Cursor, state: SubjectState | None, limit: int) -> None:
        self.subject = subject
        self.as_of = as_of
        self.offset_next = begin.offset_next
        self.left_out = begin.left_out
        self.state = state
        self.events: list[HistoryEvent] = []
        self.complete = False
        self._limit = limit

    @property
    def full(self) -> bool:
        return len(self.events) >= self._limit

    def take(self, part: Scanned, topic: str) -> None:
        """Fold a part of the log, as far as the page goes."""
        for entry in part.entries:
            if self.full:
                return
            told = Replay.of(self.subject, (entry,), self.as_of, log=topic, begin=self.state)
            self.state, self.left_out = told.state, self.left_out + told.left_out
            self.events += (_shown_event(entry, step.effect, step.fault) for step in told.steps)
            self.offset_next = entry.position.offset + 1
        self.offset_next = part.offset_next
        self.complete = part.offset_next >= part.offset_end


class Historian:
    """Answers for other times. It reads Kafka beside the checks, a few requests at a time."""

    def __init__(self, settings: Settings, replica: Replica, log: Log, clock: Clock) -> None:
        self._settings = settings
        self._replica = replica
        self._log = log
        self._clock = clock
        self._reading = 0

    async def tell(self, name: str, params: QueryParams) -> History:
        """Raises Refusal: 400, 503 while too many others are told theirs or Kafka does not answer."""
        fault = fault_of_subject(name, self._settings)
        if fault is not None:
            raise unreadable(Problem(fault, where="/subject"))
        subject = stored_subject(name, self._settings)
        only_known(params, PARAMETERS)
        as_of = AsOf(at=moment(params, "at"), as_known_at=moment(params, "as_known_at"))
        request = _question(subject, params, self._settings)
        page = self._begin(subject, as_of, params.get("cursor"))
        await self._read(page)
        policies = await self._policies(as_of)
        return self._told(page, request, policies)

    def _begin(self, subject: str, as_of: AsOf, cursor: str | None) -> _Page:
        asked = _digest(self._replica.identity, subject, as_of)
        begin, state = _Cursor(asked, 0, 0, None), None
        if cursor:
            begin, state = _cursor_of(cursor, asked)
            if state is not None and state.subject != subject:
                raise _no_cursor()
        return _Page(subject, as_of, begin, state, self._settings.max_batch)

    async def _read(self, page: _Page) -> None:
        if self._reading >= self._settings.history_readers:
            raise Refusal(
                f"{self._reading} histories are being read here",
                status=503,
                code="BUSY",
                remedy="send it again in a moment",
                headers=RETRY,
            )
        self._reading += 1
        begun = page.offset_next
        try:
            async with asyncio.timeout(self._settings.history_timeout_ms / 1000):
                await self._scan(page)
        except TimeoutError:
            if page.offset_next == begun:
                raise _unavailable("nothing of the log could be read in time") from None
        except Unavailable as fault:
            raise _unavailable(fault.what) from fault
        finally:
            self._reading -= 1

    async def _scan(self, page: _Page) -> None:
        topic = self._settings.topic(LOG)
        scan: AsyncGenerator[Scanned, None] = self._log.scan(self._replica.identity, page.subject, page.offset_next)
        async with aclosing(scan) as parts:
            async for part in parts:
                page.take(part, topic)
                if page.full:
                    return
        page.complete = True

    async def _policies(self, as_of: AsOf) -> Policies:
        """What had been published as of then. Documents are parsed again only where some had not been."""
        policies, known_at = self._replica.policies, as_of.as_known_at
        records = sorted(_records_of(policies), key=lambda record: record.position)
        if known_at is None or all(record.recorded_at <= known_at for record in records):
            return policies
        return await asyncio.to_thread(policies_known, records, as_of)

    def _told(self, page: _Page, request: Request | None, policies: Policies) -> History:
        identity, subject, as_of = self._replica.identity, page.subject, page.as_of
        partition = partition_of(subject, identity.partitions)
        read_to = Position(identity.epoch, partition, page.offset_next - 1)
        state: SubjectView | None = None
        decision: EvaluationAnswer | None = None
        if page.complete:
            now = self._clock()
            if page.state is not None:
                view = View(page.state, page.state.position, 0)
                state = shown(subject, view, policies, as_of.moment(now))
            if request is not None:
                whole = Replay(subject=subject, as_of=as_of, steps=(), left_out=page.left_out, state=page.state)
                found = whole.decided(request, policies, now).decision
                decision = None if found is None else answer_of(found)
        return History(
            subject=subject,
            at=as_of.at,
            as_known_at=as_of.as_known_at,
            events=tuple(page.events),
            left_out=page.left_out,
            read_to=str(read_to),
            next_cursor=None if page.complete else _cursor_for(page, _digest(identity, subject, as_of)),
            state=state,
            decision=decision,
        )


def _shown_event(entry: Recorded | Unreadable, effect: Effect, fault: str | None) -> HistoryEvent:
    event = msgspec.Raw(msgspec.json.encode(entry.event)) if isinstance(entry, Recorded) else None
    return HistoryEvent(
        position=str(entry.position), recorded_at=entry.recorded_at, effect=effect, fault=fault, event=event
    )


def _records_of(policies: Policies) -> Iterator[RecordedPolicyEvent]:
    for revision in policies.revisions:
        yield RecordedPolicyEvent(revision.position, revision.recorded_at, revision.event)
    yield from policies.declared


def _unavailable(what: str) -> Refusal:
    return Refusal(what, status=503, code="UNAVAILABLE", remedy="send it again in a moment", headers=RETRY)


# what is asked


def _question(subject: str, params: QueryParams, settings: Settings) -> Request | None:
    """None where nothing is asked. A question needs operation, purpose and data."""
    if not any(name in params for name in (*_ASKED, "joined_with_identity")):
        return None
    operation, purpose, data = params.get("operation"), params.get("purpose"), tuple(params.getlist("data"))
    if not operation or not purpose or not data:
        raise unreadable(Problem("a question needs all three", where="?operation, ?purpose, ?data"))
    device = params.get("device")
    if device is not None and (fault := fault_of_device(device, settings)) is not None:
        raise unreadable(Problem(fault, where="?device"))
    return Request(
        subject=subject,
        operation=term(params, "operation", Operation, Operation.USE),
        purpose=purpose,
        data=data,
        recipient=params.get("recipient"),
        form=term(params, "form", Form, Form.IDENTIFIABLE),
        active=flag(params, "active"),
        device=None if device is None else stored_device(device, settings),
        transfer_mechanism=params.get("transfer_mechanism"),
        joined_with_identity=flag(params, "joined_with_identity") if "joined_with_identity" in params else None,
    )


# cursors


def _digest(identity: Genesis, subject: str, as_of: AsOf) -> str:
    said = (identity.log_id.hex, identity.epoch, subject, as_of.at, as_of.as_known_at)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]


def _cursor_for(page: _Page, asked: str) -> str:
    row = None if page.state is None else encode_row(page.state)
    packed = msgspec.msgpack.encode(_Cursor(asked, page.offset_next, page.left_out, row))
    return base64.urlsafe_b64encode(zlib.compress(packed)).decode()


def _cursor_of(text: str, asked: str) -> tuple[_Cursor, SubjectState | None]:
    """Raises Refusal (400) where it is none, or one of another request."""
    try:
        packing = zlib.decompressobj()
        unpacked = packing.decompress(base64.urlsafe_b64decode(text.encode()), MAX_CURSOR_BYTES)
        if not packing.eof:  # cut off, or larger than any of ours
            raise _no_cursor()
        cursor = msgspec.msgpack.decode(unpacked, type=_Cursor)
        state = None if cursor.row is None else decode_row(cursor.row)
    except (binascii.Error, UnicodeError, zlib.error, msgspec.DecodeError, UndecodableRecord) as fault:
        raise _no_cursor() from fault
    if cursor.asked != asked or cursor.offset_next < 0 or cursor.left_out < 0:
        raise _no_cursor()
    return cursor, state


def _no_cursor() -> Refusal:
    return unreadable(
        Problem(
            "is no cursor of this request",
            where="?cursor",
            remedy="repeat the request with the next_cursor of its answer, and the same at and as_known_at",
        )
    )
