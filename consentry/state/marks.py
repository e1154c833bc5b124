"""What a row keeps of tightenings: marks, and how their number stays bounded without any being lost."""

from collections.abc import Iterator

import msgspec

from consentry.events import Scoped
from consentry.state.blocks import bounded, join, scope_of, within
from consentry.state.row import COUNTS_ALWAYS, MAX_MARKS, Mark
from consentry.terms import ActorRole, Status

Marks = tuple[Mark, ...]


def mark_of(event: Scoped, status: Status, recorded_at: int, offset: int, scene: str = "") -> Mark:
    actor = event.actor
    return Mark(
        event_id=event.event_id.bytes,
        status=status,
        actor_role=actor.role,
        actor_id=actor.id,
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
        scene=scene,
        scope=bounded(scope_of(event)),
    )


def with_mark(marks: Marks, mark: Mark) -> Marks | None:
    """The marks with a later one, which may cover former ones of its status, actor and scene.

    A guardian's cover none: the ward's age may void the later one, and the former must then be there.
    Beyond 64 two of one status and actor are widened into one. None where there are no two, and so no room.
    """
    marks = (*_not_covered_by(marks, mark), mark)
    while len(marks) > MAX_MARKS:
        widened = _with_two_widened(marks)
        if widened is None:
            return None
        marks = widened
    return marks


def counting_always(mark: Mark) -> Mark:
    """A guardian's mark that no age of the ward voids; anybody else's as it is."""
    return msgspec.structs.replace(mark, occurred_at=COUNTS_ALWAYS) if mark.actor_role is ActorRole.GUARDIAN else mark


def _not_covered_by(marks: Marks, later: Mark) -> list[Mark]:
    if later.actor_role is ActorRole.GUARDIAN:
        return list(marks)
    return [
        mark
        for mark in marks
        if mark.status is not later.status
        or mark.actor_id != later.actor_id
        or mark.actor_role is not later.actor_role
        or mark.scene != later.scene
        or mark.offset > later.offset
        or not within(mark.scope, later.scope)
    ]


def _with_two_widened(marks: Marks) -> Marks | None:
    pairs = list(_neighbours(marks))
    if not pairs:
        return None
    earlier, later = min(pairs, key=_loss)
    joined = _joined(earlier, later)
    rest = tuple([mark for mark in marks if mark is not earlier and mark is not later])
    place = sum(mark.offset < joined.offset for mark in rest)
    return (*_not_covered_by(rest[:place], joined), joined, *rest[place:])


def _neighbours(marks: Marks) -> Iterator[tuple[Mark, Mark]]:
    """Pairs of one status and actor that are worth weighing: neighbours, those of one purpose, those of all."""
    for same_purpose, of_all in ((False, False), (True, False), (False, True)):
        former: dict[tuple[str, ...], Mark] = {}
        for mark in marks:
            purpose = mark.scope.purpose
            kind = (mark.status, mark.actor_role, mark.actor_id, purpose if same_purpose else "")
            if kind in former:
                yield former[kind], mark
            if not of_all or not purpose:
                former[kind] = mark


def _joined(earlier: Mark, later: Mark) -> Mark:
    """One mark for two: it covers both, and stands where the later one stood.

    Two of a guardian count whatever the ages say: one of them may have counted, and must not be lost to the other.
    """
    by_guardian = later.actor_role is ActorRole.GUARDIAN
    return Mark(
        event_id=later.event_id,
        status=later.status,
        actor_role=later.actor_role,
        actor_id=later.actor_id,
        occurred_at=COUNTS_ALWAYS if by_guardian else max(earlier.occurred_at, later.occurred_at),
        recorded_at=max(earlier.recorded_at, later.recorded_at),
        offset=later.offset,
        # a refusal without a scene counts for every scene
        scene=later.scene if earlier.scene == later.scene else "",
        scope=bounded(join(earlier.scope, later.scope)),
    )


def _loss(pair: tuple[Mark, Mark]) -> tuple[int, int, int, int]:
    """How much more than the two their joining would cover, roughly; of equals the earliest pair."""
    earlier, later = pair
    joined = join(earlier.scope, later.scope)
    opened = sum(
        bool(part) and not whole
        for scope in (earlier.scope, later.scope)
        for part, whole in (
            (scope.purpose, joined.purpose),
            (scope.operations, joined.operations),
            (scope.data, joined.data),
            (scope.recipients, joined.recipients),
        )
    )
    words = len(joined.operations) + len(joined.data) + len(joined.recipients)
    return opened, words, earlier.offset, later.offset
