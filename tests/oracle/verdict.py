"""What the oracle answers, and what it is asked about."""

from dataclasses import dataclass, field

from oracle.record import Log
from oracle.versions import History

from consentry.decision import Request
from consentry.policy import Policy
from consentry.terms import Position, Reason

Evidence = tuple[frozenset[str], ...]
"""Of each set the answer has to name at least one event id."""


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that matched for one data category, under one version of the policy."""

    step: int
    allow: bool
    reason: Reason
    evidence: Evidence = ()
    codes: tuple[str, ...] = ()
    """of the exemptions that allow it; any of them may be the one that is named"""
    reaffirm: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one data category, or for the whole request."""

    allow: bool
    reason: Reason
    clauses: frozenset[str]
    """any of them is right: there is more than one only where several exemptions apply"""
    evidence: Evidence = ()
    step: int = 0
    reaffirm: bool = False
    results: tuple["Verdict", ...] = ()


@dataclass(slots=True)
class Case:
    """A question, and under which version of the policy it is looked at."""

    log: Log
    history: History
    lines: Policy
    """the version whose purposes, data, exemptions and age lines are looked at"""
    in_force: Policy
    request: Request
    now: int
    staleness_ms: int | None
    seen: Position
    ages: dict[tuple[int, int], int] = field(default_factory=dict)
    """class_at as already worked out for this case"""
