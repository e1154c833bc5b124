"""The fold's rules again, slowly: the whole history is kept, and every question scans it from the beginning.

It shares no code with consentry/state: no blocks, no marks that cover others, no row. tests/unit/test_fold_model.py
compares the two.
"""

from collections.abc import Sequence

import msgspec

from consentry.events import (
    AgeAsserted,
    AnySubjectEvent,
    Cells,
    ConsentDeferred,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRequested,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    QuarantineReleased,
    Recorded,
    RightsRequested,
    RightsResolved,
    Scoped,
    SubjectQuarantined,
)
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Cell,
    Expression,
    Outcome,
    PermissionState,
    Position,
    Right,
    Status,
)

FIVE_MINUTES = 300_000
STATUS_OF_STOP = {
    "ConsentRefused": Status.REFUSED,
    "ConsentWithdrawn": Status.WITHDRAWN,
    "ConsentRevoked": Status.REVOKED,
    "ConsentInvalidated": Status.INVALIDATED,
}
STRONGEST_FIRST = (Expression.SEPARATE, Expression.EXPRESSED, Expression.IMPLIED)


class Stand(msgspec.Struct, frozen=True):
    """How a cell stands: its status, by which event, and what is granted of each expression."""

    status: Status
    by: int | None
    """offset of the record that made it so; None: nothing did"""
    grants: tuple[tuple[str, Expression, int], ...] = ()
    """by whom, how expressed, by which event"""


class Grant(msgspec.Struct, frozen=True):
    actor: str
    offset: int
    occurred_at: int
    expression: Expression


def is_tightening(event: AnySubjectEvent) -> bool:
    if isinstance(event, PreferenceSet):
        return event.opted_out and event.topic is None
    if isinstance(event, PermissionObserved):
        return event.state is not PermissionState.ON
    if isinstance(event, AgeAsserted):
        return event.age_band is not AgeBand.ADULT
    if isinstance(event, RightsRequested):
        return event.right is Right.OBJECTION
    if isinstance(event, GuardianUnlinked | ExemptionEnded | SubjectQuarantined):
        return True
    return type(event).__name__ in STATUS_OF_STOP


def once_each(records: Sequence[Recorded]) -> list[Recorded]:
    """Without what is repeated: an id of the last 32 counts again only where its content is new and tightens."""
    counted: list[Recorded] = []
    for recorded in records:
        same_id = [former.event for former in counted[-32:] if former.event.event_id == recorded.event.event_id]
        if content_of(recorded.event) in [content_of(event) for event in same_id]:
            continue
        if same_id and not is_tightening(recorded.event):
            continue
        counted.append(recorded)
    return counted


def content_of(event: AnySubjectEvent) -> AnySubjectEvent:
    if isinstance(event, ConsentGiven | ConsentReaffirmed | PreferenceSet):
        return msgspec.structs.replace(event, expected_position=None)
    return event


def tightened_position_of(records: Sequence[Recorded]) -> Position | None:
    tightened = [recorded.position for recorded in once_each(records) if is_tightening(recorded.event)]
    return tightened[-1] if tightened else None


def names(event: Cells, cell: Cell) -> bool:
    return (
        event.purpose == cell.purpose
        and cell.operation in (event.operations or ())
        and cell.data in (event.data or ())
        and cell.recipient in (event.recipients or ("",))
    )


def covers(event: AnySubjectEvent, cell: Cell) -> bool:
    """Whether this tightening covers the cell."""
    if isinstance(event, PreferenceSet):
        return event.purpose == cell.purpose
    if type(event).__name__ not in STATUS_OF_STOP or not isinstance(event, Scoped):
        return False  # an objection asks about exemptions, and stops no consent
    return (
        event.purpose in (None, cell.purpose)
        and (event.operations is None or cell.operation in event.operations)
        and (event.data is None or cell.data in event.data)
        and (event.recipients is None or cell.recipient in event.recipients)
    )


def heard_of(recorded: Recorded, before: Sequence[Recorded], tightenings: Sequence[Recorded]) -> bool:
    """Whether who loosens can have known of each of `tightenings`; `before` is all that came before in the log."""
    event = recorded.event
    if event.occurred_at > recorded.recorded_at + FIVE_MINUTES:
        return False
    if not tightenings:
        return True
    expected = getattr(event, "expected_position", None)
    if expected is not None:
        return expected == str(tightened_position_of(before))
    occurred_at = min(event.occurred_at, recorded.recorded_at)
    return all(occurred_at > tightening.recorded_at for tightening in tightenings)


def clock_of(recorded: Recorded) -> int:
    return min(recorded.event.occurred_at, recorded.recorded_at)


class Guardian(msgspec.Struct):
    """What the records before some place say of a guardian."""

    linked: bool = False
    verified: Recorded | None = None
    unlinked: Recorded | None = None


def guardian_of(before: Sequence[Recorded], name: str) -> Guardian:
    guardian = Guardian()
    for recorded in before:
        event = recorded.event
        if not isinstance(event, GuardianLinked | GuardianVerified | GuardianUnlinked) or event.guardian != name:
            continue
        late = guardian.unlinked is not None and clock_of(recorded) <= guardian.unlinked.recorded_at
        if isinstance(event, GuardianUnlinked):
            guardian = Guardian(unlinked=recorded) if guardian.linked else guardian
        elif isinstance(event, GuardianLinked):
            guardian.linked = guardian.linked or not late
        elif guardian.linked and guardian.verified is None and not late and heard_of(recorded, (), ()):
            guardian.verified = recorded
    return guardian


def may_stop(recorded: Recorded, before: Sequence[Recorded]) -> bool:
    actor = recorded.event.actor
    return actor.role is not ActorRole.GUARDIAN or guardian_of(before, actor.id).linked


def may_loosen(recorded: Recorded, before: Sequence[Recorded]) -> bool:
    actor = recorded.event.actor
    if actor.role is not ActorRole.GUARDIAN:
        return True
    verified = guardian_of(before, actor.id).verified
    return verified is not None and clock_of(recorded) >= verified.recorded_at


def stands_of(counted: Sequence[Recorded], place: int) -> bool:
    """Whether the guardian who did this, if one did, was not unlinked later."""
    actor = counted[place].event.actor
    return actor.role is not ActorRole.GUARDIAN or not any(
        isinstance(later.event, GuardianUnlinked)
        and later.event.guardian == actor.id
        and guardian_of(counted[: place + 1 + after], actor.id).linked
        for after, later in enumerate(counted[place + 1 :])
    )


def stand_of(records: Sequence[Recorded], cell: Cell) -> Stand:
    counted = once_each(records)
    asked: tuple[Status, int] | None = None
    askers: dict[int, int] = {}
    stopped: tuple[Status, int] | None = None
    grants: list[Grant] = []
    for place, recorded in enumerate(counted):
        event, before = recorded.event, counted[:place]
        offset, kind, actor = recorded.position.offset, type(event).__name__, recorded.event.actor.id
        if isinstance(event, GuardianUnlinked) and guardian_of(before, event.guardian).linked:
            grants = [each for each in grants if each.actor != event.guardian]
            asked = None if asked and counted[askers[asked[1]]].event.actor.id == event.guardian else asked
        elif isinstance(event, ConsentRequested | ConsentDeferred) and names(event, cell):
            if may_stop(recorded, before):
                asked = (Status.REQUESTED if kind == "ConsentRequested" else Status.DEFERRED, offset)
                askers[offset] = place
        elif kind in STATUS_OF_STOP and covers(event, cell) and may_stop(recorded, before):
            stopped = (STATUS_OF_STOP[kind], offset)
            grants = []
        elif isinstance(event, ConsentGiven | ConsentReaffirmed) and names(event, cell):
            covering = [
                former
                for number, former in enumerate(before)
                if is_tightening(former.event) and covers(former.event, cell) and may_stop(former, counted[:number])
            ]
            own = [each for each in grants if each.actor == actor and may_be_renewed(each, before)]
            expression = event.expression if isinstance(event, ConsentGiven) else strongest(own)
            if expression is not None and may_loosen(recorded, before) and heard_of(recorded, before, covering):
                grants.append(Grant(actor, offset, clock_of(recorded), expression))
    standing = tuple(
        (actor, expression, max(candidates)[1])
        for actor in sorted({each.actor for each in grants})
        for expression in STRONGEST_FIRST
        if (
            candidates := [
                (each.occurred_at, each.offset)
                for each in grants
                if each.expression is expression and each.actor == actor
            ]
        )
    )
    if standing:
        return Stand(Status.GIVEN, max(offset for *_, offset in standing), standing)
    if stopped is not None:
        return Stand(*stopped)
    return Stand(*asked) if asked is not None else Stand(Status.UNKNOWN, None)


def may_be_renewed(grant: Grant, before: Sequence[Recorded]) -> bool:
    """Not what was granted before a statement of age that may have lowered it, or without knowing of it."""
    said = [each for each in before if isinstance(each.event, AgeAsserted) and each.event.age_band is not AgeBand.ADULT]
    if not said or grant.offset < said[-1].position.offset:
        return not said
    earlier = [each for each in before if each.position.offset < grant.offset]
    (granted,) = (each for each in before if each.position.offset == grant.offset)
    expected = getattr(granted.event, "expected_position", None)
    informed = expected is not None and expected == str(tightened_position_of(earlier))
    return informed or grant.occurred_at > said[-1].recorded_at


def strongest(grants: Sequence[Grant]) -> Expression | None:
    given = {grant.expression for grant in grants}
    return next((expression for expression in STRONGEST_FIRST if expression in given), None)


def opted_out_by(records: Sequence[Recorded], purpose: str) -> set[str]:
    """Who has objected to the purpose and not lifted it at once: whether a guardian's word counts hangs on ages."""
    return {recorded.event.actor.id for recorded in opt_outs_of(once_each(records), purpose)}


def opt_outs_of(counted: Sequence[Recorded], purpose: str) -> list[Recorded]:
    standing: list[Recorded] = []
    for place, recorded in enumerate(counted):
        event, before = recorded.event, counted[:place]
        if not isinstance(event, PreferenceSet) or event.purpose != purpose or event.topic is not None:
            continue
        if event.opted_out:
            standing += [recorded] if may_stop(recorded, before) else []
        elif event.actor.role is ActorRole.SUBJECT:
            own = [former for former in standing if former.event.actor == event.actor]
            if own and heard_of(recorded, before, own[-1:]):
                standing = [former for former in standing if former not in own]
    return standing


def lifts_of(records: Sequence[Recorded], purpose: str) -> set[int]:
    """The words that may yet lift an opt-out that stands: the person's about a guardian's, a guardian's about any."""
    counted = once_each(records)
    kept = set()
    for place, recorded in enumerate(counted):
        event, before = recorded.event, counted[:place]
        if not isinstance(event, PreferenceSet) or event.purpose != purpose or event.topic is not None:
            continue
        if event.opted_out or not may_loosen(recorded, before) or not stands_of(counted, place):
            continue
        of_others = event.actor.role is ActorRole.SUBJECT
        heard = [
            former
            for former in opt_outs_of(before, purpose)
            if heard_of(recorded, before, [former]) and not (of_others and former.event.actor == event.actor)
        ]
        still = opt_outs_of(counted, purpose)
        if heard and any(former.position < recorded.position for former in still):
            kept.add(recorded.position.offset)
    return kept


def was_switched_on(records: Sequence[Recorded], name: str, device: str | None) -> bool:
    """A device is known once anything was heeded of it; who names none needs it on for every known one."""
    known: set[str] = set()
    on: set[str] = set()
    on_where_none_is_known = False
    observed = [recorded for recorded in once_each(records) if isinstance(recorded.event, PermissionObserved)]
    for place, recorded in enumerate(observed):
        event = recorded.event
        assert isinstance(event, PermissionObserved)
        if event.state is PermissionState.ON:
            offs = [former for former in observed[:place] if speaks_of(former.event, event)]
            if not heard_of(recorded, observed[:place], offs) or (event.device is None and known):
                continue
        known |= {event.device} - {None}
        if event.permission != name:
            continue
        is_on = event.state is PermissionState.ON
        if event.device is None:
            on_where_none_is_known = is_on
            on &= on if is_on else set()
        else:
            on = on | {event.device} if is_on else on - {event.device}
    if not known:
        return on_where_none_is_known
    return known <= on if device is None else device in on


def speaks_of(former: AnySubjectEvent, event: PermissionObserved) -> bool:
    """Whether `former` switched off what `event` switches on."""
    return (
        isinstance(former, PermissionObserved)
        and is_tightening(former)
        and former.permission == event.permission
        and former.device in (None, event.device)
    )


def quarantined_of(records: Sequence[Recorded]) -> set[str]:
    standing: set[str] = set()
    for recorded in once_each(records):
        event = recorded.event
        if isinstance(event, SubjectQuarantined):
            standing.add(event.position)
        elif isinstance(event, QuarantineReleased):
            standing.discard(event.position)
    return standing


def guardians_of(records: Sequence[Recorded], names_of_guardians: Sequence[str]) -> dict[str, tuple[bool, int | None]]:
    """Who is linked, and by which record verified."""
    counted = once_each(records)
    found = {name: guardian_of(counted, name) for name in names_of_guardians}
    return {
        name: (each.linked, None if each.verified is None else each.verified.position.offset)
        for name, each in found.items()
    }


def ages_of(records: Sequence[Recorded]) -> list[tuple[int, bool]]:
    """The statements, and whether each may raise the age."""
    counted = once_each(records)
    found = []
    for place, recorded in enumerate(counted):
        event = recorded.event
        if isinstance(event, AgeAsserted):
            by_guardian = (
                event.actor.role is ActorRole.GUARDIAN and guardian_of(counted[:place], event.actor.id).verified
            )
            may_raise = heard_of(recorded, (), ()) and (event.source is not AgeSource.GUARDIAN or bool(by_guardian))
            found.append((recorded.position.offset, may_raise))
    return found


def accepted_versions(records: Sequence[Recorded]) -> set[tuple[str, int]]:
    counted = once_each(records)
    return {
        (recorded.event.actor.id, recorded.event.policy_version)
        for place, recorded in enumerate(counted)
        if isinstance(recorded.event, PolicyAccepted)
        and heard_of(recorded, (), ())
        and may_loosen(recorded, counted[:place])
        and stands_of(counted, place)
    }


def objections_of(records: Sequence[Recorded]) -> set[int]:
    counted = once_each(records)
    standing: set[Recorded] = set()
    for place, recorded in enumerate(counted):
        event = recorded.event
        if isinstance(event, RightsRequested) and is_tightening(event) and may_stop(recorded, counted[:place]):
            standing.add(recorded)
        elif isinstance(event, RightsResolved) and event.outcome is Outcome.REJECTED:
            standing = {former for former in standing if former.event.event_id != event.request}
    return {recorded.position.offset for recorded in standing}


def exemptions_of(records: Sequence[Recorded], cell: Cell) -> set[int]:
    """The invocations that name the cell and have not been ended for it."""
    counted = once_each(records)
    ended = [recorded for recorded in counted if isinstance(recorded.event, ExemptionEnded)]
    return {
        recorded.position.offset
        for recorded in counted
        if isinstance(recorded.event, ExemptionInvoked)
        and heard_of(recorded, (), ())
        and names_exempt(recorded.event, cell)
        and not any(
            ending.event.code == recorded.event.code
            and (ending.position > recorded.position or clock_of(recorded) <= ending.recorded_at)
            and names_exempt(ending.event, cell)
            for ending in ended
            if isinstance(ending.event, ExemptionEnded)
        )
    }


def names_exempt(event: ExemptionInvoked | ExemptionEnded, cell: Cell) -> bool:
    return (
        event.purpose in (None, cell.purpose)
        and cell.operation in event.operations
        and cell.data in event.data
        and (event.recipients is None or cell.recipient in event.recipients)
    )


def first_act_of(records: Sequence[Recorded]) -> int | None:
    counted = once_each(records)
    acted = [
        clock_of(recorded)
        for place, recorded in enumerate(counted)
        if recorded.event.actor.role is ActorRole.SUBJECT
        or (recorded.event.actor.role is ActorRole.GUARDIAN and may_stop(recorded, counted[:place]))
    ]
    return min(acted, default=None)
