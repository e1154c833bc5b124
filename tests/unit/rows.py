"""Parts of a row, written out: for tests of the decision that no log of events need tell."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
from unit.story import first_version

from consentry.decision.age import Age
from consentry.policy import Policy
from consentry.state.row import (
    Acceptance,
    Act,
    AgeStatement,
    CellBlock,
    Circumstances,
    Ending,
    Guardianship,
    Invocation,
    Mark,
    OptOut,
    Scope,
    SubjectState,
)
from consentry.terms import ActorRole, AgeBand, AgeSource, Cell, Expression, Operation, Position, Status

SUBJECT, MUM = "account:ann", "account:mum"
CELL = Cell("account.profile", Operation.USE, "gender", "")
BORN = date(2000, 5, 17)
EIGHTEEN = int(datetime(2018, 5, 17, tzinfo=UTC).timestamp() * 1_000)
FOURTEEN = int(datetime(2014, 5, 17, tzinfo=UTC).timestamp() * 1_000)
AFTER = 1_767_916_800_000
"""2026-01-09T00:00:00Z: the first version is in force"""


def policy(unknown_age: AgeBand = AgeBand.ADULT) -> Policy:
    lines = {"guardian_required_below": 18, "sensitive_below": 14, "time_zone": "UTC", "unknown_age": unknown_age}
    return msgspec.structs.replace(first_version().revisions[0].policy, **lines)


def row(circumstances: Circumstances | None = None, **parts: Any) -> SubjectState:
    return SubjectState(subject=SUBJECT, position=Position(1, 3, 1_000), circumstances=circumstances, **parts)


def age_of(facts: Circumstances) -> Age:
    return Age(facts, policy())


def said(
    what: AgeBand | date, at: int, *, source: AgeSource = AgeSource.DECLARED, occurred: int | None = None, **more: Any
) -> AgeStatement:
    """Recorded at that moment, and at the place of the same number."""
    band, born = (None, what.toordinal()) if isinstance(what, date) else (what, None)
    given = {"event_id": b"a" * 16, "may_raise": True, "offset": at} | more
    occurred_at = at if occurred is None else occurred
    return AgeStatement(source=source, birth_date=born, band=band, occurred_at=occurred_at, recorded_at=at, **given)


def verified(at: int) -> Guardianship:
    return Guardianship(
        guardian=MUM, linked_at=at, verified_at=at, verified_offset=at, verified_id=b"v" * 16,
        first_verified_at=at, first_verified_offset=at,
    )  # fmt: skip


def by(who: str) -> dict[str, Any]:
    return {"actor_role": ActorRole.SUBJECT if who == SUBJECT else ActorRole.GUARDIAN, "actor_id": who}


def at(recorded: int, occurred: int | None = None, offset: int | None = None) -> dict[str, int]:
    """Recorded at that moment, and at the place of the same number, unless it is said otherwise."""
    return {
        "occurred_at": recorded if occurred is None else occurred,
        "recorded_at": recorded,
        "offset": recorded if offset is None else offset,
    }


def grant(who: str, when: dict[str, int], **more: Any) -> Act:
    given = {
        "event_id": b"g" * 16, "status": Status.GIVEN, "expression": Expression.EXPRESSED, "policy_version": 1,
        "valid_until": None, "block": CellBlock(CELL.purpose, (CELL.operation,), (CELL.data,)),
    }  # fmt: skip
    return Act(**given | by(who) | when | more)


def mark(who: str, when: dict[str, int], scope: Scope | None = None, status: Status = Status.WITHDRAWN) -> Mark:
    whole = Scope(CELL.purpose) if scope is None else scope
    return Mark(event_id=b"m" * 16, status=status, scene="", scope=whole, **by(who) | when)


def opt_out(who: str, when: int, purpose: str = CELL.purpose) -> OptOut:
    return OptOut(event_id=b"o" * 16, purpose=purpose, recorded_at=when, offset=when, **by(who))


def acceptance(who: str, when: dict[str, int], version: int = 1) -> Acceptance:
    return Acceptance(event_id=b"c" * 16, policy_version=version, **by(who) | when)


def invocation(code: str, when: dict[str, int], **more: Any) -> Invocation:
    scope = Scope("", (CELL.operation,), (CELL.data,))
    given = {"event_id": b"i" * 16, "legal_ref": "a law", "valid_until": 10**15, "scope": scope}
    return Invocation(code=code, **given | when | more)


def ending(code: str, recorded: int, offset: int, scope: Scope) -> Ending:
    return Ending(event_id=b"e" * 16, code=code, recorded_at=recorded, offset=offset, scope=scope)
