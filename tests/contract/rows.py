"""A state row with something in each of its groups."""

from unit.folding import COLLECT, MOTHER, OPERATOR, USE, Log

from consentry.events import (
    AgeAsserted,
    ConsentGiven,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    RightsRequested,
    SubjectQuarantined,
)
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, AgeSource, Expression, PermissionState, Right


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
    log.append(AgeAsserted, source=AgeSource.DECLARED, age_band=AgeBand.CHILD)
    log.append(AgeAsserted, source=AgeSource.VERIFIED, birth_date="2015-02-28", actor=OPERATOR)
    _guarded(log)
    return _exempted(log)


def _guarded(log: Log) -> None:
    for guardian in (MOTHER.id, "account:bob"):
        log.append(GuardianLinked, guardian=guardian, relation="parent", actor=OPERATOR)
        log.append(GuardianVerified, guardian=guardian, method="id card", actor=OPERATOR)
    log.append(GuardianUnlinked, guardian="account:bob", reason="moved", actor=OPERATOR)
    log.append(PolicyAccepted, policy_version=2, actor=MOTHER)
    log.append(PreferenceSet, purpose="feed.personal", opted_out=False, actor=MOTHER)
    last = str(log.state.tightened_position)
    feed = {"purpose": "feed.city", "operations": (USE,), "data": ("tags",)}
    given = {"policy_version": 2, "expression": Expression.EXPRESSED, "expected_position": last}
    log.append(ConsentGiven, **feed, **given, actor=MOTHER)


def _exempted(log: Log) -> SubjectState:
    log.append(RightsRequested, right=Right.OBJECTION, purpose="feed.city", data=("tags",), recipients=("adnet",))
    order = {"legal_ref": "court order 7", "approver": "operator-2", "actor": OPERATOR}
    whole = {"operations": (COLLECT, USE), "data": ("gps", "tags"), "recipients": ("police",)}
    log.append(ExemptionInvoked, code="c", **whole, valid_until=1_893_456_000_000, **order)
    return log.append(ExemptionEnded, code="c", operations=(USE,), data=("gps",), purpose="feed.nearby", **order)
