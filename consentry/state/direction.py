"""Which way an event turns answers: what tightens may turn an ALLOW into a DENY, what loosens the reverse."""

from consentry.events import (
    AgeAsserted,
    AnySubjectEvent,
    Cells,
    ConsentGiven,
    ConsentReaffirmed,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianUnlinked,
    GuardianVerified,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    RightsRequested,
)
from consentry.terms import AgeBand, PermissionState, Right


def tightens(event: AnySubjectEvent) -> bool:
    """Takes effect at once, whatever its clock says. By type, whether or not it then changes anything."""
    if event.tightens:
        return True
    match event:
        case ConsentGiven():  # it alone of Cells, as it is the most frequent event
            return False
        case PermissionObserved():
            return event.state is not PermissionState.ON
        case Cells():
            return False
        case PreferenceSet():
            return event.opted_out and event.topic is None
        case AgeAsserted():
            return event.age_band is not AgeBand.ADULT
        case RightsRequested():
            return event.right is Right.OBJECTION
        case GuardianUnlinked() | ExemptionEnded():
            return True
        case _:
            return False


def loosens(event: AnySubjectEvent) -> bool:
    """Takes effect only if who sent it can have known of what was tightened before, or may speak for the subject."""
    match event:
        case ConsentGiven() | ConsentReaffirmed() | PolicyAccepted() | GuardianVerified() | ExemptionInvoked():
            return True
        case PreferenceSet():
            return not event.opted_out and event.topic is None
        case PermissionObserved():
            return event.state is PermissionState.ON
        case AgeAsserted():
            return event.age_band is AgeBand.ADULT
        case _:
            return False
