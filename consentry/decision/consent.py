"""Step 10, the consent cell: what the acts of the person and of guardians, and the standing marks, come to. Pure."""

from consentry.decision.grants import Grants, Standing, Terms, strongest
from consentry.decision.minority import standing_by_age
from consentry.decision.stops import REASON_OF_STOP, counted_marks, last_stop
from consentry.state.row import Act, SubjectState
from consentry.terms import ActorRole, Expression, Reason, Status

# Looked up once: an enum's attribute costs a check several times what a name costs.
_GIVEN, _SUBJECT, _IMPLIED = Status.GIVEN, ActorRole.SUBJECT, Expression.IMPLIED
NEVER_ASKED = Standing(Reason.NO_CONSENT, Status.UNKNOWN)


def standing_of(row: SubjectState, terms: Terms, now: int) -> Standing:
    """A cell's status is the later, in log order, of its own last act and of the marks that cover it.

    Asking and deferring change neither a grant nor a stop. Of several grants the strongest that holds counts; a
    minor may need a guardian's beside the own one (7.b).
    """
    age, cell = terms.age, terms.cell
    stop = last_stop(row.marks if age is None else counted_marks(row.marks, age), cell, guardians=age is not None)
    stop_offset = -1 if stop is None else stop.offset
    purpose = cell.purpose
    own: Grants = []
    by_guardians: Grants = []
    asked: Act | None = None
    for act in row.acts:
        block = act.block
        if block.purpose != purpose or not block.holds(cell):
            continue
        if act.status is not _GIVEN:
            if asked is None or act.offset > asked.offset:
                asked = act
        elif act.offset > stop_offset and act.expression is not _IMPLIED:
            (own if act.actor_role is _SUBJECT else by_guardians).append(act)
    if age is None:
        if own:
            return strongest(own, terms, now)
    elif own or by_guardians:
        standing = standing_by_age(row, own, by_guardians, terms, age, now)
        if standing is not None:
            return standing
    if stop is not None:
        return Standing(REASON_OF_STOP[stop.status], stop.status, (stop.event_id,))
    if asked is not None:
        return Standing(Reason.NO_CONSENT, asked.status, (asked.event_id,))
    return NEVER_ASKED
