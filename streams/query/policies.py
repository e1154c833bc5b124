"""The policy's revisions, as anybody with a token may read them."""

import msgspec

from consentry.errors import Problem
from consentry.events import ControllerChanged, IncidentDeclared, PolicyRevised, ServiceDiscontinued
from consentry.policy import Policies, Revision
from consentry.terms import Cell
from streams.differing import Difference, difference, lines_of
from streams.query.problems import Refusal, unreadable


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


class PolicyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """From one published version to a later one, step by step: what was changed and changed back counts too."""

    former: int
    version: int
    reduces: bool
    """one of the steps needs express acceptance"""
    material_cells: int
    """purpose x operation x data (x recipient) whose consent, if given under `former`, is due again"""
    steps: tuple[Difference, ...]


def policy_difference(former: int, version: int, policies: Policies) -> PolicyDifference:
    """Raises Refusal: 400 where the versions do not rise, 404 where one of them was not published."""
    if former >= version:
        raise unreadable(Problem("is not before the other one", where="/former", remedy="/v1/policies/1..2"))
    policy_of = {revision.version: revision.policy for revision in policies.revisions}
    for asked in (former, version):
        if asked not in policy_of:
            raise _not_published(asked)
    steps = [changes for changes in policies.changes if former < changes.version <= version]
    material = frozenset[Cell]().union(*(changes.material for changes in steps))
    return PolicyDifference(
        former=former,
        version=version,
        reduces=any(changes.reduces for changes in steps),
        material_cells=len(material),
        steps=tuple(difference(policy_of[changes.version], changes) for changes in steps),
    )


def text_of(found: PolicyDifference) -> str:
    """As people read it."""
    return "\n\n".join("\n".join(line.text for line in lines_of(step)) for step in found.steps) + "\n"


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
    raise _not_published(version)


def _not_published(version: int) -> Refusal:
    return Refusal(f"version {version} has not been published", status=404, code="NOT_FOUND")


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
