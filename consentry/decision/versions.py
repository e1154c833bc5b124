"""Which former version still protects a subject: a right is reduced only on express acceptance (8.a). Pure."""

from consentry.decision.age import age_of
from consentry.decision.guardians import guardians_acceptances
from consentry.policy import Policies, Policy
from consentry.state.row import SubjectState
from consentry.terms import ActorRole


def former_version(row: SubjectState | None, policies: Policies, now: int) -> Policy | None:
    """The version before the first reduction in force that does not bind this subject; None: all bind.

    Who first acted after a reduction took effect came to it, and is bound by it from the start.
    """
    if row is None or row.first_act_at is None:
        return None
    for version in policies.reductions(now):
        if row.first_act_at >= policies.revisions[version - 1].effective_at:
            continue
        former = policies.revisions[version - 2].policy
        if not _accepted(row, version, former, now):
            return former
    return None


def _accepted(row: SubjectState, version: int, former: Policy, now: int) -> bool:
    """By the person; for a minor, by the lines of the former version, by a guardian who is still verified."""
    facts = row.circumstances
    if facts is None:
        return False
    age = age_of(facts, former)
    if age is None:
        return any(
            each.actor_role is ActorRole.SUBJECT and each.policy_version >= version for each in facts.acceptances
        )
    if any(each.policy_version >= version for each in guardians_acceptances(facts, age)):
        return True
    return age.is_adult(now) and any(
        each.actor_role is ActorRole.SUBJECT
        and each.policy_version >= version
        and age.adults_act(each.occurred_at, each.recorded_at, each.offset)
        and not (age.lowering is not None and age.lowering.voids(each.offset, each.occurred_at))
        for each in facts.acceptances
    )
