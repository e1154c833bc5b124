"""What a row says of a person besides consent, as a person may read it: age, guardians, acceptances, exemptions."""

from typing import TypedDict
from uuid import UUID

import msgspec

from consentry.decision.age import class_at, reaches
from consentry.policy import Policy
from consentry.state.row import AgeStatement, Circumstances, Invocation, Scope
from consentry.terms import ActorRole, AgeBand, AgeSource, Operation


class KnownAge(msgspec.Struct, frozen=True, kw_only=True):
    """The person's age now, by the lines of the policy in force. No birth date: a band is what answers hang on."""

    band: AgeBand
    source: AgeSource | None
    """of the statement that counts; null: nobody said it, and the band is assumed"""
    asserted_at: int | None
    """when that statement was recorded"""


class KnownGuardian(msgspec.Struct, frozen=True, kw_only=True):
    guardian: str
    linked_since: int
    verified_since: int | None
    """null: not verified, and then a guardian can only stop"""


class AcceptedVersion(msgspec.Struct, frozen=True, kw_only=True):
    policy_version: int
    actor_role: ActorRole
    actor_id: str
    recorded_at: int
    event_id: str


class StandingObjection(msgspec.Struct, frozen=True, kw_only=True):
    """An objection that was not rejected. A part that is empty means every one."""

    event_id: str
    actor_role: ActorRole
    recorded_at: int
    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]


class InvokedExemption(msgspec.Struct, frozen=True, kw_only=True):
    """An exemption that was invoked; its legal reference stands in the log, under the event's id."""

    event_id: str
    code: str
    purpose: str
    """empty: whatever the purpose"""
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    recorded_at: int
    valid_until: int
    """from then on it is over"""


class EndedExemption(msgspec.Struct, frozen=True, kw_only=True):
    """What ended exemptions of a code before their time. A part that is empty means every one."""

    event_id: str
    code: str
    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    recorded_at: int


def known_age(facts: Circumstances, policy: Policy | None, now: int) -> KnownAge | None:
    """None while no policy says where the lines are."""
    if policy is None:
        return None
    said = None
    for statement in facts.ages:
        band = _said(statement, policy, now)
        if band is not None and band is class_at(facts, policy, now, statement.offset):
            said = statement  # heeded: what a statement cannot raise leaves a lower band standing
    return KnownAge(
        band=class_at(facts, policy, now),
        source=None if said is None else said.source,
        asserted_at=None if said is None else said.recorded_at,
    )


def _said(statement: AgeStatement, policy: Policy, now: int) -> AgeBand | None:
    """What one statement alone says of now; None: a band asserted for later."""
    if statement.birth_date is None:
        return statement.band if statement.occurred_at <= now else None
    if now >= reaches(statement.birth_date, policy.guardian_required_below, policy.time_zone):
        return AgeBand.ADULT
    of_age_for_law = now >= reaches(statement.birth_date, policy.sensitive_below, policy.time_zone)
    return AgeBand.MINOR if of_age_for_law else AgeBand.CHILD


def known_guardians(facts: Circumstances) -> tuple[KnownGuardian, ...]:
    """Who is linked now."""
    return tuple(
        KnownGuardian(
            guardian=each.guardian,
            linked_since=each.linked_at,
            verified_since=each.verified_at if each.verified else None,
        )
        for each in facts.guardianships
        if each.linked
    )


def accepted_versions(facts: Circumstances) -> tuple[AcceptedVersion, ...]:
    return tuple(
        AcceptedVersion(
            policy_version=each.policy_version,
            actor_role=each.actor_role,
            actor_id=each.actor_id,
            recorded_at=each.recorded_at,
            event_id=id_of(each.event_id),
        )
        for each in facts.acceptances
    )


def standing_objections(facts: Circumstances) -> tuple[StandingObjection, ...]:
    return tuple(
        StandingObjection(
            event_id=id_of(each.event_id),
            actor_role=each.actor_role,
            recorded_at=each.recorded_at,
            **_parts(each.scope),
        )
        for each in facts.objections
    )


def invoked_exemptions(facts: Circumstances, now: int) -> tuple[InvokedExemption, ...]:
    """Those whose time is not over."""
    return tuple(_invoked(each) for each in facts.invocations if now < each.valid_until)


def _invoked(invocation: Invocation) -> InvokedExemption:
    return InvokedExemption(
        event_id=id_of(invocation.event_id),
        code=invocation.code,
        recorded_at=invocation.recorded_at,
        valid_until=invocation.valid_until,
        **_parts(invocation.scope),
    )


def ended_exemptions(facts: Circumstances) -> tuple[EndedExemption, ...]:
    return tuple(
        EndedExemption(
            event_id=id_of(each.event_id), code=each.code, recorded_at=each.recorded_at, **_parts(each.scope)
        )
        for each in facts.endings
    )


class _Parts(TypedDict):
    purpose: str
    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]


def _parts(scope: Scope) -> _Parts:
    return {
        "purpose": scope.purpose,
        "operations": scope.operations,
        "data": scope.data,
        "recipients": scope.recipients,
    }


def id_of(event_id: bytes) -> str:
    return str(UUID(bytes=event_id))
