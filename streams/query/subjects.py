"""GET /v1/subjects/{subject}: what is known of one subject here and now, as a person may read it."""

from collections.abc import Iterator

import msgspec

from consentry.decision import Request, View
from consentry.decision.age import Age, age_of
from consentry.decision.opt_outs import standing_opt_outs
from consentry.decision.steps import Case, cell_standing, needs_no_consent
from consentry.errors import Problem
from consentry.intake import fault_of_subject, stored_subject
from consentry.policy import Policies, Policy, Purpose
from consentry.settings import Settings
from consentry.state.row import NO_CIRCUMSTANCES, SubjectState
from consentry.terms import PermissionState, Reason, Status
from streams.query.circumstances import (
    AcceptedVersion,
    EndedExemption,
    InvokedExemption,
    KnownAge,
    KnownGuardian,
    StandingObjection,
    accepted_versions,
    ended_exemptions,
    id_of,
    invoked_exemptions,
    known_age,
    known_guardians,
    standing_objections,
)
from streams.query.known_events import KnownEvent, known_events
from streams.query.problems import unreadable
from streams.query.seams import Replica


class CellStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one consent cell stands. Cells of which nothing is known are left out."""

    purpose: str
    operation: str
    data: str
    recipient: str
    status: Status
    reason: Reason
    """CONSENT, or why consent does not hold"""
    evidence: tuple[str, ...]
    """the ids of the events that made it so: of a minor's consent the own and a guardian's"""
    expires_at: int | None
    reaffirm_due: bool
    """it was given, with a guardian, before the person came of age, and stands; it should be given again"""


class SeenPermission(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    device: str
    """empty: said of all"""
    state: PermissionState
    recorded_at: int


class SubjectView(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    """as the log names it"""
    position: str
    """up to where the answer has seen the subject's partition"""
    tightened_position: str | None
    """what a later grant names as its expected_position"""
    staleness_ms: int | None
    policy_version: int | None
    closed_at: int | None
    erased_at: int | None
    quarantined: tuple[str, ...]
    """records that could not be taken in and have not been released; until then next to nothing is allowed"""
    age: KnownAge | None
    guardians: tuple[KnownGuardian, ...]
    accepted: tuple[AcceptedVersion, ...]
    """versions of the policy that the person, or a guardian, expressly accepted"""
    opted_out: tuple[str, ...]
    """purposes"""
    objections: tuple[StandingObjection, ...]
    exemptions: tuple[InvokedExemption, ...]
    exemptions_ended: tuple[EndedExemption, ...]
    permissions: tuple[SeenPermission, ...]
    cells: tuple[CellStatus, ...]
    events: tuple[KnownEvent, ...]
    """those that stand in the state, for evidence to be looked up"""


def subject_view(name: str, settings: Settings, replica: Replica, now: int) -> SubjectView:
    """Raises Refusal (400) where `name` is no subject."""
    fault = fault_of_subject(name, settings)
    if fault is not None:
        raise unreadable(Problem(fault, where="/subject"))
    subject = stored_subject(name, settings)
    return shown(subject, replica.view(subject, now), replica.policies, now)


def shown(subject: str, view: View, policies: Policies, now: int) -> SubjectView:
    """What a row says, by the policies given, at `now`."""
    row = view.row or SubjectState.unknown(subject, view.position.epoch, view.position.partition)
    tightened = row.tightened_position
    policy = policies.in_force(now)
    facts = row.circumstances or NO_CIRCUMSTANCES
    age = None if policy is None else age_of(row.circumstances, policy)
    return SubjectView(
        subject=subject,
        position=str(max(view.position, row.position)),
        tightened_position=None if tightened is None else str(tightened),
        staleness_ms=view.staleness_ms,
        policy_version=None if policy is None else policy.version,
        closed_at=row.closed_at,
        erased_at=row.erased_at,
        quarantined=row.quarantined,
        age=known_age(facts, policy, now),
        guardians=known_guardians(facts),
        accepted=accepted_versions(facts),
        opted_out=_opted_out(row, age),
        objections=standing_objections(facts),
        exemptions=invoked_exemptions(facts, now),
        exemptions_ended=ended_exemptions(facts),
        permissions=tuple(
            SeenPermission(name=seen.name, device=seen.device, state=seen.state, recorded_at=seen.recorded_at)
            for seen in row.permissions
        ),
        cells=() if policy is None else tuple(_cells(row, view, policy, policies, age, now)),
        events=known_events(row),
    )


def _opted_out(row: SubjectState, age: Age | None) -> tuple[str, ...]:
    purposes = sorted({opt_out.purpose for opt_out in row.opt_outs})
    return tuple(purpose for purpose in purposes if standing_opt_outs(row, purpose, age))


def _cells(
    row: SubjectState, view: View, policy: Policy, policies: Policies, age: Age | None, now: int
) -> Iterator[CellStatus]:
    """Cells that rest on consent: what necessity alone allows has no consent status."""
    for line in policy.purposes.values():
        for request in _requests(row.subject, line):
            (datum,) = request.data
            if needs_no_consent(line, request, datum):
                continue
            case = Case(request, view, row, policies, policy, line, age, policy.version, None, now)
            standing = cell_standing(case, datum)
            if standing.status is Status.UNKNOWN:
                continue
            yield CellStatus(
                purpose=line.name,
                operation=request.operation,
                data=datum,
                recipient=request.recipient or "",
                status=standing.status,
                reason=standing.reason,
                evidence=tuple(id_of(event_id) for event_id in standing.evidence),
                expires_at=standing.expires_at,
                reaffirm_due=standing.reaffirm_due,
            )


def consent_questions(question: Request, line: Purpose) -> Iterator[Request]:
    """The question, about each cell of the line that consent decides."""
    for each in _requests(question.subject, line):
        (datum,) = each.data
        if not needs_no_consent(line, each, datum):
            yield msgspec.structs.replace(
                question, operation=each.operation, data=each.data, recipient=each.recipient, form=line.form
            )


def _requests(subject: str, line: Purpose) -> Iterator[Request]:
    """A question about each cell of a line."""
    for operation in line.operations:
        for datum in line.data:
            for recipient in line.recipients or (None,):
                yield Request(
                    subject=subject, operation=operation, purpose=line.name, data=(datum,), recipient=recipient
                )
