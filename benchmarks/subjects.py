"""The subjects that decisions are asked about: rows that the fold makes of a few events, and what each is asked."""

from functools import reduce
from pathlib import Path
from uuid import UUID

import msgspec

from consentry.decision import Request
from consentry.events import (
    Actor,
    AgeAsserted,
    AnySubjectEvent,
    ConsentGiven,
    ConsentWithdrawn,
    ExemptionInvoked,
    GuardianLinked,
    GuardianVerified,
    PolicyAccepted,
    PolicyRevised,
    Recorded,
    RecordedPolicyEvent,
)
from consentry.policy import Policies, parse_policy
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import ActorRole, AgeSource, Channel, Expression, Operation, Position, Reason

DAY_MS = 86_400_000
AT = 1_780_000_000_000
"""when the acts happen: under the reference policy's first version"""
NOW = 1_782_000_000_000
"""when it is asked: its second is in force"""
EXAMPLES = Path(__file__).parent.parent / "examples" / "policies"
WHO = "account:model"
GUARDIAN = "account:guardian"
COLLECT, STORE, USE, DISCLOSE = Operation.COLLECT, Operation.STORE, Operation.USE, Operation.DISCLOSE
OWN = (COLLECT, STORE, USE)

Cells = tuple[str, tuple[Operation, ...], tuple[str, ...]]
FOLLOW: Cells = ("interaction.follow", OWN, ("followed_accounts",))
PROFILE: Cells = ("account.profile", OWN, ("gender", "region", "interests"))
ONE_CELL: tuple[Cells, ...] = (("interaction.follow", (COLLECT,), ("followed_accounts",)),)
TEN_CELLS: tuple[Cells, ...] = (
    ("account.profile", (COLLECT,), ("gender", "region", "interests")),
    ("account.identity", (COLLECT, USE), ("avatar", "nickname")),
    FOLLOW,
)
FORTY_CELLS: tuple[Cells, ...] = (
    PROFILE,
    ("account.identity", OWN, ("avatar", "nickname")),
    ("recommendation.personalised", OWN, ("behaviour", "posted_content")),
    ("publish.content", (*OWN, DISCLOSE), ("posted_content", "nickname", "avatar")),
    ("cookies.convenience", OWN, ("cookie_id",)),
    ("convenience.app_jump", (COLLECT,), ("installed_apps",)),
    FOLLOW,
)


class Question(msgspec.Struct, frozen=True):
    request: Request
    reason: Reason
    """the answer's"""


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects of one kind."""

    name: str
    row: SubjectState
    asked: str
    questions: tuple[Question, ...]


def _policies(*names: str) -> Policies:
    policies = Policies()
    for number, name in enumerate(names, 1):
        document = (EXAMPLES / name).read_text(encoding="utf-8")
        parsed = parse_policy(document)
        revised = PolicyRevised(
            event_id=UUID(int=number, version=4),
            policy=parsed.id,
            occurred_at=parsed.effective_at - 30 * DAY_MS,
            version=parsed.version,
            effective_at=parsed.effective_at,
            document=document,
            text="",
            text_hash="",
        )
        policies = policies.after(RecordedPolicyEvent(Position(1, 0, number), revised.occurred_at, revised))
    return policies


POLICIES = {1: _policies("reference-v1.yaml"), 2: _policies("reference-v1.yaml", "reference-v2.yaml")}
"""by how many versions are published"""


def _row(*events: AnySubjectEvent) -> SubjectState:
    recorded = [Recorded(Position(1, 0, offset), event.occurred_at, event) for offset, event in enumerate(events, 1)]
    return reduce(fold, recorded, SubjectState.unknown(WHO, 1, 0))


class _Story:
    """Events one after the other, each an hour later."""

    def __init__(self) -> None:
        self.events: list[AnySubjectEvent] = []

    def add(self, kind: type, role: ActorRole = ActorRole.SUBJECT, **fields: object) -> None:
        number = len(self.events) + 1
        actor = Actor(role=role, id={ActorRole.SUBJECT: WHO, ActorRole.GUARDIAN: GUARDIAN}.get(role, "operator"))
        self.events.append(
            kind(
                event_id=UUID(int=number, version=4),
                subject=WHO,
                occurred_at=AT + number * 3_600_000,
                actor=actor,
                channel=Channel.APP,
                producer="bench",
                **fields,
            )
        )

    def grant(self, cells: Cells, role: ActorRole = ActorRole.SUBJECT) -> None:
        purpose, operations, data = cells
        self.add(
            ConsentGiven,
            role,
            purpose=purpose,
            operations=operations,
            data=data,
            recipients=(),
            policy_version=1,
            expression=Expression.SEPARATE,
        )

    def row(self) -> SubjectState:
        return _row(*self.events)


def _asking(purpose: str, operation: Operation, datum: str, reason: Reason) -> Question:
    return Question(Request(subject=WHO, operation=operation, purpose=purpose, data=(datum,)), reason)


CONSENTED = _asking("interaction.follow", COLLECT, "followed_accounts", Reason.CONSENT)
"""the last of the row's acts"""
USUAL = (
    CONSENTED,
    _asking("search.service", COLLECT, "search_keywords", Reason.NECESSARY),
    _asking("push.personalised", USE, "behaviour", Reason.NO_CONSENT),
    _asking("cookies.recommendation", COLLECT, "cookie_id", Reason.WITHDRAWN),
    _asking("account.registration", COLLECT, "gender", Reason.DATA_NOT_COVERED),
)
USUAL_WORDS = "consent, necessity, never asked, withdrawn, not covered: a fifth each"


def _adult(name: str, cells: tuple[Cells, ...]) -> Sort:
    story = _Story()
    for each in cells:
        story.grant(each)
    story.add(ConsentWithdrawn, purpose="cookies.recommendation")
    return Sort(name=name, row=story.row(), asked=USUAL_WORDS, questions=USUAL)


def _minor() -> Sort:
    story = _Story()
    story.add(AgeAsserted, source=AgeSource.DECLARED, birth_date="2010-03-01")
    story.add(GuardianLinked, ActorRole.GUARDIAN, guardian=GUARDIAN, relation="parent")
    story.add(GuardianVerified, ActorRole.CONTROLLER, guardian=GUARDIAN, method="document")
    story.add(PolicyAccepted, ActorRole.GUARDIAN, policy_version=1)
    for cells in TEN_CELLS:
        story.grant(cells)
    story.grant(FOLLOW, ActorRole.GUARDIAN)
    return Sort(
        name="10 cells, a minor of 16 and a guardian",
        row=story.row(),
        asked="consent of both",
        questions=(CONSENTED,),
    )


def _exempt() -> Sort:
    story = _Story()
    for cells in TEN_CELLS:
        story.grant(cells)
    story.add(
        ExemptionInvoked,
        ActorRole.CONTROLLER,
        code="c",
        operations=(COLLECT,),
        data=("phone",),
        legal_ref="warrant 1",
        approver="counsel",
        valid_until=NOW + 30 * DAY_MS,
    )
    return Sort(
        name="10 cells and an exemption",
        row=story.row(),
        asked="exempt",
        questions=(_asking("legal.obligation", COLLECT, "phone", Reason.EXEMPT),),
    )


def _reduced() -> Sort:
    story = _Story()
    for cells in TEN_CELLS:
        story.grant(cells)
    return Sort(
        name="10 cells, of before a reduction of rights",
        row=story.row(),
        asked="consent, by both versions of the policy",
        questions=(CONSENTED,),
    )


ADULTS = (_adult("1 cell", ONE_CELL), _adult("10 cells", TEN_CELLS), _adult("40 cells", FORTY_CELLS))
MINOR, EXEMPT, REDUCED = _minor(), _exempt(), _reduced()
