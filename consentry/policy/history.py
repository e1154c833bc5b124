"""Policies: what policy-revisions has said so far. Immutable; each record gives the next one."""

from typing import Self, assert_never

import msgspec

from consentry.errors import InvalidPolicy
from consentry.events import (
    ControllerChanged,
    IncidentDeclared,
    PolicyRevised,
    RecordedPolicyEvent,
    ServiceDiscontinued,
)
from consentry.policy.changes import Changes, changes_between
from consentry.policy.document import Policy
from consentry.policy.parse import parse_policy
from consentry.terms import Cell, Position


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A published version: the policy as it was parsed, and the record that published it."""

    version: int
    effective_at: int
    recorded_at: int
    position: Position
    policy: Policy
    event: PolicyRevised
    """document, wording and their hashes, as published"""


class Period(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stretch of time within which time alone changes nothing of the terms."""

    begins_at: int
    ends_at: int | None
    """when the next one begins; None: there is none yet"""
    policy: Policy | None
    """the version in force; None: none is yet"""
    discontinued: bool
    """the service has ended"""


BEGINNING_OF_TIME = -(2**63)


def _periods(revisions: tuple[Revision, ...], discontinued_at: int | None) -> tuple[Period, ...]:
    """The latest first; together they hold every moment."""
    begin = {BEGINNING_OF_TIME, *(revision.effective_at for revision in revisions)}
    if discontinued_at is not None:
        begin.add(discontinued_at)
    periods: list[Period] = []
    ends_at: int | None = None
    for begins_at in sorted(begin, reverse=True):
        in_force = [revision.policy for revision in revisions if revision.effective_at <= begins_at]
        periods.append(
            Period(
                begins_at=begins_at,
                ends_at=ends_at,
                policy=in_force[-1] if in_force else None,
                discontinued=discontinued_at is not None and discontinued_at <= begins_at,
            )
        )
        ends_at = begins_at
    return tuple(periods)


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Every version published so far, and what else concerns everybody."""

    position: Position | None = None
    """of the last record seen"""
    revisions: tuple[Revision, ...] = ()
    """oldest first; versions and times of effect both rise"""
    changes: tuple[Changes, ...] = ()
    """what each revision changes in the one before it; the first changes nothing"""
    reducing: tuple[tuple[int, int], ...] = ()
    """of each revision that reduces rights: when it takes effect, and its version"""
    discontinued_at: int | None = None
    """from then on the service is discontinued"""
    periods: tuple[Period, ...] = _periods((), None)
    """derived, as `decide` looks them up; the latest first"""
    controller_changes: tuple[ControllerChanged, ...] = ()
    incidents: tuple[IncidentDeclared, ...] = ()
    declared: tuple[RecordedPolicyEvent, ...] = ()
    """whatever is no revision, as it was recorded, oldest first"""
    ignored: tuple[Position, ...] = ()
    """of revisions that do not follow: two publishers at once, and the other was first"""

    def after(self, recorded: RecordedPolicyEvent) -> Self:
        """These and one record more; a record already seen changes nothing.

        Raises InvalidPolicy when the document cannot be read: who cannot read the terms must not answer.
        """
        if self.position is not None and recorded.position <= self.position:
            return self
        position, declared = recorded.position, (*self.declared, recorded)
        match recorded.event:
            case PolicyRevised() as event:
                return self._after_revision(event, recorded)
            case ServiceDiscontinued() as event:
                first = event.effective_at
                if self.discontinued_at is not None:
                    first = min(first, self.discontinued_at)
                return msgspec.structs.replace(
                    self,
                    position=position,
                    declared=declared,
                    discontinued_at=first,
                    periods=_periods(self.revisions, first),
                )
            case ControllerChanged() as event:
                changes = (*self.controller_changes, event)
                return msgspec.structs.replace(self, position=position, declared=declared, controller_changes=changes)
            case IncidentDeclared() as event:
                incidents = (*self.incidents, event)
                return msgspec.structs.replace(self, position=position, declared=declared, incidents=incidents)
            case other:
                assert_never(other)

    def _after_revision(self, event: PolicyRevised, recorded: RecordedPolicyEvent) -> Self:
        try:
            policy = parse_policy(event.document)
        except InvalidPolicy as fault:
            raise InvalidPolicy(fault.what, where=f"{recorded.position}: {fault.where}", remedy=fault.remedy) from fault
        stated = (event.policy, event.version, event.effective_at)
        if stated != (policy.id, policy.version, policy.effective_at):
            raise InvalidPolicy(f"the record states {stated}, its document differs", where=str(recorded.position))
        if not self._follows(policy):
            return msgspec.structs.replace(self, position=recorded.position, ignored=(*self.ignored, recorded.position))
        revision = Revision(
            version=policy.version,
            effective_at=policy.effective_at,
            recorded_at=recorded.recorded_at,
            position=recorded.position,
            policy=policy,
            event=event,
        )
        changes = (
            changes_between(self.revisions[-1].policy, policy)
            if self.revisions
            else Changes(former=0, version=policy.version)
        )
        revisions, reducing = (*self.revisions, revision), self.reducing
        if changes.reduces:
            reducing = (*reducing, (policy.effective_at, policy.version))
        return msgspec.structs.replace(
            self,
            position=recorded.position,
            revisions=revisions,
            changes=(*self.changes, changes),
            reducing=reducing,
            periods=_periods(revisions, self.discontinued_at),
        )

    def _follows(self, policy: Policy) -> bool:
        if not self.revisions:
            return policy.version == 1
        last = self.revisions[-1]
        return (
            policy.id == last.policy.id
            and policy.version == last.version + 1
            and policy.effective_at > last.effective_at
        )

    def revision_in_force(self, at_ms: int) -> Revision | None:
        """The revision whose terms hold at `at_ms`; None before the first takes effect."""
        for revision in reversed(self.revisions):
            if revision.effective_at <= at_ms:
                return revision
        return None

    def period_at(self, at_ms: int) -> Period:
        for period in self.periods:
            if period.begins_at <= at_ms:
                return period
        return self.periods[-1]

    def in_force(self, at_ms: int) -> Policy | None:
        return self.period_at(at_ms).policy

    def version(self, number: int) -> Policy | None:
        """A published version, in force or not."""
        # Versions rise by one from 1, so a version's place is known.
        return self.revisions[number - 1].policy if 0 < number <= len(self.revisions) else None

    def reductions(self, at_ms: int) -> tuple[int, ...]:
        """Versions that reduce rights and have taken effect at `at_ms`, ascending."""
        if not self.reducing:
            return ()
        return tuple([version for effective_at, version in self.reducing if effective_at <= at_ms])

    def material_since(self, cell: Cell, version: int, upto: int) -> bool:
        """Did a version after `version`, up to and with `upto`, change what a consent to the cell covers?"""
        # Version n stands at place n - 1, so the slice begins with the version after `version`.
        for changes in self.changes[version:upto]:  # noqa: SIM110  (a generator costs a check twice as much)
            if cell in changes.material:
                return True
        return False

    def changes_after(self, at_ms: int) -> int | None:
        """When the terms next change by time alone: a version takes effect, or the service ends."""
        return self.period_at(at_ms).ends_at
