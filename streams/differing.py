"""What a revision of the policy changes, as a person would say it, and for programs. Adds nothing to the classes."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from consentry.policy import Change, ChangeClass, Changes, Policy
from consentry.terms import Operation
from streams.wording import listed, moment

WHY = {
    "clause_changes": "the wording that they agreed to means something else now",
    "recipients": "they agreed to a recipient in another role",
    "necessary": "they could refuse it when they agreed",
    "data": "they agreed to data of another kind",
    "controller": "they agreed to another controller",
    "jurisdiction": "they agreed under another law",
    "storage_location": "they agreed to another place",
    "retention_after_end": "they agreed to a shorter time",
}
"""Why it asks again, by the field that is other; else ELSE_WHY."""
ELSE_WHY = "they agreed when more was demanded"


class ClassedChange(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "class"}):
    """One change; empty lists mean every one."""

    purpose: str
    """"" for the policy as a whole"""
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    kind: ChangeClass
    reduces: bool
    """it needs express acceptance"""
    asks_again: bool
    clause: str
    field: str
    what: str
    says: tuple[str, ...]
    """what follows, in sentences"""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """From one version to another, as `policy diff --json` prints it."""

    policy: str
    former: int
    version: int
    effective_at: int
    reduces: bool
    material_cells: int
    """purpose x operation x data (x recipient) that need a consent given under `version` or later"""
    changes: tuple[ClassedChange, ...]


def difference(policy: Policy, changes: Changes) -> Difference:
    return Difference(
        policy=policy.id,
        former=changes.former,
        version=changes.version,
        effective_at=policy.effective_at,
        reduces=changes.reduces,
        material_cells=len(changes.material),
        changes=tuple(_classed(change, changes.version) for change in changes.changes),
    )


class Line(NamedTuple):
    """A line for people, and how it is to be shown."""

    text: str = ""
    title: bool = False
    weight: ChangeClass | None = None
    reduces: bool = False


def lines_of(found: Difference) -> Iterator[Line]:
    """Purpose by purpose, the policy as a whole first."""
    yield Line(f"{found.policy}: version {found.version} beside version {found.former}", title=True)
    yield Line(f"takes effect at {moment(found.effective_at)}")
    if not found.changes:
        yield Line("Nothing is other but number and dates.", weight=ChangeClass.EDITORIAL)
        return
    if found.reduces:
        yield Line("It reduces rights: it needs express acceptance.", reduces=True)
    for purpose in dict.fromkeys(change.purpose for change in found.changes):
        of_purpose = [change for change in found.changes if change.purpose == purpose]
        clause = f"  (clause {of_purpose[0].clause})" if purpose else ""
        yield Line()
        yield Line(f"{purpose or 'The policy as a whole'}{clause}", title=True)
        for change in of_purpose:
            reduces = ", reduces a right" if change.reduces else ""
            yield Line(f"  {change.kind}{reduces}: {change.what}", weight=change.kind, reduces=change.reduces)
            for sentence in change.says:
                yield Line(f"    {sentence}")


def _classed(change: Change, version: int) -> ClassedChange:
    return ClassedChange(
        purpose=change.purpose,
        operations=change.operations,
        data=change.data,
        recipients=change.recipients,
        kind=change.change,
        reduces=change.reduces,
        asks_again=change.asks_again,
        clause=change.clause,
        field=change.field,
        what=change.what,
        says=tuple(_sentences(change, version)),
    )


def _sentences(change: Change, version: int) -> Iterator[str]:
    if change.asks_again:
        yield f"asks again: everybody who agreed to {_cells(change)}; {_why(change.field)}"
    if change.reduces:
        yield (
            f"needs express acceptance: binds who came before it only once they accept version {version}"
            " (for a minor, a verified guardian does)"
        )
    if change.asks_again or change.reduces:
        return
    if change.change is ChangeClass.NARROWING:
        yield "binds at once, asks nobody"
    elif change.change is ChangeClass.EDITORIAL:
        yield "asks nobody"
    else:
        yield "asks nobody again: no consent given so far covers it"


def _why(field: str) -> str:
    """By the document's table, or for a purpose by the part of its line."""
    parts = field.split(".")
    kind = parts[-1] if parts[0] == "purposes" else parts[0]
    if parts[0] == "purposes" and kind == "data":
        kind = "necessary"
    return WHY.get(kind, ELSE_WHY)


def _cells(change: Change) -> str:
    if not change.purpose:
        return "anything"
    to = f" to {listed(change.recipients)}" if change.recipients else ""
    return f"{listed(change.operations)} {listed(change.data)}{to}"
