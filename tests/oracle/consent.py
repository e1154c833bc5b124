"""Step 10: does a consent cover the cell? Whose is needed depends on the subject's age now."""

from collections.abc import Iterable

from oracle.acts import (
    REASON,
    Grant,
    acceptances,
    counted_marks,
    guardians_grants,
    is_an_adults,
    own_grants,
    voided_by_age,
    was_child,
)
from oracle.ages import ADULT, CHILD, class_at, class_now, lowering, of_age_since
from oracle.guardians import verified_now
from oracle.record import Entry
from oracle.verdict import Case, Evidence, Found

from consentry.events import ConsentRefused, ConsentWithdrawn
from consentry.policy import LEAVING
from consentry.terms import Cell, Expression, Reason

ORDER = (
    Reason.NO_CONSENT, Reason.REFUSED, Reason.WITHDRAWN, Reason.REVOKED, Reason.INVALIDATED, Reason.EXPIRED,
    Reason.RECONSENT_DUE, Reason.PENDING_GUARDIAN, Reason.PENDING_SUBJECT, Reason.SEPARATE_CONSENT_REQUIRED,
)  # fmt: skip


def consent(case: Case, cell: Cell) -> Found:
    """Steps 10 and 11."""
    last = _last_mark(case, cell)
    own, guardians = own_grants(case, cell), guardians_grants(case, cell)
    own, guardians = _after(own, last), _after(guardians, last)
    left_own = [grant for grant in own if not voided_by_age(case, grant.entry)]
    left_guardians = [grant for grant in guardians if not voided_by_age(case, grant.entry)]
    if not left_own and not left_guardians:
        return _nothing(case, last, voided=bool(own or guardians))
    if class_now(case) == ADULT:
        return _adults(case, cell, left_own, left_guardians)
    return _halves(case, cell, left_own, left_guardians, class_now(case))


def _nothing(case: Case, last: Entry | None, *, voided: bool) -> Found:
    """No grant that counts: a grant after the last mark, voided by an age, is a later word than that mark."""
    lowered = lowering(case)
    if voided and lowered is not None:
        return _deny(Reason.INVALIDATED, (frozenset({lowered.id}),))
    if last is not None:
        return _deny(REASON[type(last.event)], (frozenset({last.id}),))
    return _deny(Reason.NO_CONSENT)


def _adults(case: Case, cell: Cell, own: list[Grant], guardians: list[Grant]) -> Found:
    holding = [g for g in own if is_an_adults(case, g.entry) and not _lacks(case, cell, g, ADULT)]
    if holding:
        return _allow([holding])
    if (as_before := _held_the_day_before(case, cell, own, guardians)) is not None:
        return as_before
    lacks = {reason for grant in own + guardians for reason in _lacks(case, cell, grant, ADULT)}
    if guardians or any(not is_an_adults(case, grant.entry) for grant in own):
        lacks.add(Reason.RECONSENT_DUE)
    return _deny(_first(lacks))


def _held_the_day_before(case: Case, cell: Cell, own: list[Grant], guardians: list[Grant]) -> Found | None:
    """What a minor and the guardians had given stands on, if it held by the age of the day before."""
    since = of_age_since(case)
    if since is None:
        return None
    line = case.lines.purposes[cell.purpose]
    own = [g for g in own if g.entry.clock < since and g.entry.at < since]
    guardians = [g for g in guardians if g.entry.clock < since and g.entry.at < since]
    if not own and not guardians:
        return None
    verified = verified_now(case.log)
    accepted = any(
        entry.guardian in verified and entry.clock < since and entry.at < since for entry in acceptances(case)
    )
    if not line.protects_minors and not accepted:
        return None
    found = _halves(case, cell, own, guardians, class_at(case, case.log.end, since - 1))
    if not found.allow:
        return None
    return Found(found.step, allow=True, reason=found.reason, evidence=found.evidence, reaffirm=True)


def _halves(case: Case, cell: Cell, own: list[Grant], guardians: list[Grant], age: int) -> Found:
    """The subject's own half and the guardians', of a subject of that age."""
    line = case.lines.purposes[cell.purpose]
    own_holds = _holding(case, cell, own, age)
    if line.protects_minors and own_holds:
        return _allow([own_holds])
    of_a_child = [g for g in guardians if was_child(case, g.entry, g.entry.clock)] if age == CHILD else []
    own_stop = _own_stop(case, cell) if age == CHILD else None
    if own_stop is not None and guardians:
        return _deny(REASON[type(own_stop.event)], (frozenset({own_stop.id}),))
    child_holds = _holding(case, cell, of_a_child, age)
    if child_holds:
        return _allow([child_holds])
    guardians_hold = _holding(case, cell, guardians, age)
    if not line.protects_minors and own_holds and guardians_hold:
        return _allow([own_holds, guardians_hold])
    lacks: set[Reason] = set()
    if own and not own_holds:
        lacks |= {reason for grant in own for reason in _lacks(case, cell, grant, age)}
    # Where the own half alone is enough, what the guardians' lacks is told only to who has no own.
    if guardians and not guardians_hold and not (own and line.protects_minors):
        lacks |= {reason for grant in guardians for reason in _lacks(case, cell, grant, age)}
    if not guardians and not line.protects_minors:
        lacks.add(Reason.PENDING_GUARDIAN)
    if not own and (guardians_hold or not of_a_child):
        lacks.add(Reason.PENDING_SUBJECT)
    return _deny(_first(lacks))


def _own_stop(case: Case, cell: Cell) -> Entry | None:
    """A child's own refusal or withdrawal, with no later own grant of the cell."""
    stops = [
        mark
        for mark in counted_marks(case, cell)
        if mark.own and isinstance(mark.event, ConsentRefused | ConsentWithdrawn)
    ]
    if not stops or any(
        grant.entry.place > stops[-1].place and not voided_by_age(case, grant.entry) for grant in own_grants(case, cell)
    ):
        return None
    return stops[-1]


def _lacks(case: Case, cell: Cell, grant: Grant, age: int) -> set[Reason]:
    """Everything that keeps a grant from holding, of a subject of that age."""
    lacks: set[Reason] = set()
    if grant.valid_until is not None and case.now >= grant.valid_until:
        lacks.add(Reason.EXPIRED)
    newest = case.in_force.version
    if (
        grant.policy_version > newest
        or grant.policy_version < 1
        or case.history.material_since(cell, grant.policy_version, newest)
    ):
        lacks.add(Reason.RECONSENT_DUE)
    for change in case.history.controller_changes:
        if not change.terms_kept and grant.entry.clock < change.effective_at <= case.now:
            lacks.add(Reason.RECONSENT_DUE)
    if _needs_separate(case, cell, age) and grant.expression is not Expression.SEPARATE:
        lacks.add(Reason.SEPARATE_CONSENT_REQUIRED)
    return lacks


def _needs_separate(case: Case, cell: Cell, age: int) -> bool:
    return (
        case.lines.data[cell.data].sensitive
        or case.lines.purposes[cell.purpose].separate
        or cell.operation in LEAVING
        or age == CHILD
    )


def _holding(case: Case, cell: Cell, grants: list[Grant], age: int) -> list[Grant]:
    return [grant for grant in grants if not _lacks(case, cell, grant, age)]


def _after(grants: list[Grant], mark: Entry | None) -> list[Grant]:
    return [grant for grant in grants if mark is None or grant.entry.place > mark.place]


def _last_mark(case: Case, cell: Cell) -> Entry | None:
    found = counted_marks(case, cell)
    return found[-1] if found else None


def _first(reasons: Iterable[Reason]) -> Reason:
    return min(reasons, key=ORDER.index)


def _allow(halves: list[list[Grant]]) -> Found:
    evidence = tuple(frozenset(grant.entry.id for grant in half) for half in halves)
    return Found(11, allow=True, reason=Reason.CONSENT, evidence=evidence)


def _deny(reason: Reason, evidence: Evidence = ()) -> Found:
    return Found(10, allow=False, reason=reason, evidence=evidence)
