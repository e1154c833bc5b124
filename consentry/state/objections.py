"""What a row keeps of objections (rights requests): those that were not rejected."""

from uuid import UUID

from consentry.events import RightsRequested
from consentry.state.blocks import bounded, join, scope_of
from consentry.state.row import MAX_OBJECTIONS, Objection

NO_EVENT = bytes(16)
"""the event of two objections widened into one: no rejection of either takes it back"""

Objections = tuple[Objection, ...]


def with_objection(former: Objections, event: RightsRequested, recorded_at: int, offset: int) -> Objections:
    """The objections with one more; beyond 32 the two oldest are widened into one, which stays."""
    objection = Objection(
        event_id=event.event_id.bytes,
        actor_role=event.actor.role,
        actor_id=event.actor.id,
        recorded_at=recorded_at,
        offset=offset,
        scope=bounded(scope_of(event)),
    )
    after = (*former, objection)
    if len(after) <= MAX_OBJECTIONS:
        return after
    return (_joined(after[0], after[1]), *after[2:])


def without_objection(former: Objections, request: UUID) -> Objections:
    """The objections without the one that was rejected: the same object where it is not among them."""
    if request.bytes == NO_EVENT:
        return former
    after = tuple([objection for objection in former if objection.event_id != request.bytes])
    return former if len(after) == len(former) else after


def _joined(earlier: Objection, later: Objection) -> Objection:
    return Objection(
        event_id=NO_EVENT,
        actor_role=later.actor_role,
        actor_id=later.actor_id,
        recorded_at=later.recorded_at,
        offset=later.offset,
        scope=bounded(join(earlier.scope, later.scope)),
    )
