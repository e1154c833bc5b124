"""A short way to write down a log in a test: one subject, an hour that begins at 1000, a record each ten ms."""

from uuid import UUID

import msgspec
from unit.reading import stand_in

from consentry.events import Actor, AnySubjectEvent, Recorded, SubjectEvent
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import ActorRole, Cell, Channel, Expression, Operation, Position, Status

SUBJECT = "account:ada"
PERSON = Actor(role=ActorRole.SUBJECT, id=SUBJECT)
MOTHER = Actor(role=ActorRole.GUARDIAN, id="account:eve")
OPERATOR = Actor(role=ActorRole.CONTROLLER, id="operator-1")
COLLECT, STORE, USE = Operation.COLLECT, Operation.STORE, Operation.USE
NEARBY = {"purpose": "feed.nearby", "operations": (COLLECT, USE), "data": ("gps", "wlan")}
SEPARATELY = {"policy_version": 1, "expression": Expression.SEPARATE}
GPS = Cell("feed.nearby", COLLECT, "gps")
WLAN = Cell("feed.nearby", COLLECT, "wlan")


class Log:
    """Records of one subject's partition, as they are appended, and the row they fold to."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        self.state = SubjectState.unknown(SUBJECT, 1, 3)

    def append(
        self,
        kind: type[SubjectEvent],
        *,
        occurred_at: int | None = None,
        recorded_at: int | None = None,
        number: int | None = None,
        actor: Actor = PERSON,
        **fields: object,
    ) -> SubjectState:
        """Append an event and fold it. Its clock is right unless said otherwise."""
        offset = len(self.records) + 1
        recorded_at = 1_000 + 10 * offset if recorded_at is None else recorded_at
        event = kind(
            event_id=UUID(int=offset if number is None else number),
            subject=SUBJECT,
            occurred_at=recorded_at if occurred_at is None else occurred_at,
            actor=actor,
            channel=Channel.APP,
            **fields,  # type: ignore[arg-type]
        )
        return self.append_event(event, recorded_at)

    def append_event(self, event: AnySubjectEvent, recorded_at: int | None = None) -> SubjectState:
        offset = len(self.records) + 1
        recorded_at = 1_000 + 10 * offset if recorded_at is None else recorded_at
        self.records.append(Recorded(Position(1, 3, offset), recorded_at, event))
        self.state = fold(self.state, self.records[-1])
        return self.state


def substance(state: SubjectState) -> SubjectState:
    """The row but for its bookkeeping."""
    return msgspec.structs.replace(state, position=Position(1, 3, 0), recent=b"", tightened_offset=-1)


def status(state: SubjectState, cell: Cell = GPS) -> Status:
    return stand_in(state, cell).status
