"""Random histories of one subject, with questions; the same seed gives the same history.

They lean towards what collides: the same cell again, clocks that are equal, late, days off or ahead, positions that
are the right ones or not, birthdays near by, guardians that come and go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from typing import Any
from uuid import UUID

from oracle.policies import BEGIN, DAY_MS, HOUR_MS, KINDS, policy_history
from oracle.record import tightens
from oracle.versions import cells_of, read_policies

from consentry.decision import Request
from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    DataCollected,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    ObligationFulfilled,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    QuarantineReleased,
    Recorded,
    RecordedPolicyEvent,
    RightsRequested,
    RightsResolved,
    SubjectErased,
    SubjectQuarantined,
)
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Channel,
    Disposition,
    Expression,
    Form,
    Operation,
    Outcome,
    PermissionState,
    Position,
    Right,
)

SUBJECT = "account:subject"
GUARDIANS = ("account:mother", "account:father")
PARTITION = 3
MINUTE_MS = 60_000
Fields = dict[str, Any]
Maker = Callable[["_Tale"], AnySubjectEvent]


@dataclass(frozen=True)
class Question:
    request: Request
    now: int
    staleness_ms: int | None
    events: int
    """how many events of the history had been recorded"""
    seen: Position


@dataclass(frozen=True)
class History:
    seed: int
    policies: tuple[RecordedPolicyEvent, ...]
    events: tuple[Recorded, ...]
    questions: tuple[Question, ...]


def history(seed: int) -> History:
    rng = Random(seed)
    policies = policy_history(seed // 10 % KINDS)
    tale = _Tale(rng, policies)
    tale.tell()
    questions = tuple(_question(tale) for _ in range(4))
    return History(seed, policies, tuple(tale.events), questions)


@dataclass
class _Tale:
    """A history while it is being told."""

    rng: Random
    policies: Sequence[RecordedPolicyEvent]
    events: list[Recorded] = field(default_factory=list)
    now: int = 0
    offset: int = 0
    tightened: str | None = None
    tightened_at: int = BEGIN
    to_come: list[Maker] = field(default_factory=list)
    """what follows next, whatever chance says"""
    born: datetime | None = None
    careful: bool = False
    """for a while every clock is right and every act is the usual one"""

    def __post_init__(self) -> None:
        rng = self.rng
        self.versions = read_policies(self.policies).versions
        cells = sorted(cells_of(rng.choice(self.versions)))
        focus = rng.choice(cells)
        self.cells = [focus, focus, focus, rng.choice(cells), rng.choice([c for c in cells if c[0] == focus[0]])]
        self.now = BEGIN + rng.randrange(-2, 30) * DAY_MS + rng.randrange(DAY_MS)
        self.offset = rng.randrange(1, 50)
        self.guardian = rng.choice(GUARDIANS)
        self.kind = rng.choice(("adult", "adult", "minor", "minor", "child", "growing", "growing", "unknown"))
        lines = self.versions[0]
        if self.kind == "growing":
            years = rng.choice((lines.guardian_required_below, lines.guardian_required_below, lines.sensitive_below))
            self.born = self.near(years)

    def near(self, years: int) -> datetime:
        """A birth date whose birthday of so many years falls into the time told of."""
        day = datetime.fromtimestamp(self.now / 1000, UTC) + timedelta(days=self.rng.randrange(-2, 12))
        year = day.year - years
        return day.replace(year=year, day=min(day.day, 28))

    # --- time, actors, cells ---

    def tell(self) -> None:
        rng = self.rng
        if self.kind in ("minor", "child", "growing") and rng.random() < 0.85:
            self._prologue((_age, _linked, _verified, _accepted_by_guardian, _granted_by_guardian, _granted_by_subject))
        elif rng.random() < 0.5:
            self._prologue((_age, _granted_by_subject, _permission))
        for _ in range(rng.randrange(1, 12) if rng.random() < 0.8 else rng.randrange(12, 20)):
            make = self.to_come.pop() if self.to_come else rng.choices(MAKERS, WEIGHTS)[0]
            self.add(make(self))
        if rng.random() < 0.04:
            self.events.append(rng.choice(self.events))  # delivered again

    def _prologue(self, usual: Sequence[Maker]) -> None:
        """What makes a person's word, or a guardian's, count."""
        rng, steps = self.rng, list(usual)
        if rng.random() < 0.15:
            rng.shuffle(steps)
        self.careful = rng.random() < 0.7
        for step in steps:
            if rng.random() < 0.92:
                self.add(step(self))
        self.careful = False

    def add(self, event: AnySubjectEvent) -> None:
        self.events.append(Recorded(Position(1, PARTITION, self.offset), self.now, event))
        if tightens(event):
            self.tightened, self.tightened_at = f"e1.p{PARTITION}.o{self.offset}", self.now
        rng = self.rng
        self.offset += 1
        step = rng.random()
        if step > 0.15:
            self.now += rng.choice((1, 1000, HOUR_MS, 6 * HOUR_MS, DAY_MS, 3 * DAY_MS))

    def clock(self) -> int:
        """Of the actor: mostly right, else late, days off, ahead, or equal to an earlier record's."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.6 or not self.events or (self.careful and chance < 0.95):
            return self.now
        if chance < 0.75:
            near = rng.choice(self.events).recorded_at if rng.random() < 0.5 else self.tightened_at
            return near + rng.choice((-1, 0, 0, 1))
        if chance < 0.85:
            return self.now - rng.choice((1, MINUTE_MS, HOUR_MS, DAY_MS, 10 * DAY_MS))
        if chance < 0.95:
            return self.now + rng.choice((1, 4 * MINUTE_MS, 5 * MINUTE_MS, 5 * MINUTE_MS + 1, 3 * DAY_MS))
        return self.moment()

    def moment(self) -> int:
        """One at which something changes by time alone, or just before or after it."""
        moments = [policy.effective_at for policy in self.versions]
        moments += [p.event.effective_at for p in self.policies if hasattr(p.event, "effective_at")]
        moments += [until for r in self.events if (until := getattr(r.event, "valid_until", None)) is not None]
        if self.born is not None:
            for years in (14, 18):
                turn = self.born.replace(year=self.born.year + years, hour=0, minute=0, second=0, microsecond=0)
                moments.append(int(turn.timestamp() * 1000) - 8 * HOUR_MS)
        return self.rng.choice(moments) + self.rng.choice((-1, 0, 0, 1))

    def version(self) -> int:
        rng = self.rng
        if rng.random() < 0.06:
            return rng.randrange(1, 6)
        return max((p.version for p in self.versions if p.effective_at <= self.now), default=1)

    def envelope(self, actor: Actor) -> Fields:
        return {
            "event_id": UUID(int=self.rng.getrandbits(128)),
            "subject": SUBJECT,
            "occurred_at": self.clock(),
            "actor": actor,
            "channel": Channel.APP,
        }

    def person(self) -> Actor:
        share = 0.1 if self.kind in ("adult", "unknown") else 0.45
        return self.some_guardian() if self.rng.random() < share else OWN

    def some_guardian(self) -> Actor:
        name = self.guardian if self.careful or self.rng.random() < 0.8 else self.rng.choice(GUARDIANS)
        return Actor(role=ActorRole.GUARDIAN, id=name)

    def expected(self) -> str | None:
        chance = self.rng.random()
        if chance < 0.5:
            return None
        if chance < 0.92 or self.careful:
            return self.tightened
        return f"e1.p{PARTITION}.o{self.rng.randrange(self.offset + 1)}"

    def cell_fields(self) -> Fields:
        cell, rng = self.cells[0] if self.careful else self.rng.choice(self.cells), self.rng
        operations, data = {cell.operation}, {cell.data}
        recipients = {cell.recipient} if cell.recipient else set()
        if rng.random() < 0.4:
            same = [c for c in self.cells if c.purpose == cell.purpose]
            operations |= {c.operation for c in same}
            data |= {c.data for c in same}
        return {
            "purpose": cell.purpose,
            "operations": tuple(sorted(operations)),
            "data": tuple(sorted(data)),
            "recipients": tuple(sorted(recipients)) or None,
        }

    def scope_fields(self) -> Fields:
        fields = self.cell_fields()
        for name in fields:
            if self.rng.random() < 0.3:
                fields[name] = None
        return fields

    def until(self) -> int:
        return self.now + self.rng.choice((1, HOUR_MS, DAY_MS, 5 * DAY_MS, 30 * DAY_MS))


OWN = Actor(role=ActorRole.SUBJECT, id=SUBJECT)
CONTROLLER = Actor(role=ActorRole.CONTROLLER, id="staff")
SYSTEM = Actor(role=ActorRole.SYSTEM, id="system")


# --- events ---


def _grant(tale: _Tale, actor: Actor) -> ConsentGiven:
    rng = tale.rng
    expression = rng.choice((Expression.SEPARATE,) * 5 + (Expression.EXPRESSED,) * 3 + (Expression.IMPLIED,))
    return ConsentGiven(
        **tale.envelope(actor), **tale.cell_fields(), policy_version=tale.version(), expression=expression,
        valid_until=tale.until() if rng.random() < 0.25 else None, expected_position=tale.expected(),
    )  # fmt: skip


def _granted(tale: _Tale) -> ConsentGiven:
    return _grant(tale, tale.person())


def _granted_by_subject(tale: _Tale) -> ConsentGiven:
    return _grant(tale, OWN)


def _granted_by_guardian(tale: _Tale) -> ConsentGiven:
    return _grant(tale, tale.some_guardian())


def _reaffirmed(tale: _Tale) -> ConsentReaffirmed:
    return ConsentReaffirmed(
        **tale.envelope(tale.person()), **tale.cell_fields(), policy_version=tale.version(),
        valid_until=tale.until() if tale.rng.random() < 0.3 else None, expected_position=tale.expected(),
    )  # fmt: skip


def _asked(tale: _Tale) -> ConsentRequested | ConsentDeferred:
    if tale.rng.random() < 0.6:
        return ConsentRequested(
            **tale.envelope(CONTROLLER), **tale.cell_fields(), policy_version=tale.version(), scene="start"
        )
    return ConsentDeferred(**tale.envelope(tale.person()), **tale.cell_fields(), policy_version=tale.version())


def _refused(tale: _Tale) -> ConsentRefused:
    return ConsentRefused(**tale.envelope(tale.person()), **tale.scope_fields())


def _withdrawn(tale: _Tale) -> ConsentWithdrawn:
    return ConsentWithdrawn(**tale.envelope(tale.person()), **tale.scope_fields())


def _ended_by_controller(tale: _Tale) -> ConsentRevoked | ConsentInvalidated:
    kind = tale.rng.choice((ConsentRevoked, ConsentInvalidated))
    return kind(**tale.envelope(CONTROLLER), **tale.scope_fields(), reason="r")


def _accepted(tale: _Tale) -> PolicyAccepted:
    return PolicyAccepted(**tale.envelope(tale.person()), policy_version=tale.version())


def _accepted_by_guardian(tale: _Tale) -> PolicyAccepted:
    return PolicyAccepted(**tale.envelope(tale.some_guardian()), policy_version=tale.version())


def _preference(tale: _Tale) -> PreferenceSet:
    rng = tale.rng
    return PreferenceSet(
        **tale.envelope(tale.person()), purpose=rng.choice(tale.cells).purpose, opted_out=rng.random() < 0.5,
        topic="sport" if rng.random() < 0.08 else None, expected_position=tale.expected(),
    )  # fmt: skip


def _permission(tale: _Tale) -> PermissionObserved:
    rng = tale.rng
    state = rng.choice((PermissionState.ON,) * 3 + (PermissionState.OFF, PermissionState.LIMITED))
    actor = OWN if state is PermissionState.ON or rng.random() < 0.5 else SYSTEM
    permission = "camera" if rng.random() < 0.9 else "location"
    device = rng.choice((None, "device:one", "device:one", "device:two"))
    return PermissionObserved(**tale.envelope(actor), permission=permission, state=state, device=device)


def _age(tale: _Tale) -> AgeAsserted:
    rng = tale.rng
    source = rng.choice(
        (AgeSource.DECLARED,) * 3 + (AgeSource.VERIFIED,) * 2 + (AgeSource.INFERRED, AgeSource.GUARDIAN)
    )
    actor = {
        AgeSource.DECLARED: OWN, AgeSource.INFERRED: SYSTEM, AgeSource.GUARDIAN: tale.some_guardian(),
    }.get(source, CONTROLLER)  # fmt: skip
    said: Fields
    if tale.born is not None and (tale.careful or rng.random() < 0.7):
        said = {"birth_date": tale.born.date().isoformat()}
    elif not tale.careful and rng.random() < 0.25:
        born = tale.near(rng.choice((14, 18, 18, 30, 10)))
        if rng.random() < 0.1:
            born = born.replace(year=2008 if born.year > 2000 else 1996, month=2, day=29)
        said = {"birth_date": born.date().isoformat()}
    else:
        usual = {"minor": AgeBand.MINOR, "child": AgeBand.CHILD, "growing": AgeBand.MINOR}.get(tale.kind, AgeBand.ADULT)
        said = {"age_band": usual if tale.careful or rng.random() < 0.6 else rng.choice(list(AgeBand))}
    return AgeAsserted(**tale.envelope(actor), source=source, **said)


def _linked(tale: _Tale) -> GuardianLinked:
    actor = tale.some_guardian()
    by = actor if tale.rng.random() < 0.5 else OWN
    guardian = actor.id if tale.rng.random() < 0.98 else SUBJECT
    return GuardianLinked(**tale.envelope(by), guardian=guardian, relation="parent")


def _verified(tale: _Tale) -> GuardianVerified:
    guardian = tale.some_guardian().id if tale.rng.random() < 0.98 else SUBJECT
    return GuardianVerified(**tale.envelope(CONTROLLER), guardian=guardian, method="id")


def _unlinked(tale: _Tale) -> GuardianUnlinked:
    actor = tale.some_guardian()
    by = actor if tale.rng.random() < 0.5 else CONTROLLER
    if tale.rng.random() < 0.6:  # and linked again
        tale.to_come = [_granted_by_guardian, _accepted_by_guardian, _verified, _linked]
    return GuardianUnlinked(**tale.envelope(by), guardian=actor.id, reason="r")


def _invocation_fields(tale: _Tale) -> Fields:
    cell, rng = tale.rng.choice(tale.cells), tale.rng
    return {
        "code": rng.choice(("a", "c", "c", "e", "e", "g", "k")),
        "operations": tuple(sorted({cell.operation, rng.choice((cell.operation, Operation.STORE))})),
        "data": (cell.data,),
        "recipients": (cell.recipient,) if cell.recipient and rng.random() < 0.85 else None,
        "purpose": cell.purpose if rng.random() < 0.4 else None,
        "legal_ref": "law 1" if rng.random() < 0.97 else " ",
        "approver": "second",
    }


def _invoked(tale: _Tale) -> ExemptionInvoked:
    return ExemptionInvoked(**tale.envelope(CONTROLLER), **_invocation_fields(tale), valid_until=tale.until())


def _exemption_ended(tale: _Tale) -> ExemptionEnded:
    fields = _invocation_fields(tale)
    invoked = [r.event for r in tale.events if isinstance(r.event, ExemptionInvoked)]
    if invoked and tale.rng.random() < 0.8:
        one = tale.rng.choice(invoked)
        fields |= {"code": one.code, "operations": one.operations, "data": one.data}
    return ExemptionEnded(**tale.envelope(CONTROLLER), **fields)


def _rights(tale: _Tale) -> RightsRequested | RightsResolved:
    asked = [r.event for r in tale.events if isinstance(r.event, RightsRequested)]
    if asked and tale.rng.random() < 0.5:
        outcome = tale.rng.choice((Outcome.REJECTED, Outcome.REJECTED, Outcome.GRANTED))
        envelope = tale.envelope(CONTROLLER)
        return RightsResolved(**envelope, request=tale.rng.choice(asked).event_id, outcome=outcome, reason="r")
    right = Right.OBJECTION if tale.rng.random() < 0.85 else Right.ACCESS
    scope = tale.scope_fields() if right is Right.OBJECTION else {}
    return RightsRequested(**tale.envelope(tale.person()), **scope, right=right, identity_verified=True)


def _quarantine(tale: _Tale) -> SubjectQuarantined | QuarantineReleased:
    waiting = [r.event for r in tale.events if isinstance(r.event, SubjectQuarantined)]
    if waiting and tale.rng.random() < 0.7:
        return QuarantineReleased(
            **tale.envelope(CONTROLLER), position=tale.rng.choice(waiting).position,
            disposition=Disposition.NO_EFFECT, reason="r", approver="second",
        )  # fmt: skip
    position = f"consent-intake.app-0@{tale.rng.randrange(3)}"
    return SubjectQuarantined(**tale.envelope(SYSTEM), position=position, error="INVALID_JSON")


def _end(tale: _Tale) -> AccountClosed | SubjectErased:
    if tale.rng.random() < 0.75:
        return AccountClosed(**tale.envelope(OWN), identity_verified=True, method="id")
    return SubjectErased(**tale.envelope(SYSTEM), request=UUID(int=tale.rng.getrandbits(128)))


def _idle(tale: _Tale) -> AnySubjectEvent:
    chance = tale.rng.random()
    if chance < 0.3:
        return IdentityLinked(**tale.envelope(SYSTEM), device="device:one", account=SUBJECT)
    if chance < 0.7:
        return DataCollected(**tale.envelope(SYSTEM), **tale.cell_fields(), decision_position="e1.p3.o1")
    return ObligationFulfilled(
        **tale.envelope(SYSTEM), obligation_id=UUID(int=tale.rng.getrandbits(128)), outcome="done"
    )


def _again(tale: _Tale) -> AnySubjectEvent:
    """An id that is known, with the same content or with another."""
    if not tale.events:
        return _idle(tale)
    known = tale.rng.choice(tale.events).event
    if tale.rng.random() < 0.5:
        return known
    other = tale.rng.choices(MAKERS[:12], WEIGHTS[:12])[0](tale)
    return _with_id(other, known.event_id)


def _with_id(event: AnySubjectEvent, event_id: UUID) -> AnySubjectEvent:
    fields: Fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**(fields | {"event_id": event_id}))


TABLE: tuple[tuple[Maker, int], ...] = (
    (_granted, 30), (_refused, 8), (_withdrawn, 10), (_ended_by_controller, 4), (_preference, 10), (_permission, 9),
    (_age, 5), (_linked, 3), (_verified, 4), (_unlinked, 2), (_accepted, 7), (_exemption_ended, 3), (_invoked, 9),
    (_reaffirmed, 7), (_asked, 3), (_rights, 5), (_quarantine, 2), (_end, 1), (_idle, 2), (_again, 3),
)  # fmt: skip
MAKERS = tuple(make for make, _ in TABLE)
WEIGHTS = tuple(weight for _, weight in TABLE)


# --- questions ---


def _question(tale: _Tale) -> Question:
    rng = tale.rng
    last = tale.events[-1].recorded_at
    now = last + rng.choice((0, 1, HOUR_MS, DAY_MS, 20 * DAY_MS)) if rng.random() < 0.5 else tale.moment()
    recorded = list(takewhile(lambda recorded: recorded.recorded_at <= now, tale.events))
    offset = max((event.position.offset for event in recorded), default=0)
    seen = Position(1, PARTITION, offset + rng.choice((0, 0, 3)))
    return Question(_request(tale, seen), now, _staleness(rng), len(recorded), seen)


def _staleness(rng: Random) -> int | None:
    if rng.random() < 0.8:
        return rng.choice((0, 10, 1000))
    bound = rng.choice((1000, 2000, HOUR_MS, 2 * HOUR_MS, DAY_MS))
    return rng.choice((bound, bound + 1, None))


def _request(tale: _Tale, seen: Position) -> Request:
    rng = tale.rng
    cell = rng.choice(tale.cells)
    asked = cell.purpose if rng.random() < 0.99 else rng.choice(("nothing", "feed", "extra"))
    data = [cell.data] if rng.random() < 0.99 else []
    lines = [line for policy in tale.versions if (line := policy.purposes.get(cell.purpose)) is not None]
    if rng.random() < 0.25:
        data += rng.choice((rng.choice(lines).data, ("plain", "other"), ("unheard",)))
    forms = [line.form for line in lines] * 3 + [Form.DEIDENTIFIED, Form.ANONYMISED]
    return Request(
        subject=SUBJECT,
        operation=cell.operation if rng.random() < 0.96 else rng.choice(list(Operation)),
        purpose=asked,
        data=tuple(data),
        recipient=(cell.recipient or None) if rng.random() < 0.95 else rng.choice((None, "shop", "host")),
        form=rng.choice(forms),
        active=rng.random() < 0.85,
        device=rng.choice((None, None, "device:one", "device:two")),
        transfer_mechanism=rng.choice(("contract", "contract", "assessment", "rules", None)),
        joined_with_identity=rng.choice((None, False, False, True)) if rng.random() < 0.5 else None,
        min_position=_min_position(rng, seen),
    )


def _min_position(rng: Random, seen: Position) -> Position | None:
    if rng.random() < 0.95:
        return None
    return rng.choice((seen, Position(1, PARTITION, seen.offset + 1), Position(2, PARTITION, 0)))
