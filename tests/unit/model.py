"""The fold's rules again, slowly: the whole history is kept, and every question scans it from the beginning.

It shares no code with consentry/state: no blocks, no marks that cover others, no row. tests/unit/test_fold_model.py
compares the two.
"""

from collections.abc import Sequence

import msgspec

from consentry.events import (
    AnySubjectEvent,
    Cells,
    ConsentDeferred,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRequested,
    PermissionObserved,
    PreferenceSet,
    QuarantineReleased,
    Recorded,
    Scoped,
    SubjectQuarantined,
)
from consentry.terms import Cell, Expression, PermissionState, Position, Status

FIVE_MINUTES = 300_000
STATUS_OF_STOP = {
    "ConsentRefused": Status.REFUSED,
    "ConsentWithdrawn": Status.WITHDRAWN,
    "ConsentRevoked": Status.REVOKED,
    "ConsentInvalidated": Status.INVALIDATED,
}
STRONGEST_FIRST = (Expression.SEPARATE, Expression.EXPRESSED, Expression.IMPLIED)


class Stand(msgspec.Struct, frozen=True):
    """How a cell stands: its status, by which event, and what is granted of each expression."""

    status: Status
    by: int | None
    """offset of the record that made it so; None: nothing did"""
    grants: tuple[tuple[Expression, int], ...] = ()


class Grant(msgspec.Struct, frozen=True):
    offset: int
    occurred_at: int
    expression: Expression


def is_tightening(event: AnySubjectEvent) -> bool:
    if isinstance(event, PreferenceSet):
        return event.opted_out and event.topic is None
    if isinstance(event, PermissionObserved):
        return event.state is not PermissionState.ON
    return type(event).__name__ in STATUS_OF_STOP or isinstance(event, SubjectQuarantined)


def once_each(records: Sequence[Recorded]) -> list[Recorded]:
    """Without what is repeated: an id of the last 32 counts again only where its content is new and tightens."""
    counted: list[Recorded] = []
    for recorded in records:
        same_id = [former.event for former in counted[-32:] if former.event.event_id == recorded.event.event_id]
        if content_of(recorded.event) in [content_of(event) for event in same_id]:
            continue
        if same_id and not is_tightening(recorded.event):
            continue
        counted.append(recorded)
    return counted


def content_of(event: AnySubjectEvent) -> AnySubjectEvent:
    if isinstance(event, ConsentGiven | ConsentReaffirmed | PreferenceSet):
        return msgspec.structs.replace(event, expected_position=None)
    return event


def tightened_position_of(records: Sequence[Recorded]) -> Position | None:
    tightened = [recorded.position for recorded in once_each(records) if is_tightening(recorded.event)]
    return tightened[-1] if tightened else None


def names(event: Cells, cell: Cell) -> bool:
    return (
        event.purpose == cell.purpose
        and cell.operation in (event.operations or ())
        and cell.data in (event.data or ())
        and cell.recipient in (event.recipients or ("",))
    )


def covers(event: AnySubjectEvent, cell: Cell) -> bool:
    """Whether this tightening covers the cell."""
    if isinstance(event, PreferenceSet):
        return event.purpose == cell.purpose
    if not isinstance(event, Scoped):
        return False
    return (
        event.purpose in (None, cell.purpose)
        and (event.operations is None or cell.operation in event.operations)
        and (event.data is None or cell.data in event.data)
        and (event.recipients is None or cell.recipient in event.recipients)
    )


def heard_of(recorded: Recorded, before: Sequence[Recorded], tightenings: Sequence[Recorded]) -> bool:
    """Whether who loosens can have known of each of `tightenings`; `before` is all that came before in the log."""
    event = recorded.event
    if event.occurred_at > recorded.recorded_at + FIVE_MINUTES:
        return False
    if not tightenings:
        return True
    expected = getattr(event, "expected_position", None)
    if expected is not None:
        return expected == str(tightened_position_of(before))
    occurred_at = min(event.occurred_at, recorded.recorded_at)
    return all(occurred_at > tightening.recorded_at for tightening in tightenings)


def stand_of(records: Sequence[Recorded], cell: Cell) -> Stand:
    counted = once_each(records)
    asked: tuple[Status, int] | None = None
    stopped: tuple[Status, int] | None = None
    grants: list[Grant] = []
    for place, recorded in enumerate(counted):
        event, before = recorded.event, counted[:place]
        offset, kind = recorded.position.offset, type(event).__name__
        if isinstance(event, ConsentRequested | ConsentDeferred) and names(event, cell):
            asked = (Status.REQUESTED if kind == "ConsentRequested" else Status.DEFERRED, offset)
        elif kind in STATUS_OF_STOP and covers(event, cell):
            stopped = (STATUS_OF_STOP[kind], offset)
            grants = []
        elif isinstance(event, ConsentGiven | ConsentReaffirmed) and names(event, cell):
            covering = [former for former in before if is_tightening(former.event) and covers(former.event, cell)]
            expression = event.expression if isinstance(event, ConsentGiven) else strongest(grants)
            if expression is not None and heard_of(recorded, before, covering):
                grants.append(Grant(offset, min(event.occurred_at, recorded.recorded_at), expression))
    standing = tuple(
        (expression, max(candidates)[1])
        for expression in STRONGEST_FIRST
        if (candidates := [(each.occurred_at, each.offset) for each in grants if each.expression is expression])
    )
    if standing:
        return Stand(Status.GIVEN, max(offset for _, offset in standing), standing)
    if stopped is not None:
        return Stand(*stopped)
    return Stand(*asked) if asked is not None else Stand(Status.UNKNOWN, None)


def strongest(grants: Sequence[Grant]) -> Expression | None:
    given = {grant.expression for grant in grants}
    return next((expression for expression in STRONGEST_FIRST if expression in given), None)


def opted_out_by(records: Sequence[Recorded], purpose: str) -> set[str]:
    """Who has objected to the purpose and not lifted it."""
    counted = once_each(records)
    standing: dict[str, Recorded] = {}
    for place, recorded in enumerate(counted):
        event = recorded.event
        if not isinstance(event, PreferenceSet) or event.purpose != purpose or event.topic is not None:
            continue
        own = standing.get(event.actor.id)
        if event.opted_out:
            standing[event.actor.id] = recorded
        elif own is not None and heard_of(recorded, counted[:place], [own]):
            del standing[event.actor.id]
    return set(standing)


def was_switched_on(records: Sequence[Recorded], name: str, device: str | None) -> bool:
    """A device is known once anything was heeded of it; who names none needs it on for every known one."""
    known: set[str] = set()
    on: set[str] = set()
    on_where_none_is_known = False
    observed = [recorded for recorded in once_each(records) if isinstance(recorded.event, PermissionObserved)]
    for place, recorded in enumerate(observed):
        event = recorded.event
        assert isinstance(event, PermissionObserved)
        if event.state is PermissionState.ON:
            offs = [former for former in observed[:place] if speaks_of(former.event, event)]
            if not heard_of(recorded, observed[:place], offs) or (event.device is None and known):
                continue
        known |= {event.device} - {None}
        if event.permission != name:
            continue
        is_on = event.state is PermissionState.ON
        if event.device is None:
            on_where_none_is_known = is_on
            on &= on if is_on else set()
        else:
            on = on | {event.device} if is_on else on - {event.device}
    if not known:
        return on_where_none_is_known
    return known <= on if device is None else device in on


def speaks_of(former: AnySubjectEvent, event: PermissionObserved) -> bool:
    """Whether `former` switched off what `event` switches on."""
    return (
        isinstance(former, PermissionObserved)
        and is_tightening(former)
        and former.permission == event.permission
        and former.device in (None, event.device)
    )


def quarantined_of(records: Sequence[Recorded]) -> set[str]:
    standing: set[str] = set()
    for recorded in once_each(records):
        event = recorded.event
        if isinstance(event, SubjectQuarantined):
            standing.add(event.position)
        elif isinstance(event, QuarantineReleased):
            standing.discard(event.position)
    return standing
