"""Which way an event bears: what may turn an ALLOW into a DENY tightens, the reverse loosens."""

from enum import Enum
from typing import assert_never

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
    SubjectErased,
    SubjectQuarantined,
)
from consentry.terms import AgeBand, Outcome, PermissionState, Right


class Bearing(Enum):
    TIGHTENS = "tightens"
    LOOSENS = "loosens"
    NEITHER = "neither"


def bearing_of(event: AnySubjectEvent) -> Bearing:
    """The way `event` bears; where that hangs on the row, NEITHER, and `fold` weighs it."""
    match event:
        case ConsentGiven() | ConsentReaffirmed() | PolicyAccepted():
            return Bearing.LOOSENS
        case ExemptionInvoked() | GuardianVerified() | QuarantineReleased():
            return Bearing.LOOSENS
        case ConsentRefused() | ConsentWithdrawn() | ConsentRevoked() | ConsentInvalidated():
            return Bearing.TIGHTENS
        case AccountClosed() | SubjectQuarantined() | SubjectErased() | ExemptionEnded() | GuardianUnlinked():
            return Bearing.TIGHTENS
        case PreferenceSet() | PermissionObserved() | AgeAsserted() | RightsRequested() | RightsResolved():
            return _by_content(event)
        case (
            ConsentRequested()
            | ConsentDeferred()
            | GuardianLinked()
            | IdentityLinked()
            | DataCollected()
            | ObligationFulfilled()
        ):
            return Bearing.NEITHER
        case other:
            assert_never(other)


def _by_content(
    event: PreferenceSet | PermissionObserved | AgeAsserted | RightsRequested | RightsResolved,
) -> Bearing:
    match event:
        case PreferenceSet(topic=None):
            return Bearing.TIGHTENS if event.opted_out else Bearing.LOOSENS
        case PreferenceSet():
            return Bearing.NEITHER  # precise feedback on one topic is no opt-out
        case PermissionObserved():
            return Bearing.LOOSENS if event.state is PermissionState.ON else Bearing.TIGHTENS
        case AgeAsserted():
            # a birth date may do either; what lowers the age always counts, and `fold` weighs what raises it
            return Bearing.LOOSENS if event.age_band is AgeBand.ADULT else Bearing.TIGHTENS
        case RightsRequested():
            return Bearing.TIGHTENS if event.right is Right.OBJECTION else Bearing.NEITHER
        case RightsResolved():
            return Bearing.LOOSENS if event.outcome is Outcome.REJECTED else Bearing.NEITHER
        case other:
            assert_never(other)
