"""Step 3, the exemptions: what was invoked, is live, and is not ended or voided (1.9, 3.4). Pure."""

import msgspec

from consentry.decision.age import Age
from consentry.decision.opt_outs import standing_opt_outs
from consentry.decision.stops import counted_marks, granted_after, last_stop
from consentry.policy import LEAVING, Exemption, Policy
from consentry.state.row import EVERY_CODE, Circumstances, Invocation, Scope, SubjectState
from consentry.terms import ActorRole, Cell, Operation

_BY_PERSON = (ActorRole.SUBJECT, ActorRole.GUARDIAN)


def live_exemption(
    row: SubjectState, cell: Cell, policy: Policy, age: Age | None, now: int, *, after_closure: bool
) -> tuple[Invocation, Exemption] | None:
    """The invocation that allows this cell, and its line in the policy; of several the one that lasts longest.

    `after_closure`: only lines that say so count. The cell's recipient is the request's, "" where it names none.
    """
    facts = row.circumstances
    if facts is None:
        return None
    found: tuple[Invocation, Exemption] | None = None
    for invocation in facts.invocations:
        line = policy.exemptions.get(invocation.code)
        if (
            line is not None
            and cell.operation in line.operations
            and (line.after_closure or not after_closure)
            and (found is None or invocation.valid_until > found[0].valid_until)
            and _names(invocation, cell, now)
            and not _ended(facts, invocation, cell)
            and not (line.guardian and age is not None and not age.is_adult(now))
            and not (line.voided_by_objection and _objected(row, facts, cell, age))
        ):
            found = (invocation, line)
    return found


def clause_of(line: Exemption, operation: Operation) -> str:
    return line.leaving if line.leaving is not None and operation in LEAVING else line.clause


def _names(invocation: Invocation, cell: Cell, now: int) -> bool:
    scope = invocation.scope
    return (
        now < invocation.valid_until
        and bool(invocation.legal_ref.strip())
        and scope.purpose in ("", cell.purpose)
        and cell.operation in scope.operations
        and cell.data in scope.data
        and _names_recipient(scope.recipients, cell)
    )


def _names_recipient(recipients: tuple[str, ...], cell: Cell) -> bool:
    """What leaves names who receives it; what is disclosed to everybody has nobody to name."""
    if cell.operation not in LEAVING:
        return True
    if cell.recipient:
        return cell.recipient in recipients
    return cell.operation is Operation.DISCLOSE and not recipients


def _ended(facts: Circumstances, invocation: Invocation, cell: Cell) -> bool:
    return any(
        ending.code in (invocation.code, EVERY_CODE)
        and _ends(ending.scope, cell)
        and (ending.offset > invocation.offset or invocation.occurred_at <= ending.recorded_at)
        for ending in facts.endings
    )


def _ends(scope: Scope, cell: Cell) -> bool:
    """Whom an ending names bears on what leaves alone, as with the invocation."""
    if cell.operation not in LEAVING:
        scope = msgspec.structs.replace(scope, recipients=())
    return scope.covers(cell)


def _objected(row: SubjectState, facts: Circumstances, cell: Cell, age: Age | None) -> bool:
    """An objection that was not rejected, an opt-out, or a standing mark of the person or a guardian."""
    if any(objection.scope.covers(cell) for objection in facts.objections):
        return True
    if standing_opt_outs(row, cell.purpose, age):
        return True
    marks = row.marks if age is None else counted_marks(row.marks, age)
    for role in _BY_PERSON:
        mark = last_stop([each for each in marks if each.actor_role is role], cell, guardians=age is not None)
        if mark is not None and not granted_after(row, cell, role, mark.offset, age):
            return True
    return False
