"""Random rows, policies and questions for the decision's properties. Rows need not be ones that a fold can reach."""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import NamedTuple, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from unit.story import DOCUMENT, START, SUBJECT, event_id, first_version, published, recorded

from consentry.decision import Request, View
from consentry.events import ControllerChanged, ServiceDiscontinued
from consentry.policy import Policies, parse_policy
from consentry.state.row import Act, CellBlock, Mark, OptOut, Permission, Scope, SubjectState
from consentry.terms import (
    ActorRole,
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
)
DATA = ("gps_precise", "base_station", "ip_city", "gender", "camera_image", "ip_address", "nickname")
OPERATIONS = (Operation.COLLECT, Operation.USE, Operation.SHARE)
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
        whole = CellBlock(self.purpose, OPERATIONS, POLICY.purposes[self.purpose].data)
        part = CellBlock(self.random.choice(PURPOSES), self.some(OPERATIONS), self.some(DATA))
        return Act(
            event_id=self.id(),
            status=self.mostly(Status.GIVEN, Status.REQUESTED, Status.DEFERRED),
            actor_role=self.rarely(ActorRole.GUARDIAN, ActorRole.SUBJECT),
            actor_id=SUBJECT,
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
            actor_role=self.random.choice((ActorRole.SUBJECT, ActorRole.CONTROLLER)),
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
            uninterpreted=self.rarely((self.random.choice(("AgeAsserted", "ExemptionInvoked")),), ()),
        )

    def datum(self) -> str:
        return self.random.choice(POLICY.purposes[self.purpose].data if self.random.random() < 0.9 else DATA)

    def request(self) -> Request:
        """Mostly about a purpose and data that go together."""
        wanted = Position(self.random.randint(1, 2), 3, self.random.randint(40, 60))
        return Request(
            subject=SUBJECT,
            operation=self.mostly(self.random.choice(OPERATIONS[:2]), *OPERATIONS),
            purpose=self.rarely("no.such.purpose", self.purpose),
            data=tuple(self.datum() for _ in range(self.random.choice((1, 1, 1, 2, 3, self.rarely(0, 1))))),
            active=self.random.random() < 0.75,
            device=self.random.choice((None, "d1", "d2")),
            recipient=self.rarely("gamehub", None),
            form=self.rarely(self.random.choice(list(Form)), Form.IDENTIFIABLE),
            joined_with_identity=self.rarely(self.random.choice((True, False)), None),
            transfer_mechanism=self.rarely("certification", None),
            min_position=self.rarely(wanted, None),
        )

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
