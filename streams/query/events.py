"""POST /v1/events: what happened, through intake into the log; answered once acknowledged, or once it took effect."""

from collections.abc import Sequence
from itertools import groupby
from time import perf_counter
from uuid import uuid4

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from consentry.errors import InvalidEvent, Problem, Unavailable
from consentry.events import AnySubjectEvent, Recorded
from consentry.intake import Accepted, Caller, parse_submission, take_in
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Effect, Position
from streams.query.body import check_depth, check_media_type, header, read_body
from streams.query.effects import effects_of
from streams.query.listed import ListAppender
from streams.query.metrics import Metrics
from streams.query.params import min_position
from streams.query.problems import RETRY, Refusal, not_yet_visible, refusal_of, unreadable
from streams.query.remembered import Remembered, Written
from streams.query.seams import Clock, Replica, Writer

_encoder = msgspec.json.Encoder()


class Appended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event in the log, acknowledged by all in-sync replicas."""

    event_id: str
    position: str
    effect: Effect | None = None
    """what it did to the subject's state: with `wait`, and where that became visible in time"""


class AppendedList(msgspec.Struct, frozen=True, kw_only=True):
    """Each event of a list, in its order."""

    events: tuple[Appended, ...]


class EventDoor:
    """Validates, authorises and completes through intake; appends; waits where asked to."""

    def __init__(self, settings: Settings, replica: Replica, writer: Writer, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._replica = replica
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._remembered = Remembered(settings.remembered_requests)

    async def take(self, request: Request, caller: Caller) -> Response:
        """201 with a position for each event. Raises Refusal."""
        started = perf_counter()
        headers = request.scope["headers"]
        wait_ms = _wait_ms(request.query_params, self._settings)
        position = min_position(request.query_params)
        check_media_type(headers)
        body = await read_body(headers, request.receive, self._settings)
        check_depth(body, self._settings.max_json_depth)
        key = header(headers, b"idempotency-key")
        if position is not None:
            await self._until_visible(position)
        accepted, is_list = self._accept(body, caller, None if key is None else key.decode("latin-1"))
        rows = {item.event.subject: self._row_of(item.event.subject) for item in accepted}
        events = [item.event for item in accepted]
        written = await self._remembered.all_of(accepted)
        if written is None:
            events, written = await self._append(accepted, rows)
        effects: Sequence[Effect | None] = [None] * len(accepted)
        if wait_ms:
            effects = await self._effects(events, written, rows, wait_ms)
        self._metrics.append_seconds.observe(perf_counter() - started)
        return _answer(accepted, written, effects, is_list=is_list)

    def _accept(self, body: bytes, caller: Caller, key: str | None) -> tuple[tuple[Accepted, ...], bool]:
        """What may stand in the log, and whether the body was a list. Raises Refusal."""
        try:
            submissions = parse_submission(body, self._settings)
            accepted = take_in(
                submissions,
                caller=caller,
                policies=self._replica.policies,
                identity=self._replica.identity,
                settings=self._settings,
                now=self._clock(),
                new_id=uuid4,
                key=key,
                row_of=self._row_of,
            )
        except InvalidEvent as fault:
            raise refusal_of(fault) from fault
        except Unavailable as fault:
            raise Refusal(fault.what, status=503, code="UNAVAILABLE", remedy=fault.remedy, headers=RETRY) from fault
        return accepted, bool(submissions[0].place)

    async def _until_visible(self, position: Position) -> None:
        """What is judged by a subject's row is judged by one that has seen this. Raises Refusal."""
        if not await self._replica.wait_for(position, self._settings.visible_timeout_ms):
            raise not_yet_visible(position, "nothing was taken in: send it again")

    def _row_of(self, subject: str) -> SubjectState | None:
        return self._replica.view(subject).row

    async def _append(
        self, accepted: Sequence[Accepted], rows: dict[str, SubjectState | None]
    ) -> tuple[list[AnySubjectEvent], list[Written]]:
        """The events as they stand in the log, and where. Raises Refusal."""
        wait_ms = self._settings.visible_timeout_ms
        appender = ListAppender(self._replica, self._writer, self._clock, judged=rows, wait_ms=wait_ms)
        try:
            with self._remembered.appending(accepted):
                events, written = await appender.append(accepted)
                self._remembered.add(accepted, written)
        except Unavailable as fault:
            raise Refusal(
                f"it is not known whether the log has it: {fault.what}",
                status=503,
                code="OUTCOME_UNKNOWN",
                remedy="send it again with the same event_id, or the same Idempotency-Key: nothing happens twice",
                headers=RETRY,
                event_ids=tuple(str(item.event.event_id) for item in accepted),
            ) from fault
        for item in accepted:
            self._metrics.appended(type(item.event).__name__)
        return events, written

    async def _effects(
        self,
        events: Sequence[AnySubjectEvent],
        written: Sequence[Written],
        rows: dict[str, SubjectState | None],
        wait_ms: int,
    ) -> list[Effect | None]:
        """Of each event, once the last of its subject is visible; None where that took too long."""
        effects: list[Effect | None] = [None] * len(events)
        deadline = self._clock() + wait_ms
        order = sorted(range(len(events)), key=lambda place: events[place].subject)
        for subject, group in groupby(order, key=lambda place: events[place].subject):
            places = sorted(group, key=lambda place: written[place].position)
            last = written[places[-1]].position
            if not await self._replica.wait_for(last, max(0, deadline - self._clock())):
                continue
            nothing = SubjectState.unknown(subject, last.epoch, last.partition)
            records = [Recorded(written[place].position, written[place].recorded_at, events[place]) for place in places]
            found = effects_of(rows[subject] or nothing, self._row_of(subject) or nothing, records)
            for place, effect in zip(places, found, strict=True):
                effects[place] = effect
        return effects


def _wait_ms(params: QueryParams, settings: Settings) -> int:
    text = params.get("wait")
    if text is None:
        return 0
    limit = settings.visible_timeout_ms
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > limit:
        raise unreadable(Problem(f"{text[:32]!r} is no number of ms from 0 to {limit}", where="?wait"))
    return int(text)


def _answer(
    accepted: Sequence[Accepted],
    written: Sequence[Written],
    effects: Sequence[Effect | None],
    *,
    is_list: bool,
) -> Response:
    events = tuple(
        Appended(event_id=str(item.event.event_id), position=str(place.position), effect=effect)
        for item, place, effect in zip(accepted, written, effects, strict=True)
    )
    body = AppendedList(events=events) if is_list else events[0]
    return Response(_encoder.encode(body), status_code=201, media_type="application/json")
