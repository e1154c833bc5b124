"""Which way an event turns answers: what tightens may turn an ALLOW into a DENY, what loosens the reverse."""

from consentry.events import (
    AnySubjectEvent,
    ConsentGiven,
    ConsentReaffirmed,
    PermissionObserved,
    PreferenceSet,
)
from consentry.terms import PermissionState


def tightens(event: AnySubjectEvent) -> bool:
    """Takes effect at once, whatever its clock says."""
    match event:
        case PreferenceSet():
            return event.opted_out and event.topic is None
        case PermissionObserved():
            return event.state is not PermissionState.ON
        case _:
            return event.tightens


def loosens(event: AnySubjectEvent) -> bool:
    """Takes effect only if the person can have known of what was tightened before."""
    match event:
        case ConsentGiven() | ConsentReaffirmed():
            return True
        case PreferenceSet():
            return not event.opted_out and event.topic is None
        case PermissionObserved():
            return event.state is PermissionState.ON
        case _:
            return False
