"""What a row keeps of who accepted which version of the policy. It grants nothing."""

from consentry.events import PolicyAccepted
from consentry.state.grants import checked_version
from consentry.state.row import MAX_ACCEPTANCES, Acceptance
from consentry.terms import ActorRole

Acceptances = tuple[Acceptance, ...]


def with_acceptance(former: Acceptances, event: PolicyAccepted, recorded_at: int, offset: int) -> Acceptances:
    """The acceptances with one more. The person's own of one version count once, by the later clock.

    A guardian's are all kept, as the later one may count for nothing: the ward may have been of age by then.
    Beyond 64 the lowest version of who accepts is forgotten. Raises ConsentryError on what is no version.
    """
    accepted = Acceptance(
        event_id=event.event_id.bytes,
        actor_role=event.actor.role,
        actor_id=event.actor.id,
        policy_version=checked_version(event.policy_version),
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
    )
    after = (*[each for each in former if not _is_repeated(each, accepted)], accepted)
    if len(after) <= MAX_ACCEPTANCES:
        return after
    forgotten = min(
        [each for each in after if each.actor_role is accepted.actor_role and each.actor_id == accepted.actor_id],
        key=lambda each: (each.policy_version, each.offset),
    )
    return tuple([each for each in after if each is not forgotten])


def _is_repeated(former: Acceptance, accepted: Acceptance) -> bool:
    return (
        former.actor_role is ActorRole.SUBJECT
        and accepted.actor_role is ActorRole.SUBJECT
        and former.actor_id == accepted.actor_id
        and former.policy_version == accepted.policy_version
        and former.occurred_at <= accepted.occurred_at
    )
