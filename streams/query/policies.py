"""The policy's revisions, as anybody with a token may read them."""

import msgspec

from consentry.events import ControllerChanged, IncidentDeclared, PolicyRevised, ServiceDiscontinued
from consentry.policy import Policies, Revision
from streams.query.problems import Refusal


class RevisionSummary(msgspec.Struct, frozen=True, kw_only=True):
    policy: str
    version: int
    effective_at: int
    recorded_at: int
    position: str
    text_hash: str
    in_force: bool


class PolicyDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """What else concerns everybody, as it was declared."""

    position: str
    recorded_at: int
    declared: ServiceDiscontinued | ControllerChanged | IncidentDeclared


class PolicyRevisions(msgspec.Struct, frozen=True, kw_only=True):
    """Every version that was published, oldest first."""

    revisions: tuple[RevisionSummary, ...]
    discontinued_at: int | None
    """when the service ends, or has ended"""
    declarations: tuple[PolicyDeclaration, ...]
    """ends of the service, changes of the controller and incidents, oldest first"""


class PolicyRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One version, whole: the document that decides, and the wording that people read."""

    summary: RevisionSummary
    document: str
    text: str
    clause_hashes: dict[str, str]


def policy_revisions(policies: Policies, now: int) -> PolicyRevisions:
    current = policies.revision_in_force(now)
    return PolicyRevisions(
        revisions=tuple(_summary(revision, current) for revision in policies.revisions),
        discontinued_at=policies.discontinued_at,
        declarations=tuple(
            PolicyDeclaration(position=str(each.position), recorded_at=each.recorded_at, declared=each.event)
            for each in policies.declared
            if not isinstance(each.event, PolicyRevised)
        ),
    )


def policy_revision(version: int, policies: Policies, now: int) -> PolicyRevision:
    """Raises Refusal (404) where that version was not published."""
    for revision in policies.revisions:
        if revision.version == version:
            event = revision.event
            return PolicyRevision(
                summary=_summary(revision, policies.revision_in_force(now)),
                document=event.document,
                text=event.text,
                clause_hashes=event.clause_hashes,
            )
    raise Refusal(f"version {version} has not been published", status=404, code="NOT_FOUND")


def _summary(revision: Revision, current: Revision | None) -> RevisionSummary:
    return RevisionSummary(
        policy=revision.policy.id,
        version=revision.version,
        effective_at=revision.effective_at,
        recorded_at=revision.recorded_at,
        position=str(revision.position),
        text_hash=revision.event.text_hash,
        in_force=revision is current,
    )
