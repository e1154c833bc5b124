"""A state row with something in each of its groups."""

from unit.folding import COLLECT, OPERATOR, USE, Log

from consentry.events import (
    AgeAsserted,
    ConsentGiven,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
    PermissionObserved,
    PreferenceSet,
    SubjectQuarantined,
)
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, AgeSource, Expression, PermissionState


def full_row() -> SubjectState:
    log = Log()
    ads = {"purpose": "partner.ads", "operations": (COLLECT, USE), "data": ("tags",), "recipients": ("adnet", "adx")}
    log.append(ConsentRequested, purpose="feed.nearby", operations=(USE,), data=("gps",), policy_version=1)
    log.append(ConsentGiven, **ads, policy_version=2, expression=Expression.SEPARATE, valid_until=1_893_456_000_000)
    log.append(ConsentRefused, purpose="feed.nearby", scene="map", operations=(USE,))
    log.append(ConsentWithdrawn, data=("gps", "wlan"), recipients=("adx",))
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    log.append(PreferenceSet, purpose="feed.city", opted_out=False)
    log.append(PreferenceSet, purpose="feed.personal", opted_out=True)
    log.append(PermissionObserved, permission="camera", state=PermissionState.ON, device="phone")
    log.append(PermissionObserved, permission="location", state=PermissionState.LIMITED)
    log.append(SubjectQuarantined, position="consent-intake.app-0@7", error="truncated", actor=OPERATOR)
    return log.append(AgeAsserted, source=AgeSource.DECLARED, age_band=AgeBand.ADULT)
