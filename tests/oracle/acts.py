"""What the person, the guardians and the controller have done about one cell: marks, grants, opt-outs, acceptances."""

from dataclasses import dataclass
from functools import lru_cache

from oracle.ages import ADULT, CHILD, class_at, lowering
from oracle.guardians import loosening_is_kept, standing, stop_is_kept
from oracle.record import GRANT, STOP, Entry, Log, covers, names
from oracle.verdict import Case

from consentry.events import (
    AgeAsserted,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRevoked,
    ConsentWithdrawn,
    PolicyAccepted,
    PreferenceSet,
)
from consentry.terms import AgeBand, Cell, Expression, Reason

REASON: dict[type, Reason] = {
    ConsentRefused: Reason.REFUSED,
    ConsentWithdrawn: Reason.WITHDRAWN,
    ConsentRevoked: Reason.REVOKED,
    ConsentInvalidated: Reason.INVALIDATED,
}
WEIGHT = {Expression.IMPLIED: 0, Expression.EXPRESSED: 1, Expression.SEPARATE: 2}


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant of one cell, as it stands."""

    entry: Entry
    expression: Expression
    policy_version: int
    valid_until: int | None


# --- marks ---


@lru_cache(maxsize=4096)
def marks(log: Log, cell: Cell) -> tuple[Entry, ...]:
    """Every stop that covers the cell, whoever's, whether or not it counts by the subject's age."""
    return tuple(e for e in log if isinstance(e.event, STOP) and covers(e.event, cell) and stop_is_kept(log, e))


def counted_marks(case: Case, cell: Cell) -> list[Entry]:
    """A guardian's counts for nothing once the subject was of age at it, as known then and now."""
    return [mark for mark in marks(case.log, cell) if mark.guardian is None or not _was_of_age(case, mark, mark.clock)]


def _was_of_age(case: Case, entry: Entry, moment: int) -> bool:
    return class_at(case, entry.place, moment) == ADULT and class_at(case, case.log.end, moment) == ADULT


# --- grants ---


@lru_cache(maxsize=4096)
def grants(log: Log, cell: Cell) -> tuple[Grant, ...]:
    """Of the same actor and expression only the later by clock stands (a tie: the later in the log)."""
    if log.closed:
        return ()
    stands: list[Grant] = []
    for entry in log:
        event = entry.event
        if not isinstance(event, GRANT) or not names(event, cell):
            continue
        if not loosening_is_kept(log, entry, log.end) or not could_know(log, entry, cell):
            continue
        mine = [g for g in stands if g.entry.actor == entry.actor and not _stopped_before(log, cell, g, entry)]
        grant = _grant(entry, [g for g in mine if not _may_be_voided(log, g, entry)])
        if grant is None:
            continue
        same = [g for g in mine if g.expression is grant.expression]
        if any(g.entry.clock > entry.clock for g in same):
            continue
        stands = [g for g in stands if g.entry.actor != entry.actor or g.expression is not grant.expression]
        stands.append(grant)
    return tuple(stands)


def _grant(entry: Entry, mine: list[Grant]) -> Grant | None:
    event = entry.event
    if isinstance(event, ConsentGiven):
        return Grant(entry, event.expression, event.policy_version, event.valid_until)
    assert isinstance(event, ConsentReaffirmed)
    if not mine:
        return None  # there is nothing to renew
    renewed = max(mine, key=lambda grant: WEIGHT[grant.expression])
    return Grant(entry, renewed.expression, event.policy_version, event.valid_until)


def _may_be_voided(log: Log, grant: Grant, entry: Entry) -> bool:
    """Granted before a statement of age, other than adult, that stands before the renewal: it is not renewed."""
    said = [
        other
        for other in log
        if isinstance(other.event, AgeAsserted)
        and other.event.age_band is not AgeBand.ADULT
        and other.place < entry.place
    ]
    if not said:
        return False
    last = said[-1]
    return grant.entry.place < last.place or (grant.entry.clock <= last.at and not grant.entry.informed)


def _stopped_before(log: Log, cell: Cell, grant: Grant, entry: Entry) -> bool:
    return any(grant.entry.place < mark.place < entry.place for mark in marks(log, cell))


def could_know(log: Log, entry: Entry, cell: Cell) -> bool:
    """Can who loosens have known of every tightening of the cell before it?"""
    tightenings = [mark for mark in marks(log, cell) if mark.place < entry.place]
    tightenings += [out for out in _opt_outs_ever(log, cell.purpose) if out.place < entry.place]
    return _knows(entry, tightenings)


def _knows(entry: Entry, tightenings: list[Entry]) -> bool:
    if entry.informed:
        return True
    if entry.misinformed:
        return not tightenings
    return all(entry.clock > tightening.at for tightening in tightenings)


def voided_by_age(case: Case, entry: Entry) -> bool:
    """Granted or accepted before an assertion that lowered the age, or without knowing of it."""
    lowered = lowering(case)
    if lowered is None:
        return False
    return entry.place < lowered.place or (entry.clock <= lowered.at and not entry.informed)


def counts_as_guardians(case: Case, entry: Entry) -> bool:
    """Was the subject a minor at it, as known now?"""
    end = case.log.end
    return class_at(case, end, entry.clock) != ADULT and class_at(case, end, entry.at) != ADULT


def is_an_adults(case: Case, entry: Entry) -> bool:
    return class_at(case, case.log.end, entry.clock) == ADULT and class_at(case, entry.place, entry.at) == ADULT


def was_child(case: Case, entry: Entry, moment: int) -> bool:
    return class_at(case, entry.place, entry.at) == CHILD and class_at(case, case.log.end, moment) == CHILD


def own_grants(case: Case, cell: Cell) -> list[Grant]:
    return [g for g in grants(case.log, cell) if g.entry.own and g.expression is not Expression.IMPLIED]


def guardians_grants(case: Case, cell: Cell) -> list[Grant]:
    return [
        grant
        for grant in grants(case.log, cell)
        if not grant.entry.own and grant.expression is not Expression.IMPLIED and counts_as_guardians(case, grant.entry)
    ]


# --- acceptances of the policy ---


def acceptances(case: Case) -> list[Entry]:
    """Those that count: the subject's, and the guardians' while the subject was a minor."""
    if case.log.closed:
        return []
    return [
        entry
        for entry in case.log
        if isinstance(entry.event, PolicyAccepted)
        and loosening_is_kept(case.log, entry, case.log.end)
        and not voided_by_age(case, entry)
        and (entry.own or counts_as_guardians(case, entry))
    ]


# --- opt-outs ---


@lru_cache(maxsize=4096)
def _opt_outs_ever(log: Log, purpose: str) -> tuple[Entry, ...]:
    return tuple(
        e
        for e in log
        if isinstance(e.event, PreferenceSet)
        and e.event.purpose == purpose
        and e.event.opted_out
        and e.event.topic is None
        and stop_is_kept(log, e)
    )


def opt_outs(case: Case, purpose: str) -> list[Entry]:
    """Those that stand: not lifted, and not for nothing. A later one that counts for nothing ends no former one."""
    return [
        entry
        for entry in _opt_outs_ever(case.log, purpose)
        if not _is_lifted(case, entry, purpose) and (entry.own or not _was_of_age(case, entry, entry.at))
    ]


def _is_lifted(case: Case, opted_out: Entry, purpose: str) -> bool:
    for lift in case.log:
        event = lift.event
        if not isinstance(event, PreferenceSet) or event.purpose != purpose or event.opted_out or event.topic:
            continue
        if lift.place < opted_out.place or not _knows(lift, [opted_out]):
            continue
        # A subject's own opt-out goes at once; what a guardian lifted goes when the guardian is unlinked.
        if not loosening_is_kept(case.log, lift, case.log.end):
            continue
        if lift.own and (opted_out.own or is_an_adults(case, lift)):
            return True
        if not lift.own and counts_as_guardians(case, lift):
            of_the_same = lift.actor == opted_out.actor
            if of_the_same or was_child(case, lift, lift.clock):
                return True
    return False


def guardian_linked(log: Log, entry: Entry) -> bool:
    return entry.guardian is not None and standing(log, entry.guardian, entry.place).linked
