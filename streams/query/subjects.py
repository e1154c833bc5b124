"""GET /v1/subjects/{subject}: what is known of one subject here and now, as a person may read it."""

from collections.abc import Iterator
from uuid import UUID

import msgspec

from consentry.decision.consent import Terms, standing_of
from consentry.errors import Problem
from consentry.intake import fault_of_subject, stored_subject
from consentry.policy import Policies, Policy, Purpose
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Cell, PermissionState, Reason, Status
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
    evidence: str | None
    """the id of the event that made it so"""
    expires_at: int | None


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
    not_weighed: tuple[str, ...]
    """types of events that this version cannot weigh yet: nothing is allowed while there are any"""
    opted_out: tuple[str, ...]
    permissions: tuple[SeenPermission, ...]
    cells: tuple[CellStatus, ...]


def subject_view(name: str, settings: Settings, replica: Replica, now: int) -> SubjectView:
    """Raises Refusal (400) where `name` is no subject."""
    fault = fault_of_subject(name, settings)
    if fault is not None:
        raise unreadable(Problem(fault, where="/subject"))
    subject = stored_subject(name, settings)
    view = replica.view(subject, now)
    partition = view.position.partition
    row = view.row or SubjectState.unknown(subject, view.position.epoch, partition)
    tightened = row.tightened_position
    policy = replica.policies.in_force(now)
    return SubjectView(
        subject=subject,
        position=str(max(view.position, row.position)),
        tightened_position=None if tightened is None else str(tightened),
        staleness_ms=view.staleness_ms,
        policy_version=None if policy is None else policy.version,
        closed_at=row.closed_at,
        erased_at=row.erased_at,
        quarantined=row.quarantined,
        not_weighed=row.uninterpreted,
        opted_out=tuple(sorted({opt_out.purpose for opt_out in row.opt_outs})),
        permissions=tuple(
            SeenPermission(name=seen.name, device=seen.device, state=seen.state, recorded_at=seen.recorded_at)
            for seen in row.permissions
        ),
        cells=() if policy is None else tuple(_cells(row, policy, replica.policies, now)),
    )


def _cells(row: SubjectState, policy: Policy, policies: Policies, now: int) -> Iterator[CellStatus]:
    for line in policy.purposes.values():
        for cell in _cells_of(line):
            terms = Terms(policy.version, cell.data in line.only_separately, policies)
            standing = standing_of(row, cell, terms, now)
            if standing.status is Status.UNKNOWN:
                continue
            yield CellStatus(
                purpose=cell.purpose,
                operation=cell.operation,
                data=cell.data,
                recipient=cell.recipient,
                status=standing.status,
                reason=standing.reason,
                evidence=None if standing.evidence is None else _text_of(standing.evidence),
                expires_at=standing.expires_at,
            )


def _cells_of(line: Purpose) -> Iterator[Cell]:
    """The cells that rest on consent: what necessity alone allows has no consent status."""
    for operation in line.operations:
        for data in line.data:
            if data in line.without_consent and not line.recipients:
                continue
            for recipient in line.recipients or ("",):
                yield Cell(line.name, operation, data, recipient)


def _text_of(event_id: bytes) -> str:
    return str(UUID(bytes=event_id))
