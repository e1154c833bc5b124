"""The log as the oracle reads it: every record that changes anything, with what is known of it at its place.

Nothing is folded: each question of the oracle walks these entries again, from the first to the last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consentry.events import (
    AccountClosed,
    AgeAsserted,
    AnySubjectEvent,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRevoked,
    ConsentWithdrawn,
    ExemptionEnded,
    GuardianUnlinked,
    PermissionObserved,
    PreferenceSet,
    Recorded,
    RightsRequested,
    SubjectErased,
    SubjectQuarantined,
)
from consentry.terms import ActorRole, AgeBand, Cell, PermissionState, Right

TOO_FAR_AHEAD_MS = 5 * 60 * 1000
"""A clock this far ahead of the log's is still believed in what loosens; one ms more is not."""

GRANT = (ConsentGiven, ConsentReaffirmed)
STOP = (ConsentRefused, ConsentWithdrawn, ConsentRevoked, ConsentInvalidated)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the log."""

    place: int
    at: int
    """the log's clock"""
    clock: int
    """the actor's clock, which counts as the log's at the most"""
    event: AnySubjectEvent
    ahead: bool
    """the actor's clock is too far ahead to loosen anything"""
    informed: bool
    """it named the position of the last tightening before it"""
    misinformed: bool
    """it named another position"""

    @property
    def id(self) -> str:
        return str(self.event.event_id)

    @property
    def own(self) -> bool:
        return self.event.actor.role is ActorRole.SUBJECT

    @property
    def guardian(self) -> str | None:
        actor = self.event.actor
        return actor.id if actor.role is ActorRole.GUARDIAN and actor.id != self.event.subject else None

    @property
    def actor(self) -> tuple[ActorRole, str]:
        return self.event.actor.role, self.event.actor.id


@dataclass(frozen=True, eq=False)
class Log:
    """Every entry, in order; what is no longer looked at because the subject is closed is still among them.

    Compared by identity, so that what was once looked up in it can be remembered for speed.
    """

    entries: tuple[Entry, ...]
    closed: bool
    erased: bool

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def end(self) -> int:
        """The place up to which everything is known."""
        return self.entries[-1].place if self.entries else -1


def tightens(event: AnySubjectEvent) -> bool:
    """By its type and what it says, whether or not it then has an effect."""
    match event:
        case ConsentRefused() | ConsentWithdrawn() | ConsentRevoked() | ConsentInvalidated():
            return True
        case PreferenceSet():
            return event.opted_out and event.topic is None
        case PermissionObserved():
            return event.state is not PermissionState.ON
        case AgeAsserted():
            return event.age_band is not AgeBand.ADULT
        case RightsRequested():
            return event.right is Right.OBJECTION
        case GuardianUnlinked() | ExemptionEnded() | AccountClosed() | SubjectQuarantined() | SubjectErased():
            return True
        case _:
            return False


def read(events: Sequence[Recorded]) -> Log:
    """Leave out what changes nothing: what was delivered before, duplicates, and what comes after the end."""
    entries: list[Entry] = []
    said: dict[object, list[AnySubjectEvent]] = {}
    reached = -1
    tightened: str | None = None
    closed = erased = False
    for recorded in events:
        event, place = recorded.event, recorded.position.offset
        if place <= reached:
            continue
        reached = place
        before = said.setdefault(event.event_id, [])
        # A known id: the same content changes nothing, another counts only if it tightens.
        if before and (event in before or not tightens(event)):
            continue
        before.append(event)
        if erased or (closed and not tightens(event)):
            continue
        expected = getattr(event, "expected_position", None)
        entries.append(
            Entry(
                place=place,
                at=recorded.recorded_at,
                clock=min(event.occurred_at, recorded.recorded_at),
                event=event,
                ahead=event.occurred_at > recorded.recorded_at + TOO_FAR_AHEAD_MS,
                informed=expected is not None and expected == tightened,
                misinformed=expected is not None and expected != tightened,
            )
        )
        if tightens(event):
            tightened = str(recorded.position)
        closed = closed or isinstance(event, AccountClosed)
        erased = erased or isinstance(event, SubjectErased)
    return Log(tuple(entries), closed, erased)


def covers(scope: object, cell: Cell) -> bool:
    """Does a scope cover the cell? What it leaves out means every one, also those that come later."""
    purpose, operations = getattr(scope, "purpose", None), getattr(scope, "operations", None)
    data, recipients = getattr(scope, "data", None), getattr(scope, "recipients", None)
    return (
        (purpose is None or purpose == cell.purpose)
        and (operations is None or cell.operation in operations)
        and (data is None or cell.data in data)
        and (recipients is None or cell.recipient in recipients)
    )


def names(cells: ConsentGiven | ConsentReaffirmed, cell: Cell) -> bool:
    """Does an act name this very cell?"""
    return (
        cells.purpose == cell.purpose
        and cell.operation in (cells.operations or ())
        and cell.data in (cells.data or ())
        and cell.recipient in (cells.recipients or ("",))
    )
