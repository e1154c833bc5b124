"""Step 3: what the law allows without consent."""

from oracle.acts import counted_marks, grants, opt_outs, voided_by_age
from oracle.acts import counts_as_guardians as counts
from oracle.ages import ADULT, class_now
from oracle.guardians import stop_is_kept
from oracle.record import Entry, covers
from oracle.verdict import Case, Found

from consentry.events import (
    ConsentRefused,
    ConsentWithdrawn,
    ExemptionEnded,
    ExemptionInvoked,
    RightsRequested,
    RightsResolved,
)
from consentry.policy import LEAVING, Exemption
from consentry.terms import Cell, Expression, Operation, Outcome, Reason, Right


def exempt(case: Case, cell: Cell) -> Found | None:
    live = [entry for entry in case.log if _applies(case, cell, entry)]
    if not live:
        return None
    codes = tuple(entry.event.code for entry in live)  # type: ignore[union-attr]
    return Found(3, allow=True, reason=Reason.EXEMPT, evidence=(frozenset(e.id for e in live),), codes=codes)


def exempt_after_the_end(case: Case, cell: Cell) -> Found | None:
    """Of a closed account, or once the service is discontinued: what the law wants stored."""
    if case.log.erased or cell.operation is not Operation.STORE:
        return None
    live = [
        entry
        for entry in case.log
        if _applies(case, cell, entry) and case.lines.exemptions[entry.event.code].after_closure  # type: ignore[union-attr]
    ]
    if not live:
        return None
    codes = tuple(entry.event.code for entry in live)  # type: ignore[union-attr]
    return Found(3, allow=True, reason=Reason.EXEMPT, evidence=(frozenset(e.id for e in live),), codes=codes)


def _applies(case: Case, cell: Cell, entry: Entry) -> bool:
    event = entry.event
    if not isinstance(event, ExemptionInvoked) or entry.ahead:
        return False
    admitted = case.lines.exemptions.get(event.code)
    return (
        admitted is not None
        and case.now < event.valid_until
        and bool(event.legal_ref.strip())
        and cell.operation in event.operations
        and cell.operation in admitted.operations
        and cell.data in event.data
        and (not event.purpose or event.purpose == cell.purpose)
        and _names_recipient(event, cell)
        and not _is_ended(case, cell, entry)
        and not (admitted.guardian and class_now(case) != ADULT)
        and not (admitted.voided_by_objection and _is_voided(case, cell))
        and _may_leave(admitted, cell)
    )


def _may_leave(admitted: Exemption, cell: Cell) -> bool:
    return cell.operation not in LEAVING or admitted.leaving is not None


def _names_recipient(event: ExemptionInvoked, cell: Cell) -> bool:
    if cell.operation not in LEAVING:
        return True
    if cell.operation is Operation.DISCLOSE and not cell.recipient:
        return not event.recipients  # to the public
    return cell.recipient in (event.recipients or ())


def _is_ended(case: Case, cell: Cell, invoked: Entry) -> bool:
    for ended in case.log:
        event = ended.event
        if not isinstance(event, ExemptionEnded) or event.code != invoked.event.code:  # type: ignore[union-attr]
            continue
        if not covers(event, _looked_at(event, cell)):
            continue
        if invoked.place < ended.place or invoked.clock <= ended.at:
            return True
    return False


def _looked_at(event: ExemptionEnded, cell: Cell) -> Cell:
    """For what does not leave, no recipient is looked at."""
    if cell.operation in LEAVING or not event.recipients:
        return cell
    return cell._replace(recipient=event.recipients[0])


def _is_voided(case: Case, cell: Cell) -> bool:
    return (
        any(_objects(case, cell, entry) for entry in case.log)
        or bool(opt_outs(case, cell.purpose))
        or any(_mark_stands(case, cell, mark) for mark in counted_marks(case, cell))
    )


def _objects(case: Case, cell: Cell, entry: Entry) -> bool:
    event = entry.event
    if not isinstance(event, RightsRequested) or event.right is not Right.OBJECTION:
        return False
    if not covers(event, cell) or not stop_is_kept(case.log, entry):
        return False
    return not any(
        isinstance(later.event, RightsResolved)
        and later.event.request == event.event_id
        and later.event.outcome is Outcome.REJECTED
        and later.place > entry.place
        and not later.ahead
        for later in case.log
    )


def _mark_stands(case: Case, cell: Cell, mark: Entry) -> bool:
    """Of the person or a guardian, with no later grant of the cell by the same side."""
    if not isinstance(mark.event, ConsentRefused | ConsentWithdrawn):
        return False
    return not any(
        grant.entry.place > mark.place
        and grant.entry.own is mark.own
        and grant.expression is not Expression.IMPLIED
        and not voided_by_age(case, grant.entry)
        and (grant.entry.own or counts(case, grant.entry))
        for grant in grants(case.log, cell)
    )
