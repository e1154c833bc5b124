"""A minor's consent: the own half and a guardian's, and what of it stands when the subject comes of age (7.b). Pure."""

import msgspec

from consentry.decision.age import Age
from consentry.decision.grants import (
    ORDER_OF_LACKS,
    STATUS_OF_LACK,
    Grants,
    Lack,
    Standing,
    Terms,
    changes_at,
    first_of,
    is_over,
    lack_of,
    strongest,
)
from consentry.decision.guardians import a_guardian_stands
from consentry.decision.stops import REASON_OF_STOP, own_stop
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, Reason, Status

_CONSENT, _GIVEN = Reason.CONSENT, Status.GIVEN


def standing_by_age(
    row: SubjectState, own: Grants, by_guardians: Grants, terms: Terms, age: Age, now: int
) -> Standing | None:
    """None: of the grants none is left, and none was voided after the last stop."""
    lowering = age.lowering
    by_guardians = [grant for grant in by_guardians if age.wards_act(grant.occurred_at, grant.recorded_at)]
    if lowering is not None:
        kept_own, kept_by_guardians = _not_voided(own, age), _not_voided(by_guardians, age)
        if not kept_own and not kept_by_guardians and (own or by_guardians):
            return Standing(Reason.INVALIDATED, Status.INVALIDATED, (lowering.event_id,))
        own, by_guardians = kept_own, kept_by_guardians
    if not own and not by_guardians:
        return None
    band = age.now(now)
    if band is AgeBand.ADULT:
        return _of_who_came_of_age(row, own, by_guardians, terms, age, now)
    return _of_minor(row, own, by_guardians, terms, age, band, now)


def _not_voided(grants: Grants, age: Age) -> Grants:
    lowering = age.lowering
    assert lowering is not None
    return [grant for grant in grants if not lowering.voids(grant.offset, grant.occurred_at, informed=grant.informed)]


def _of_minor(
    row: SubjectState, own: Grants, by_guardians: Grants, terms: Terms, age: Age, band: AgeBand, now: int
) -> Standing:
    """7.b: both halves, each by itself; below the law's line the guardian's alone, where no own stop stands."""
    if terms.protects_minors and own:
        standing = strongest(own, terms, now)
        if standing.reason is _CONSENT:
            return standing
    if band is AgeBand.CHILD:
        alone = [grant for grant in by_guardians if age.childs_act(grant.occurred_at, grant.recorded_at, grant.offset)]
        if alone:
            refusal = own_stop(row, terms.cell, age)
            standing = strongest(alone, terms, now)
            if refusal is not None:
                return Standing(REASON_OF_STOP[refusal.status], refusal.status, (refusal.event_id,))
            if standing.reason is _CONSENT or not own:
                return standing
    if terms.protects_minors and own:
        return strongest(own, terms, now)
    return _both(own, by_guardians, terms, now)


def _both(own: Grants, by_guardians: Grants, terms: Terms, now: int) -> Standing:
    halves = [strongest(half, terms, now) for half in (own, by_guardians) if half]
    evidence = tuple(event_id for half in halves for event_id in half.evidence)
    changes = [half.expires_at for half in halves if half.expires_at is not None]
    lacks = [half for half in halves if half.reason is not _CONSENT]
    reasons = [half.reason for half in lacks]
    if not by_guardians:
        reasons.append(Reason.PENDING_GUARDIAN)
    if not own:
        reasons.append(Reason.PENDING_SUBJECT)
    if not reasons:
        return Standing(_CONSENT, _GIVEN, evidence, min(changes, default=None))
    reason = min(reasons, key=ORDER_OF_LACKS.index)
    at_fault = [half.evidence for half in lacks if half.reason is reason]
    changes = [at for grant in (*own, *by_guardians) if (at := changes_at(grant, terms.policies, now)) is not None]
    return Standing(reason, STATUS_OF_LACK[reason], at_fault[0] if at_fault else evidence, min(changes, default=None))


def _of_who_came_of_age(
    row: SubjectState, own: Grants, by_guardians: Grants, terms: Terms, age: Age, now: int
) -> Standing:
    """Guardians' authority has ended: what held the day before stands, and nothing becomes valid by growing up."""
    adults: Grants = []
    earlier: Grants = []
    for grant in own:
        of_age = age.adults_act(grant.occurred_at, grant.recorded_at, grant.offset)
        (adults if of_age else earlier).append(grant)
    standing = strongest(adults, terms, now) if adults else None
    if standing is not None and standing.reason is _CONSENT:
        return standing
    since = age.came_of_age(now)
    if since is not None:
        held = _held_before(row, own, by_guardians, terms, age, since, now)
        if held is not None:
            return held
    lacks = [Lack(lack_of(grant, terms, now) or _CONSENT, grant) for grant in adults]
    lacks += [
        Lack(Reason.EXPIRED if is_over(grant, now) else Reason.RECONSENT_DUE, grant)
        for grant in (*earlier, *by_guardians)
    ]
    return first_of(lacks, terms, now)


def _held_before(
    row: SubjectState,
    own: Grants,
    by_guardians: Grants,
    terms: Terms,
    age: Age,
    since: int,
    now: int,
) -> Standing | None:
    """The consent that held when the subject came of age, and holds still; it is due to be reaffirmed."""

    def before(grants: Grants) -> Grants:
        return [grant for grant in grants if grant.occurred_at < since and grant.recorded_at < since]

    own, by_guardians = before(own), before(by_guardians)
    if not own and not by_guardians:
        return None
    if not terms.protects_minors and not a_guardian_stands(row, terms.cell, age, before=since):
        return None
    band = age.at(since - 1)
    if band is AgeBand.CHILD:
        terms = msgspec.structs.replace(terms, only_separately=True)
    standing = _of_minor(row, own, by_guardians, terms, age, band, now)
    return msgspec.structs.replace(standing, reaffirm_due=True) if standing.reason is _CONSENT else None
