"""Appending a list: what loosens has seen the person's own tightening before it, where nothing came in between.

The node's row may be older than a revocation that the log holds already. So a position is filled in only once the
tightening stands and the node has seen it: the row must then be the one that intake judged by, with the list's own
events folded into it and nothing else. Where that is not proven in time, the event is sent as it is, and the fold
judges it by its clock, or by the position that its caller says was seen: such a position is moved on only from the
judged row's own last tightening.
"""

from collections.abc import Mapping, Sequence

from consentry.events import AnySubjectEvent, Recorded
from consentry.intake import Accepted
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import RECENT_EVENTS, SubjectState
from streams.query.remembered import Written
from streams.query.seams import Clock, Replica, Writer


class ListAppender:
    """Appends one list."""

    def __init__(
        self,
        replica: Replica,
        writer: Writer,
        clock: Clock,
        *,
        judged: Mapping[str, SubjectState | None],
        wait_ms: int,
    ) -> None:
        """`judged`: the rows that intake judged by. `wait_ms`: how long the list waits for the node to see it."""
        self._replica = replica
        self._writer = writer
        self._clock = clock
        self._judged = judged
        self._wait_ms = wait_ms
        self._events: list[AnySubjectEvent] = []
        self._written: list[Written] = []

    async def append(self, accepted: Sequence[Accepted]) -> tuple[list[AnySubjectEvent], list[Written]]:
        """The events as they stand in the log, and where. Raises Unavailable as the writer does."""
        deadline = self._clock() + self._wait_ms
        proven: dict[int, bool] = {}
        pending: list[Accepted] = []
        for item in accepted:
            if item.after is not None:
                if item.after not in proven:
                    await self._write(pending)
                    pending = []
                    proven[item.after] = await self._nothing_came_between(item.after, deadline)
                if proven[item.after]:
                    item = Accepted(item.with_position(self._written[item.after].position))
            pending.append(item)
        await self._write(pending)
        return self._events, self._written

    async def _write(self, pending: Sequence[Accepted]) -> None:
        if pending:
            places = await self._writer.append_all(pending)
            self._events += [item.event for item in pending]
            self._written += [Written(position, recorded_at) for position, recorded_at in places]

    async def _nothing_came_between(self, place: int, deadline: int) -> bool:
        """Whether, up to the tightening at `place`, the log added to the judged row the list's own events alone."""
        subject, position = self._events[place].subject, self._written[place].position
        own = [
            Recorded(written.position, written.recorded_at, event)
            for event, written in zip(self._events[: place + 1], self._written, strict=False)
            if event.subject == subject
        ]
        if len(own) >= RECENT_EVENTS:  # a row that remembers these alone would not show another before them
            return False
        if not await self._replica.wait_for(position, max(0, deadline - self._clock())):
            return False
        expected = self._judged[subject] or SubjectState.unknown(subject, position.epoch, position.partition)
        for recorded in own:
            expected, _ = fold_or_quarantine(expected, recorded)
        return expected == self._replica.view(subject).row
