"""Random rows, policies and questions for the decision's properties. Rows need not be ones that a fold can reach."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Any, NamedTuple, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from unit.story import DOCUMENT, START, SUBJECT, event_id, first_version, published, recorded

from consentry.decision import Request, View
from consentry.events import ControllerChanged, ServiceDiscontinued
from consentry.policy import Policies, parse_policy
from consentry.state.row import (
    Acceptance,
    Act,
    AgeStatement,
    CellBlock,
    Circumstances,
    Ending,
    Guardianship,
    Invocation,
    Lift,
    Mark,
    Objection,
    OptOut,
    Permission,
    Scope,
    SubjectState,
)
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Expression,
    Form,
    Operation,
    PermissionState,
    Position,
    Status,
)

POLICY = parse_policy(DOCUMENT)
PURPOSES = (
    "recommendation.nearby",
    "recommendation.city",
    "account.profile",
    "publish.camera",
    "security.operation",
    "partner.login",
    "partner.statistics",
    "security.partner",
    "legal.obligation",
)
RECIPIENTS = ("gamehub", "statco", "newsfeed-labs", "riskguard")
DATA = (
    "gps_precise",
    "base_station",
    "ip_city",
    "gender",
    "camera_image",
    "ip_address",
    "nickname",
    "crowd_profile",
    "account_id",
)
OPERATIONS = (Operation.COLLECT, Operation.USE, Operation.SHARE)
GUARDIANS = ("account:mum", "account:dad")
STOPS = (Status.REFUSED, Status.WITHDRAWN, Status.REVOKED, Status.INVALIDATED)
WEEK = 7 * 86_400_000
Choice = TypeVar("Choice")


class World(NamedTuple):
    """A question and what is known of its subject."""

    row: SubjectState
    staleness_ms: int | None
    request: Request
    now: int

    @property
    def view(self) -> View:
        return view_of(self.row, self.staleness_ms)


class Dice:
    """A world from one number. Hypothesis draws the number: to draw each part would take a hundred times as long."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.purpose = self.random.choice(PURPOSES)
        self.offsets = self.random.sample(range(50), 12)

    def mostly(self, usual: Choice, *others: Choice) -> Choice:
        return usual if self.random.random() < 0.75 else self.random.choice(others)

    def rarely(self, value: Choice, usual: Choice) -> Choice:
        return value if self.random.random() < 0.06 else usual

    def some(self, words: Sequence[Choice], least: int = 1) -> tuple[Choice, ...]:
        return tuple(self.random.sample(words, self.random.randint(least, min(3, len(words)))))

    def time(self) -> int:
        return START + self.random.randint(-5_000, 5_000)

    def id(self) -> bytes:
        return self.random.randbytes(16)

    def act(self) -> Act:
        """Mostly a grant that holds, for every cell of the purpose."""
        line = POLICY.purposes[self.purpose]
        whole = CellBlock(self.purpose, line.operations, line.data or ("gender",), tuple(sorted(line.role_of)))
        part = CellBlock(self.random.choice(PURPOSES), self.some(OPERATIONS), self.some(DATA))
        return Act(
            event_id=self.id(),
            status=self.mostly(Status.GIVEN, Status.REQUESTED, Status.DEFERRED),
            actor_role=self.mostly(ActorRole.SUBJECT, ActorRole.GUARDIAN),
            actor_id=SUBJECT,
            informed=self.random.random() < 0.3,
            expression=self.random.choice(list(Expression)),
            policy_version=self.rarely(2, 1),
            occurred_at=self.time(),
            recorded_at=self.time(),
            offset=self.offsets.pop(),
            valid_until=self.mostly(None, self.time()),
            block=self.mostly(whole, part),
        )

    def mark(self, offset: int) -> Mark:
        return Mark(
            event_id=self.id(),
            status=self.random.choice(STOPS),
            actor_role=self.random.choice((ActorRole.SUBJECT, ActorRole.CONTROLLER, ActorRole.GUARDIAN)),
            actor_id=SUBJECT,
            occurred_at=self.time(),
            recorded_at=self.time(),
            offset=offset,
            scene=self.random.choice(("", "map")),
            scope=Scope(
                self.random.choice(("", self.purpose, *PURPOSES)),
                self.mostly((), self.some(OPERATIONS)),
                self.mostly((), self.some(DATA)),
            ),
        )

    def opt_out(self) -> OptOut:
        return OptOut(
            event_id=self.id(),
            purpose=self.mostly(self.purpose, *PURPOSES),
            actor_role=ActorRole.SUBJECT,
            actor_id=SUBJECT,
            recorded_at=self.time(),
            offset=self.offsets.pop(),
        )

    def permission(self, name: str, device: str) -> Permission:
        return Permission(
            event_id=self.id(),
            name=name,
            device=device,
            state=self.mostly(PermissionState.ON, PermissionState.OFF, PermissionState.LIMITED),
            recorded_at=self.time(),
            offset=self.random.randint(0, 50),
            off_at=self.time(),
        )

    def row(self) -> SubjectState:
        seen = self.some([(name, device) for name in ("camera", "location") for device in ("", "d1", "d2")], 0)
        return SubjectState(
            subject=SUBJECT,
            position=Position(1, 3, 50),
            tightened_offset=self.random.randint(-1, 50),
            acts=tuple(self.act() for _ in range(self.random.randint(0, 4))),
            marks=tuple(self.mark(self.offsets.pop()) for _ in range(self.random.choice((0, 0, 0, 1, 2)))),
            opt_outs=self.rarely((self.opt_out(),), ()),
            permissions=tuple(self.permission(*each) for each in seen),
            quarantined=self.rarely(("consent-intake.shop-0@7",), ()),
            closed_at=self.rarely(self.time(), None),
            erased_at=self.rarely(self.time(), None),
            first_act_at=self.mostly(None, self.time()),
            circumstances=self.circumstances() if self.random.random() < 0.5 else None,
        )

    def circumstances(self) -> Circumstances:
        return Circumstances(
            ages=self.a_few(self.age),
            guardianships=self.a_few(self.guardianship),
            acceptances=self.a_few(self.acceptance),
            lifts=self.rarely((self.lift(),), ()),
            objections=self.rarely((Objection(**self.act_of_somebody(), scope=self.scope()),), ()),
            invocations=self.a_few(self.invocation),
            endings=self.rarely((self.ending(),), ()),
        )

    def a_few(self, make: Callable[[], Choice]) -> tuple[Choice, ...]:
        return tuple(make() for _ in range(self.random.choice((0, 0, 1, 1, 2))))

    def act_of_somebody(self) -> dict[str, Any]:
        return {
            "event_id": self.id(),
            "actor_role": self.random.choice((ActorRole.SUBJECT, ActorRole.GUARDIAN)),
            "actor_id": self.random.choice((SUBJECT, *GUARDIANS)),
            "recorded_at": self.time(),
            "offset": self.random.randint(0, 50),
        }

    def age(self) -> AgeStatement:
        born = date.fromtimestamp(START / 1_000) - timedelta(
            days=self.random.choice((5_000, 5_113, 6_573, 6_575, 9_000))
        )
        said = self.random.random() < 0.7
        return AgeStatement(
            event_id=self.id(),
            source=self.random.choice(list(AgeSource)),
            birth_date=born.toordinal() if said else None,
            band=None if said else self.random.choice(list(AgeBand)),
            may_raise=self.random.random() < 0.9,
            occurred_at=self.time(),
            recorded_at=self.time(),
            offset=self.random.randint(0, 50),
        )

    def guardianship(self) -> Guardianship:
        verified = self.random.random() < 0.8
        at, offset = self.time(), self.random.randint(0, 50)
        return Guardianship(
            guardian=self.random.choice(GUARDIANS),
            linked_at=at,
            verified_at=at if verified else -1,
            verified_offset=offset if verified else -1,
            verified_id=self.id() if verified else b"",
            first_verified_at=at if verified else -1,
            first_verified_offset=offset if verified else -1,
        )

    def acceptance(self) -> Acceptance:
        return Acceptance(**self.act_of_somebody(), policy_version=self.random.choice((1, 2)), occurred_at=self.time())

    def lift(self) -> Lift:
        return Lift(
            **self.act_of_somebody(),
            purpose=self.purpose,
            occurred_at=self.time(),
            informed=self.random.random() < 0.3,
        )

    def scope(self) -> Scope:
        return Scope(self.random.choice(("", self.purpose)), self.mostly((), self.some(OPERATIONS)), ())

    def invocation(self) -> Invocation:
        return Invocation(
            event_id=self.id(),
            code=self.random.choice("abcdefghijkz"),
            legal_ref=self.rarely(" ", "act 5"),
            valid_until=self.time() + 5_000,
            occurred_at=self.time(),
            recorded_at=self.time(),
            offset=self.random.randint(0, 50),
            scope=Scope(
                self.mostly("", self.purpose), self.some(OPERATIONS), self.some(DATA), self.mostly((), RECIPIENTS)
            ),
        )

    def ending(self) -> Ending:
        return Ending(
            event_id=self.id(),
            code=self.random.choice("abcdefghijk"),
            recorded_at=self.time(),
            offset=self.random.randint(0, 50),
            scope=self.scope(),
        )

    def datum(self) -> str:
        return self.random.choice((self.random.random() < 0.9 and POLICY.purposes[self.purpose].data) or DATA)

    def request(self) -> Request:
        """Mostly about a purpose and data that go together."""
        wanted = Position(self.random.randint(1, 2), 3, self.random.randint(40, 60))
        return Request(
            subject=SUBJECT,
            operation=self.mostly(self.random.choice(POLICY.purposes[self.purpose].operations), *OPERATIONS),
            purpose=self.rarely("no.such.purpose", self.purpose),
            data=tuple(self.datum() for _ in range(self.random.choice((1, 1, 1, 2, 3, self.rarely(0, 1))))),
            active=self.random.random() < 0.75,
            device=self.random.choice((None, "d1", "d2")),
            recipient=self.recipient(),
            form=self.mostly(Form.IDENTIFIABLE, *Form),
            joined_with_identity=self.rarely(self.random.choice((True, False)), None),
            transfer_mechanism=self.rarely("certification", None),
            min_position=self.rarely(wanted, None),
        )

    def recipient(self) -> str | None:
        named = tuple(POLICY.purposes[self.purpose].role_of)
        return self.mostly(self.random.choice(named), None) if named else self.rarely("gamehub", None)

    def world(self) -> World:
        staleness = self.mostly(100, None, 2_000, 2_001, 86_400_000, 86_400_001)
        return World(self.row(), staleness, self.request(), self.time())


seeds = st.integers(0, 2**32)
worlds = seeds.map(lambda seed: Dice(seed).world())
later_marks = seeds.map(lambda seed: Dice(seed).mark(60))
opt_outs = seeds.map(lambda seed: Dice(seed).opt_out())
times = st.integers(START - 5_000, START + 5_000)
many = settings(max_examples=300, deadline=None)


@st.composite
def histories_of_policies(draw: st.DrawFn) -> Policies:
    """The reference policy; perhaps a second version, the end of the service, another controller, all near START."""
    policies = first_version()
    if draw(st.booleans()):
        return policies
    if draw(st.booleans()):
        policies = second_version()
    if draw(st.booleans()):
        policies = recorded(policies, _discontinued(draw(times)))
    if draw(st.booleans()):
        policies = recorded(policies, _another_controller(draw(times), terms_kept=draw(st.booleans())))
    return policies


@cache
def second_version() -> Policies:
    return published(first_version(), SECOND_VERSION, now=START - 2 * WEEK)


SECOND_VERSION = DOCUMENT.replace("version: 1\n", "version: 2\n", 1).replace(
    "effective_at: 2026-01-08T00:00:00Z", "effective_at: 2026-01-09T00:00:01Z"
)
"""Takes effect a second after START."""


def _discontinued(effective_at: int) -> ServiceDiscontinued:
    return ServiceDiscontinued(event_id=event_id("end"), policy=POLICY.id, occurred_at=0, effective_at=effective_at)


def _another_controller(effective_at: int, *, terms_kept: bool) -> ControllerChanged:
    return ControllerChanged(
        event_id=event_id("sale"),
        policy=POLICY.id,
        occurred_at=0,
        successor="other",
        terms_kept=terms_kept,
        effective_at=effective_at,
    )


def view_of(row: SubjectState | None, staleness_ms: int | None) -> View:
    return View(row, Position(1, 3, 55), staleness_ms)
