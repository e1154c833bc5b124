"""Random histories of one subject: events of a few cells, with clocks that lie, repeats, and records that come late."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from consentry.events import (
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
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    QuarantineReleased,
    Recorded,
    RightsRequested,
    RightsResolved,
    SubjectQuarantined,
)
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Cell,
    Channel,
    Disposition,
    Expression,
    Operation,
    Outcome,
    PermissionState,
    Position,
    Right,
)

SUBJECT = "account:ada"
EPOCH, PARTITION = 1, 3
PURPOSES = ("feed.nearby", "partner.ads")
OPERATIONS = (Operation.COLLECT, Operation.USE, Operation.SHARE)
DATA = ("gps", "tags")
RECIPIENTS = {"feed.nearby": (), "partner.ads": ("adnet", "adx")}
PERMISSIONS = ("location", "camera")
DEVICES = ("phone", "tablet")
PERSON = Actor(role=ActorRole.SUBJECT, id=SUBJECT)
OPERATOR = Actor(role=ActorRole.CONTROLLER, id="operator-1")
GUARDIANS = ("account:eve", "account:bob")
PARENTS = tuple(Actor(role=ActorRole.GUARDIAN, id=guardian) for guardian in GUARDIANS)
CODES = ("c", "d")
CELLS = tuple(
    Cell(purpose, operation, datum, recipient)
    for purpose in PURPOSES
    for operation in OPERATIONS
    for datum in DATA
    for recipient in ("", *RECIPIENTS[purpose])
)


def at(offset: int) -> Position:
    return Position(EPOCH, PARTITION, offset)


def _some(words: Sequence[str], least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(list(words)), min_size=least, max_size=len(words)).map(tuple)


def _part(words: Sequence[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | _some(words)


@st.composite
def _cells(draw: st.DrawFn) -> dict[str, object]:
    purpose = draw(st.sampled_from(PURPOSES))
    recipients = RECIPIENTS[purpose]
    return {
        "purpose": purpose,
        "operations": draw(_some(OPERATIONS)),
        "data": draw(_some(DATA)),
        "recipients": draw(st.none() | _some(recipients) | _some(recipients)) if recipients else None,
    }


@st.composite
def _scope(draw: st.DrawFn) -> dict[str, object]:
    return {
        "purpose": draw(st.none() | st.sampled_from(PURPOSES)),
        "operations": draw(_part(OPERATIONS)),
        "data": draw(_part(DATA)),
        "recipients": draw(_part(("adnet", "adx"))),
    }


EXPECTED_POSITIONS = st.none() | st.none() | st.integers(1, 30).map(lambda offset: str(at(offset)))
EXPECT_THE_LAST = "the last tightening"
"""put in place of a position, when the history is laid down: what a client that had read the row would send"""

grants = st.builds(
    lambda cells, **rest: ("ConsentGiven", {**cells, **rest}),
    _cells(),
    policy_version=st.integers(1, 3),
    expression=st.sampled_from(list(Expression)),
    valid_until=st.none() | st.integers(1, 10_000),
    expected_position=EXPECTED_POSITIONS | st.just(EXPECT_THE_LAST),
)
reaffirmations = st.builds(
    lambda cells, **rest: ("ConsentReaffirmed", {**cells, **rest}),
    _cells(),
    policy_version=st.integers(1, 3),
    valid_until=st.none() | st.integers(1, 10_000),
    expected_position=EXPECTED_POSITIONS | st.just(EXPECT_THE_LAST),
)
asks = st.builds(
    lambda kind, cells: (kind, {**cells, "policy_version": 1}),
    st.sampled_from(["ConsentRequested", "ConsentDeferred"]),
    _cells(),
)
refusals = st.builds(
    lambda scope, scene: ("ConsentRefused", {**scope, "scene": scene}),
    _scope(),
    st.sampled_from([None, "start", "map"]),
)
stops = st.builds(
    lambda kind, scope: (kind, {**scope, "reason": "because"}),
    st.sampled_from(["ConsentWithdrawn", "ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated"]),
    _scope(),
)
opt_outs = st.builds(
    lambda **fields: ("PreferenceSet", {**fields, "opted_out": True}),
    purpose=st.sampled_from(PURPOSES),
    topic=st.sampled_from([None, None, None, "football"]),
)
lifts = st.builds(
    lambda **fields: ("PreferenceSet", {**fields, "opted_out": False}),
    purpose=st.sampled_from(PURPOSES),
    expected_position=EXPECTED_POSITIONS | st.just(EXPECT_THE_LAST),
)
offs = st.builds(
    lambda **fields: ("PermissionObserved", fields),
    permission=st.sampled_from(PERMISSIONS),
    state=st.sampled_from([PermissionState.OFF, PermissionState.LIMITED]),
    device=st.sampled_from([None, *DEVICES]),
)
ons = st.builds(
    lambda **fields: ("PermissionObserved", {**fields, "state": PermissionState.ON}),
    permission=st.sampled_from(PERMISSIONS),
    device=st.sampled_from([None, *DEVICES]),
)
odd_records = st.builds(
    lambda source: ("SubjectQuarantined", {"position": source, "error": "truncated"}),
    st.sampled_from(["consent-intake.app-0@7", "consent-intake.app-0@8"]),
)
releases = st.builds(
    lambda source: (
        "QuarantineReleased",
        {"position": source, "disposition": Disposition.NO_EFFECT, "reason": "read by hand", "approver": "b"},
    ),
    st.sampled_from(["consent-intake.app-0@7", "consent-intake.app-0@8"]),
)
idle = st.builds(lambda cells: ("DataCollected", {**cells, "decision_position": "e1.p3.o1"}), _cells())
acceptances = st.builds(lambda version: ("PolicyAccepted", {"policy_version": version}), st.integers(1, 3))
ages = st.builds(
    lambda source, said, actor: ("AgeAsserted", {"source": source, **said, "actor": actor}),
    st.sampled_from(list(AgeSource)),
    st.sampled_from([{"birth_date": "2010-02-28"}, *({"age_band": band} for band in AgeBand)]),
    st.sampled_from((PERSON, OPERATOR, *PARENTS)),
)
links = st.builds(
    lambda kind, guardian: (kind[0], {"guardian": guardian, kind[1]: "said"}),
    st.sampled_from(
        [("GuardianLinked", "relation"), ("GuardianVerified", "method")] * 2 + [("GuardianUnlinked", "reason")]
    ),
    st.sampled_from(GUARDIANS),
)
objections = st.builds(
    lambda right, scope: ("RightsRequested", {"right": right, **(scope if right is Right.OBJECTION else {})}),
    st.sampled_from([Right.OBJECTION, Right.OBJECTION, Right.ACCESS]),
    _scope(),
)
resolutions = st.builds(
    lambda number, outcome: ("RightsResolved", {"request": UUID(int=number + 1), "outcome": outcome, "reason": "said"}),
    st.integers(0, 5),
    st.sampled_from(list(Outcome)),
)
exempted = st.builds(
    lambda code, scope: {**scope, "code": code, "legal_ref": "order", "approver": "b"},
    st.sampled_from(CODES),
    st.fixed_dictionaries(
        {
            "purpose": st.none() | st.sampled_from(PURPOSES),
            "operations": _some(OPERATIONS),
            "data": _some(DATA),
            "recipients": _part(("adnet", "adx")),
        }
    ),
)
exemptions = st.builds(lambda fields: ("ExemptionInvoked", {**fields, "valid_until": 9_000}), exempted) | st.builds(
    lambda fields: ("ExemptionEnded", fields), exempted
)


def by_guardians(
    kinds: st.SearchStrategy[tuple[str, dict[str, object]]],
) -> st.SearchStrategy[tuple[str, dict[str, object]]]:
    return st.builds(lambda drawn, parent: (drawn[0], {**drawn[1], "actor": parent}), kinds, st.sampled_from(PARENTS))


tightenings = refusals | stops | opt_outs.filter(lambda drawn: drawn[1]["topic"] is None) | offs | odd_records
anything = (
    grants | grants | grants | reaffirmations | asks | refusals | stops | stops | opt_outs | lifts | offs | ons
    | odd_records | releases | idle | acceptances
)  # fmt: skip
guarded = by_guardians(grants | grants | reaffirmations | asks | refusals | stops | opt_outs | lifts | acceptances)
rare = ages | links | links | links | guarded | guarded | guarded | objections | resolutions | exemptions
"""what few subjects have in their logs: it makes a row's circumstances"""
everything = anything | rare | rare

KINDS = {
    kind.__name__: kind
    for kind in (
        ConsentRequested, ConsentDeferred, ConsentGiven, ConsentReaffirmed, ConsentRefused, ConsentWithdrawn,
        ConsentRevoked, ConsentInvalidated, PreferenceSet, PermissionObserved, SubjectQuarantined, QuarantineReleased,
        DataCollected, PolicyAccepted, AgeAsserted, GuardianLinked, GuardianVerified, GuardianUnlinked,
        ExemptionInvoked, ExemptionEnded, RightsRequested, RightsResolved,
    )
}  # fmt: skip
BY_OPERATORS = (
    "ConsentRevoked", "ConsentInvalidated", "ConsentRequested", "SubjectQuarantined", "QuarantineReleased",
    "GuardianLinked", "GuardianVerified", "GuardianUnlinked", "ExemptionInvoked", "ExemptionEnded", "RightsResolved",
)  # fmt: skip


class Draft(msgspec.Struct, frozen=True):
    """An event without its place: how long after the former record it was recorded, and what its clock said."""

    kind: str
    fields: dict[str, object]
    pause: int
    clock: int
    """occurred_at less recorded_at"""
    number: int
    """of its event id; two drafts of one number claim to be the same event"""


CLOCKS = st.sampled_from([0, 0, -1, -3, -10, -40, 2, 20, 299_000, 300_000, 300_001, 10**9])


@st.composite
def drafts(draw: st.DrawFn, kinds: st.SearchStrategy[tuple[str, dict[str, object]]] = everything) -> Draft:
    kind, fields = draw(kinds)
    repeated = draw(st.integers(0, 9)) == 0
    number = draw(st.integers(0, 5)) if repeated else draw(st.integers(10, 10**9))
    return Draft(kind, fields, draw(st.sampled_from([0, 1, 1, 5, 20])), draw(CLOCKS), number)


def lay_down(drawn: Sequence[Draft], *, first_offset: int = 1, recorded_at: int = 1_000) -> list[Recorded]:
    """The drafts as records of the log, one after the other."""
    from unit.model import tightened_position_of

    records: list[Recorded] = []
    for offset, draft in enumerate(drawn, start=first_offset):
        recorded_at += draft.pause
        fields = dict(draft.fields)
        if fields.get("expected_position") == EXPECT_THE_LAST:
            last = tightened_position_of(records)
            fields["expected_position"] = None if last is None else str(last)
        records.append(
            Recorded(at(offset), recorded_at, event_of(draft.kind, draft.number, recorded_at + draft.clock, fields))
        )
    return records


def event_of(kind: str, number: int, occurred_at: int, fields: dict[str, object]) -> AnySubjectEvent:
    named = {"actor": OPERATOR if kind in BY_OPERATORS else PERSON, **fields}
    return KINDS[kind](
        event_id=UUID(int=number + 1), subject=SUBJECT, occurred_at=occurred_at, channel=Channel.APP, **named
    )


def histories(
    kinds: st.SearchStrategy[tuple[str, dict[str, object]]] = everything, *, most: int = 25
) -> st.SearchStrategy[list[Recorded]]:
    return st.lists(drafts(kinds), max_size=most).map(lay_down)
