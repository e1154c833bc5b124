"""Step 10, the consent cell: what the person's acts and the standing marks come to. Pure."""

import msgspec

from consentry.policy import Policies
from consentry.state.row import Act, Mark, SubjectState
from consentry.terms import ActorRole, Cell, Expression, Reason, Status

# Looked up once: an enum's attribute costs a check several times what a name costs.
_GIVEN, _CONSENT, _SUBJECT = Status.GIVEN, Reason.CONSENT, ActorRole.SUBJECT
_SEPARATE, _EXPRESSED = Expression.SEPARATE, Expression.EXPRESSED

REASON_OF_STOP = {
    Status.REFUSED: Reason.REFUSED,
    Status.WITHDRAWN: Reason.WITHDRAWN,
    Status.REVOKED: Reason.REVOKED,
    Status.INVALIDATED: Reason.INVALIDATED,
}
STATUS_OF_LACK = {Reason.EXPIRED: Status.EXPIRED}
"""A grant that lacks anything else is still a grant."""
ORDER_OF_LACKS = (Reason.EXPIRED, Reason.NOT_IMPLEMENTED, Reason.SEPARATE_CONSENT_REQUIRED)
"""Of several reasons the first here; NOT_IMPLEMENTED stands where consent due again is weighed."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a cell stands. `reason` is CONSENT, or why consent does not hold."""

    reason: Reason
    status: Status
    evidence: bytes | None = None
    """id of the event that made it so"""
    expires_at: int | None = None
    """when time alone changes it"""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a grant has to fulfil to hold."""

    version: int
    only_separately: bool
    policies: Policies


NEVER_ASKED = Standing(Reason.NO_CONSENT, Status.UNKNOWN)


def standing_of(row: SubjectState, cell: Cell, terms: Terms, now: int) -> Standing:
    """A cell's status is the later, in log order, of its own last act and of the marks that cover it.

    Asking and deferring change neither a grant nor a stop. Of several grants the strongest that holds counts.
    """
    stop = last_stop(row.marks, cell)
    stop_offset = -1 if stop is None else stop.offset
    purpose = cell.purpose
    grants: list[Act] = []
    asked: Act | None = None
    for act in row.acts:
        block = act.block
        if block.purpose != purpose or not block.holds(cell):
            continue
        if act.status is not _GIVEN:
            if asked is None or act.offset > asked.offset:
                asked = act
        elif act.offset > stop_offset and _counts(act):
            grants.append(act)
    if grants:
        return _strongest(grants, terms, now)
    if stop is not None:
        return Standing(REASON_OF_STOP[stop.status], stop.status, stop.event_id)
    if asked is not None:
        return Standing(Reason.NO_CONSENT, asked.status, asked.event_id)
    return NEVER_ASKED


def last_stop(marks: tuple[Mark, ...], cell: Cell) -> Mark | None:
    """The last mark that covers the cell."""
    last: Mark | None = None
    for mark in marks:
        if (last is None or mark.offset > last.offset) and mark.scope.covers(cell):
            last = mark
    return last


def _counts(grant: Act) -> bool:
    """Implied consent never counts; nobody but the person grants here (a guardian's acts are not weighed yet)."""
    return grant.actor_role is _SUBJECT and (grant.expression is _SEPARATE or grant.expression is _EXPRESSED)


def _strongest(grants: list[Act], terms: Terms, now: int) -> Standing:
    holding: Act | None = None
    for grant in grants:
        if _lack_of(grant, terms, now) is None and (holding is None or _strength(grant) > _strength(holding)):
            holding = grant
    if holding is None:
        return _first_lack(grants, terms, now)
    return Standing(_CONSENT, _GIVEN, holding.event_id, _changes_at(holding, terms.policies, now))


def _first_lack(grants: list[Act], terms: Terms, now: int) -> Standing:
    """Why none of the grants holds: the first reason in the order of reasons, of the last grant that has it."""
    lacks = [(lack, grant) for grant in grants if (lack := _lack_of(grant, terms, now)) is not None]
    reason, grant = min(lacks, key=lambda lack: (ORDER_OF_LACKS.index(lack[0]), -lack[1].offset))
    changes = [at for each in grants if (at := _changes_at(each, terms.policies, now)) is not None]
    return Standing(reason, STATUS_OF_LACK.get(reason, Status.GIVEN), grant.event_id, min(changes, default=None))


def _strength(grant: Act) -> tuple[bool, int]:
    return (grant.expression is _SEPARATE, grant.offset)


def _lack_of(grant: Act, terms: Terms, now: int) -> Reason | None:
    if grant.valid_until is not None and now >= grant.valid_until:
        return Reason.EXPIRED  # half-open: at valid_until it is over
    if grant.policy_version != terms.version:
        return Reason.NOT_IMPLEMENTED  # what changed between the two versions is not weighed yet
    for change in terms.policies.controller_changes:
        if not change.terms_kept and occurred_at(grant) < change.effective_at <= now:
            return Reason.NOT_IMPLEMENTED  # another controller, on other terms
    if terms.only_separately and grant.expression is not _SEPARATE:
        return Reason.SEPARATE_CONSENT_REQUIRED
    return None


def _changes_at(grant: Act, policies: Policies, now: int) -> int | None:
    first = grant.valid_until
    if first is not None and first <= now:
        first = None
    for change in policies.controller_changes:
        if not change.terms_kept and change.effective_at > now and (first is None or change.effective_at < first):
            first = change.effective_at
    return first


def occurred_at(grant: Act) -> int:
    """Where clocks are compared, the person's counts as the broker's at the most."""
    return min(grant.occurred_at, grant.recorded_at)
