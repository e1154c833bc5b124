"""Who may send what, as a table: event type x caller's role -> for whom it may speak. All else is refused.

The token's role says who sends, the actor who acted. Both must fit: a producer's token may carry
a person's grant, but never a revocation by the controller. docs/reference/roles.md shows this table.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from consentry.events import (
    AccountClosed,
    AgeAsserted,
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    DataCollected,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    ObligationFulfilled,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    QuarantineReleased,
    RightsRequested,
    RightsResolved,
    SubjectEvent,
)
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.faults import Fault
from consentry.terms import ActorRole, AgeSource


class CallerRole(StrEnum):
    """What a token, or the ACL of an intake topic, lets its holder do."""

    ASKER = "asker"
    PRODUCER = "producer"
    GUARDIAN_VERIFIER = "guardian_verifier"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    PUBLISHER = "publisher"


class Caller(msgspec.Struct, frozen=True):
    """Who authenticated. The name becomes the `producer` of what it sends."""

    name: str
    roles: frozenset[CallerRole]


SpeaksFor = Mapping[CallerRole, frozenset[ActorRole]]

_SUBJECT = frozenset({ActorRole.SUBJECT})
_GUARDIAN = frozenset({ActorRole.GUARDIAN})
_PERSON = frozenset({ActorRole.SUBJECT, ActorRole.GUARDIAN})
_CONTROLLER = frozenset({ActorRole.CONTROLLER})
_SERVICE = frozenset({ActorRole.CONTROLLER, ActorRole.SYSTEM})
_ANYONE = frozenset(ActorRole)

# SubjectQuarantined (of intake itself) and SubjectErased (of erasure) are missing: no caller may send them.
MAY_SEND: Final[Mapping[type[SubjectEvent], SpeaksFor]] = {
    ConsentRequested: {CallerRole.PRODUCER: _SERVICE | _SUBJECT},
    ConsentDeferred: {CallerRole.PRODUCER: _ANYONE},
    ConsentGiven: {CallerRole.PRODUCER: _PERSON},
    ConsentReaffirmed: {CallerRole.PRODUCER: _PERSON},
    ConsentRefused: {CallerRole.PRODUCER: _PERSON},
    ConsentWithdrawn: {CallerRole.PRODUCER: _PERSON},
    ConsentRevoked: {CallerRole.OPERATOR: _CONTROLLER},
    ConsentInvalidated: {CallerRole.OPERATOR: _CONTROLLER},
    PolicyAccepted: {CallerRole.PRODUCER: _PERSON},
    PreferenceSet: {CallerRole.PRODUCER: _PERSON},
    PermissionObserved: {CallerRole.PRODUCER: _PERSON | {ActorRole.SYSTEM}},
    AgeAsserted: {
        CallerRole.PRODUCER: _PERSON | {ActorRole.SYSTEM},
        CallerRole.GUARDIAN_VERIFIER: _SERVICE,
    },
    GuardianLinked: {CallerRole.PRODUCER: _PERSON},
    GuardianVerified: {CallerRole.GUARDIAN_VERIFIER: _SERVICE},
    GuardianUnlinked: {CallerRole.PRODUCER: _GUARDIAN, CallerRole.OPERATOR: _CONTROLLER},
    IdentityLinked: {CallerRole.PRODUCER: _SUBJECT | _SERVICE},
    DataCollected: {CallerRole.PRODUCER: _SERVICE},
    ExemptionInvoked: {CallerRole.OPERATOR: _CONTROLLER},
    ExemptionEnded: {CallerRole.OPERATOR: _CONTROLLER},
    RightsRequested: {CallerRole.PRODUCER: _PERSON},
    RightsResolved: {CallerRole.OPERATOR: _CONTROLLER},
    AccountClosed: {CallerRole.PRODUCER: _SUBJECT, CallerRole.OPERATOR: _CONTROLLER},
    QuarantineReleased: {CallerRole.OPERATOR: _CONTROLLER},
    ObligationFulfilled: {CallerRole.PRODUCER: _SERVICE, CallerRole.OPERATOR: _CONTROLLER},
}

AGE_SOURCES: Final[Mapping[AgeSource, SpeaksFor]] = {
    AgeSource.VERIFIED: {CallerRole.GUARDIAN_VERIFIER: _SERVICE},
    AgeSource.GUARDIAN: {CallerRole.PRODUCER: _GUARDIAN},
    AgeSource.DECLARED: {CallerRole.PRODUCER: _SUBJECT},
    AgeSource.INFERRED: {CallerRole.PRODUCER: frozenset({ActorRole.SYSTEM})},
}
"""Who may assert an age from which source; narrower than its line in MAY_SEND."""

MUST_NOT_LOOSEN: Final = frozenset({ActorRole.CONTROLLER, ActorRole.SYSTEM})
"""Whatever loosens comes from the person or a guardian (verified: see `guardians`); the types below have own rules."""
LOOSENED_BY_OTHERS: Final[frozenset[type[SubjectEvent]]] = frozenset(
    {AgeAsserted, ExemptionInvoked, GuardianVerified, QuarantineReleased, RightsResolved}
)


def faults_of_authority(event: AnySubjectEvent, caller: Caller) -> Iterator[Fault]:
    """What forbids `caller` to send `event`: nothing, where both its roles and the actor fit the type."""
    kind = type(event).__name__
    line = MAY_SEND.get(type(event), {})
    if not line.keys() & caller.roles:
        yield _refused("/type", f"{caller.name} may not send {kind}", _who_may(line))
        return
    if not _speaks(line, caller, event.actor.role):
        what = f"{kind} is not the act of a {event.actor.role} from this caller"
        yield _refused("/actor/role", what, _who_may(line))
        return
    if isinstance(event, AgeAsserted):
        yield from _faults_of_source(event, caller)
    if bearing_of(event) is not Bearing.LOOSENS:
        return
    if event.actor.role in MUST_NOT_LOOSEN and type(event) not in LOOSENED_BY_OTHERS:
        yield _refused(
            "/actor/role", f"a {event.actor.role} never loosens", "the subject or a guardian must have acted"
        )
    if event.actor.role is ActorRole.GUARDIAN and isinstance(event, PermissionObserved):
        yield _refused("/actor/role", "a guardian does not say that a permission is on", "the subject's device does")


def _faults_of_source(event: AgeAsserted, caller: Caller) -> Iterator[Fault]:
    line = AGE_SOURCES[event.source]
    if not _speaks(line, caller, event.actor.role):
        yield _refused("/source", f"an age is not {event.source} by this caller and actor", _who_may(line))


def _speaks(line: SpeaksFor, caller: Caller, actor: ActorRole) -> bool:
    return any(role in caller.roles and actor in actors for role, actors in line.items())


def _who_may(line: SpeaksFor) -> str:
    if not line:
        return "no caller may send it"
    return "; ".join(f"a {role} may, for {' or '.join(sorted(actors))}" for role, actors in line.items())


def _refused(where: str, what: str, remedy: str) -> Fault:
    return Fault(where=where, what=what, remedy=remedy, status=403, code="ROLE_NOT_ALLOWED")
