"""What a version of a policy changes in the one before it: each change with its class. Pure, no consent state."""

from collections.abc import Iterator

import msgspec

from consentry.policy.change import ASKS, EDITORIAL, Change, ChangeClass, Found
from consentry.policy.document import ClauseChange, Policy
from consentry.policy.line_changes import (
    cells_of,
    clause_change,
    datum_changes,
    line_changes,
    line_gone,
    line_new,
)
from consentry.policy.whole_changes import whole_change, whole_changes
from consentry.terms import Cell

__all__ = ["Change", "ChangeClass", "Changes", "changes_between"]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """From one version to the next."""

    former: int
    """0: there is none"""
    version: int
    changes: tuple[Change, ...] = ()
    """the policy as a whole first, then purpose by purpose in the document's order"""
    material: frozenset[Cell] = frozenset()
    """cells that need a consent given under `version` or later"""

    @property
    def reduces(self) -> bool:
        """It lets be allowed, without a new act of the person, what was not: needs express acceptance."""
        return any(change.reduces for change in self.changes)


def changes_between(former: Policy, policy: Policy) -> Changes:
    """Every difference that is more than a number or a date. How clauses changed is said in `policy`."""
    found = list(_found(former, policy))
    material: set[Cell] = set()
    for each in found:
        material |= each.material
    return Changes(
        former=former.version,
        version=policy.version,
        changes=tuple(each.change for each in found),
        material=frozenset(material),
    )


def _found(former: Policy, policy: Policy) -> Iterator[Found]:
    every = frozenset(cell for line in policy.purposes.values() for cell in cells_of(line))
    for change in whole_changes(former, policy):
        yield Found(change, every if change.asks_again else frozenset())
    yield from _of_no_purpose(former, policy)
    for name, line in policy.purposes.items():
        old = former.purposes.get(name)
        if old is None:
            yield line_new(line, policy.data)
        else:
            yield from line_changes(old, line, former.data, policy.data)
        # Both clauses: a line is not taken out of a clause by the revision that rewrites it.
        for clause in dict.fromkeys((line.clause, line.clause if old is None else old.clause)):
            if (said := policy.clause_changes.get(clause)) is not None:
                yield clause_change(line, old, clause, said)
    for name, line in former.purposes.items():
        if name not in policy.purposes:
            yield line_gone(line)


def _of_no_purpose(former: Policy, policy: Policy) -> Iterator[Found]:
    """Clauses under which no purpose stands, and data that no purpose names in both versions."""
    lines = [*policy.purposes.values(), *(former.purposes[name] for name in policy.purposes if name in former.purposes)]
    clauses = {line.clause for line in lines}
    for clause, said in policy.clause_changes.items():
        if clause not in clauses:
            weight = EDITORIAL if said is ClauseChange.EDITORIAL else ASKS
            what = f"the wording of clause {clause} is other; no purpose stands under it"
            change = whole_change(weight._replace(touches_cells=False), what, f"clause_changes.{clause}", clause)
            yield Found(change)
    named = {
        datum
        for name, line in policy.purposes.items()
        if name in former.purposes
        for datum in line.covered & former.purposes[name].covered
    }
    for name in policy.data:
        if name in former.data and name not in named:
            for field, weight, what in datum_changes(former.data[name], policy.data[name]):
                yield Found(whole_change(weight._replace(touches_cells=False), what, field))
