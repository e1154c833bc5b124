"""Whom a revision would concern, before it is published: who is asked again, and who has to accept. Pure."""

from typing import Self

import msgspec

from consentry.decision.age import age_of
from consentry.decision.consent import standing_of
from consentry.decision.grants import Terms
from consentry.policy import LEAVING, Changes, Policies, Policy, Purpose, RecipientRole, changes_between
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, Cell, Reason, Status


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A revision that is not published, beside the version that it would follow."""

    policies: Policies
    """what is published"""
    former: Policy
    policy: Policy
    changes: Changes

    @classmethod
    def of(cls, policy: Policy, policies: Policies) -> Self:
        """`policy` follows the last of `policies`, which has one at least."""
        former = policies.revisions[-1].policy
        return cls(policies=policies, former=former, policy=policy, changes=changes_between(former, policy))


class Concern(msgspec.Struct, frozen=True, gc=False):
    """What a revision would mean for one subject."""

    asked_again: tuple[str, ...] = ()
    """purposes with a consent that holds now and would be due again"""
    must_accept: bool = False
    """what reduces a right binds this subject only once it is accepted"""
    by_guardian: bool = False
    """it is a verified guardian who has to accept"""


def concern_of(row: SubjectState, proposal: Proposal, now: int) -> Concern:
    """For the subject of `row`, as it stands at `now` (ms since the epoch, UTC).

    A consent counts that holds under the former version, in a cell that needs one there, where the revision changes
    the cell materially. Who has not acted before the revision takes effect comes under it from the start.
    """
    if row.closed_at is not None or row.erased_at is not None:
        return Concern()
    first_act_at, age = row.first_act_at, age_of(row.circumstances, proposal.former)
    reduced = proposal.changes.reduces and first_act_at is not None and first_act_at < proposal.policy.effective_at
    return Concern(
        tuple(purpose for purpose, cells in _material_grants(row, proposal) if _any_holds(row, cells, proposal, now)),
        reduced,
        reduced and age is not None and not age.is_adult(now),
    )


def _material_grants(row: SubjectState, proposal: Proposal) -> list[tuple[str, list[Cell]]]:
    """By purpose: the cells of a grant, standing or not, that the revision changes materially."""
    found: dict[str, dict[Cell, None]] = {}
    for act in row.acts:
        line = proposal.former.purposes.get(act.block.purpose)
        if act.status is not Status.GIVEN or line is None:
            continue
        for cell in act.block.cells():
            if cell in proposal.changes.material and _needs_consent(line, cell):
                found.setdefault(cell.purpose, {})[cell] = None
    return [(purpose, list(cells)) for purpose, cells in found.items()]


def _needs_consent(line: Purpose, cell: Cell) -> bool:
    """Where necessity is enough a grant carries nothing, so nobody is asked for another."""
    if cell.data not in line.without_consent:
        return True
    if not cell.recipient:
        return cell.operation in LEAVING
    return line.role_of.get(cell.recipient) is not RecipientRole.ENTRUSTED


def _any_holds(row: SubjectState, cells: list[Cell], proposal: Proposal, now: int) -> bool:
    former = proposal.former
    age = age_of(row.circumstances, former)
    is_child = age is not None and age.now(now) is AgeBand.CHILD
    for cell in cells:
        line = former.purposes[cell.purpose]
        only_separately = cell.data in line.only_separately or cell.operation in LEAVING or is_child
        terms = Terms(cell, former.version, only_separately, line.protects_minors, proposal.policies, age)
        if standing_of(row, terms, now).reason is Reason.CONSENT:
            return True
    return False
