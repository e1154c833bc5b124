"""Rows as an event meets them: as this door knows them, and as the events before it in its list leave them."""

from collections.abc import Callable, Iterator

from consentry.events import (
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRequested,
    ExemptionInvoked,
    Genesis,
    QuarantineReleased,
    Recorded,
)
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.faults import Fault
from consentry.partition import partition_of
from consentry.state.fold import fold_or_quarantine
from consentry.state.grants import has_room
from consentry.state.recent import Repeat, content_hash, repeat_of
from consentry.state.row import MAX_INVOCATIONS, SubjectState

RowOf = Callable[[str], SubjectState | None]
"""A subject, as the log names it -> its row as far as it is known; None: nothing is known of it."""
_NAMES_CELLS = (ConsentGiven, ConsentReaffirmed, ConsentRequested, ConsentDeferred)


def no_rows(_subject: str) -> None:
    """Where no row is at hand: `fold` weighs what intake could not see."""


class Rows:
    """The rows that one list of events meets."""

    def __init__(self, row_of: RowOf, identity: Genesis, arrived_at: int) -> None:
        self._row_of = row_of
        self._identity = identity
        self._arrived_at = arrived_at
        self._left: dict[str, SubjectState] = {}

    @property
    def are_seen(self) -> bool:
        """Whether this door sees rows at all: then a row that it does not find holds nothing."""
        return self._row_of is not no_rows

    def known(self, subject: str) -> SubjectState | None:
        """The row before the list."""
        return self._row_of(subject)

    def met(self, subject: str) -> SubjectState | None:
        """The row as the events so far leave it."""
        return self._left.get(subject) or self._row_of(subject)

    def add(self, event: AnySubjectEvent) -> None:
        """One more event, folded as the log will: its place and time are not known yet, and only have to follow."""
        if not self.are_seen:
            return
        before = self.met(event.subject) or self._unknown(event.subject)
        position = before.position._replace(offset=before.position.offset + 1)
        after, _ = fold_or_quarantine(before, Recorded(position, self._arrived_at, event))
        self._left[event.subject] = after

    def _unknown(self, subject: str) -> SubjectState:
        partition = partition_of(subject, self._identity.partitions)
        return SubjectState.unknown(subject, self._identity.epoch, partition)


def is_repeat(event: AnySubjectEvent, row: SubjectState | None) -> bool:
    """Whether the row holds just this event already: safe to repeat, whatever came after it."""
    return row is not None and repeat_of(row.recent, event.event_id.bytes, content_hash(event)) is Repeat.SAME


def faults_of_row(event: AnySubjectEvent, rows: Rows) -> Iterator[Fault]:
    """What the subject's row has against an event that is no repeat of one that it holds."""
    known = rows.known(event.subject)
    if known is not None and _is_other(event, known):
        yield _conflict("/event_id", "this event is known and says something else", "EVENT_ID_CONFLICT")
    row = rows.met(event.subject)
    if row is None:
        return
    closed = row.closed_at is not None or row.erased_at is not None
    if closed and bearing_of(event) is Bearing.LOOSENS:
        yield _conflict("/subject", "the account is closed, for good", "SUBJECT_CLOSED")
    if isinstance(event, QuarantineReleased) and event.position not in row.quarantined:
        yield _conflict("/position", "no record of this position is quarantined", "NOT_QUARANTINED")
    if isinstance(event, _NAMES_CELLS) and not has_room(row, event):
        what = "with it the subject would have more cells than a row holds"
        yield Fault(where="", what=what, remedy="name fewer operations, data or recipients", code="ROW_LIMIT")
    if isinstance(event, ExemptionInvoked) and _invocations(row) >= MAX_INVOCATIONS:
        what = f"{MAX_INVOCATIONS} exemptions are invoked for the subject, and a row holds no more"
        yield Fault(where="", what=what, remedy="end those that are over: ExemptionEnded", code="ROW_LIMIT")


def _is_other(event: AnySubjectEvent, row: SubjectState) -> bool:
    return repeat_of(row.recent, event.event_id.bytes, content_hash(event)) is Repeat.OTHER_CONTENT


def _invocations(row: SubjectState) -> int:
    return 0 if row.circumstances is None else len(row.circumstances.invocations)


def _conflict(where: str, what: str, code: str) -> Fault:
    return Fault(where=where, what=what, status=409, code=code)
