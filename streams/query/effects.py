"""What an event did to its subject's row, told from the rows before and after. Pure.

Others write the same subject at the same time, and rows become visible a batch at a time. So the row after is folded
anew from the row before: where both agree, nothing came in between and the effect is exact. Where something did, the
row after is searched for what the event left in it.
"""

from collections.abc import Sequence

from consentry.events import PreferenceSet, QuarantineReleased, Recorded
from consentry.state.direction import loosens, tightens
from consentry.state.fold import effect_of, fold_or_quarantine
from consentry.state.row import Circumstances, SubjectState
from consentry.terms import Effect


def effects_of(before: SubjectState, after: SubjectState, records: Sequence[Recorded]) -> tuple[Effect, ...]:
    """For each of `records`, all of one subject and in log order. `after` must have seen the last of them."""
    state = before
    effects = []
    for recorded in records:
        following, _ = fold_or_quarantine(state, recorded)
        effects.append(effect_of(state, following, recorded))
        state = following
    if state == after:
        return tuple(effects)
    return tuple(_effect_by_trace(before, after, recorded) for recorded in records)


def _effect_by_trace(before: SubjectState, after: SubjectState, recorded: Recorded) -> Effect:
    """What of the event stands in a row that other events have changed as well."""
    event = recorded.event
    if fold_or_quarantine(before, recorded)[0] is before:
        return Effect.UNCHANGED
    left = {act.event_id for act in after.acts} | {seen.event_id for seen in after.permissions}
    left |= _left_in(after.circumstances)
    if tightens(event) or event.event_id.bytes in left:
        return Effect.APPLIED  # a tightening always is: what it left may since be covered by another
    if isinstance(event, QuarantineReleased):
        return Effect.UNCHANGED if event.position in after.quarantined else Effect.APPLIED
    if isinstance(event, PreferenceSet) and loosens(event):
        actor = (event.purpose, event.actor.role, event.actor.id)
        standing = {(opt_out.purpose, opt_out.actor_role, opt_out.actor_id) for opt_out in after.opt_outs}
        return Effect.SUPERSEDED if actor in standing else Effect.APPLIED
    return Effect.SUPERSEDED if loosens(event) else Effect.UNCHANGED


def _left_in(facts: Circumstances | None) -> set[bytes]:
    if facts is None:
        return set()
    entries = (facts.ages, facts.acceptances, facts.lifts, facts.objections, facts.invocations)
    return {entry.event_id for group in entries for entry in group} | {
        guardianship.verified_id for guardianship in facts.guardianships
    }
