"""The policy's versions, and what each changed: straight from the contract's list of changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from consentry.events import ControllerChanged, PolicyRevised, RecordedPolicyEvent, ServiceDiscontinued
from consentry.policy import LEAVING, ClauseChange, Exemption, Policy, Purpose, RecipientRole, parse_policy
from consentry.terms import AgeBand, Basis, Cell, Form, Operation

PROTECTION = {Form.IDENTIFIABLE: 0, Form.DEIDENTIFIED: 1, Form.ANONYMISED: 2}
BAND = {AgeBand.CHILD: 0, AgeBand.MINOR: 1, AgeBand.ADULT: 2}


@dataclass(frozen=True, slots=True)
class History:
    """Every version that follows the one before it, with what else concerns everybody."""

    documents: tuple[str, ...]
    discontinued_at: int | None
    controller_changes: tuple[ControllerChanged, ...]

    @property
    def versions(self) -> tuple[Policy, ...]:
        return tuple(policy_of(document) for document in self.documents)

    def in_force(self, now: int) -> Policy | None:
        held = [policy for policy in self.versions if policy.effective_at <= now]
        return held[-1] if held else None

    def version(self, number: int) -> Policy:
        return policy_of(self.documents[number - 1])

    def reductions(self, now: int) -> list[int]:
        """Versions in force, or in force before, that reduce rights."""
        return [
            policy.version
            for policy in self.versions
            if policy.effective_at <= now
            and policy.version > 1
            and difference(self.documents[policy.version - 2], self.documents[policy.version - 1]).reduces
        ]

    def material_since(self, cell: Cell, version: int, upto: int) -> bool:
        """Did a version after `version`, up to `upto`, change this cell materially?"""
        return any(
            cell in difference(self.documents[number - 2], self.documents[number - 1]).material
            for number in range(version + 1, upto + 1)
        )


def read_policies(events: Sequence[RecordedPolicyEvent]) -> History:
    documents: list[str] = []
    ends: list[int] = []
    changes: list[ControllerChanged] = []
    for recorded in events:
        event = recorded.event
        if isinstance(event, PolicyRevised) and _follows(documents, policy_of(event.document)):
            documents.append(event.document)
        elif isinstance(event, ServiceDiscontinued):
            ends.append(event.effective_at)
        elif isinstance(event, ControllerChanged):
            changes.append(event)
    return History(tuple(documents), min(ends, default=None), tuple(changes))


def _follows(documents: list[str], policy: Policy) -> bool:
    if not documents:
        return policy.version == 1
    last = policy_of(documents[-1])
    return policy.id == last.id and policy.version == last.version + 1 and policy.effective_at > last.effective_at


@lru_cache(maxsize=4096)
def policy_of(document: str) -> Policy:
    return parse_policy(document)


@dataclass(frozen=True, slots=True)
class Difference:
    material: frozenset[Cell]
    reduces: bool


@lru_cache(maxsize=4096)
def difference(former: str, document: str) -> Difference:
    old, new = policy_of(former), policy_of(document)
    before, after = cells_of(old), cells_of(new)
    changed = {cell: _cell_changes(old, new, cell, is_new=cell not in before) for cell in after}
    everywhere = _is_material_everywhere(old, new)
    return Difference(
        material=frozenset(cell for cell, (material, _) in changed.items() if material or everywhere),
        reduces=any(reduces for _, reduces in changed.values()) or _reduces_as_a_whole(old, new),
    )


def cells_of(policy: Policy) -> set[Cell]:
    return {
        Cell(line.name, operation, datum, recipient)
        for line in policy.purposes.values()
        for operation, datum, recipient in product(line.operations, line.data, line.recipients or ("",))
    }


def by_necessity(policy: Policy, line: Purpose, operation: Operation, datum: str, recipient: str) -> bool:
    """Is it allowed without any consent?"""
    return (
        line.basis is Basis.NECESSITY
        and datum in line.necessary
        and not policy.data[datum].sensitive
        and (recipient or operation not in LEAVING)
        and (not recipient or line.role_of.get(recipient) is RecipientRole.ENTRUSTED)
    )


def _cell_changes(old: Policy, new: Policy, cell: Cell, *, is_new: bool) -> tuple[bool, bool]:
    """Is the change of this cell material, and does it reduce a right?"""
    line = new.purposes[cell.purpose]
    necessary_now = by_necessity(new, line, cell.operation, cell.data, cell.recipient)
    if is_new:
        anonymous = new.data[cell.data].anonymisable and cell.operation is not Operation.COLLECT
        return True, necessary_now or anonymous
    was = old.purposes[cell.purpose]
    found = [
        *_line_changes(was, line, necessary_now=necessary_now),
        *_datum_changes(old, new, was, line, cell, necessary_now=necessary_now),
    ]
    if new.clause_changes.get(line.clause) is ClauseChange.MATERIAL:
        found.append((True, False))
    return any(material for material, _ in found), any(reduces for _, reduces in found)


def _line_changes(was: Purpose, line: Purpose, *, necessary_now: bool) -> list[tuple[bool, bool]]:
    table = [
        # what changed, does it reduce a right (all of these are material)
        (was.basis is Basis.CONSENT and line.basis is Basis.NECESSITY, necessary_now),
        (was.separate and not line.separate, True),
        (was.opt_out and not line.opt_out, True),
        (line.protects_minors and not was.protects_minors, True),
        (was.active and not line.active, necessary_now),
        (was.permission is not None and line.permission != was.permission, necessary_now),
        (PROTECTION[line.form] < PROTECTION[was.form], necessary_now),
    ]
    return [(True, reduces) for changed, reduces in table if changed]


def _datum_changes(
    old: Policy, new: Policy, was: Purpose, line: Purpose, cell: Cell, *, necessary_now: bool
) -> list[tuple[bool, bool]]:
    before, now = old.data[cell.data], new.data[cell.data]
    on_necessity = line.basis is Basis.NECESSITY
    table = [
        (cell.data in was.optional and cell.data in line.necessary, on_necessity),
        (now.sensitive and not before.sensitive, False),
        (before.sensitive and not now.sensitive, True),
        (now.anonymisable and not before.anonymisable, True),
        (now.dpv != before.dpv, False),
    ]
    found = [(True, reduces) for changed, reduces in table if changed]
    if cell.recipient and was.role_of[cell.recipient] is not line.role_of[cell.recipient]:
        to_entrusted = line.role_of[cell.recipient] is RecipientRole.ENTRUSTED
        from_entrusted = was.role_of[cell.recipient] is RecipientRole.ENTRUSTED
        if not (from_entrusted and was.basis is Basis.NECESSITY):
            found.append((True, to_entrusted and on_necessity))
    return found


def _is_material_everywhere(old: Policy, new: Policy) -> bool:
    return (
        new.retention_after_end_ms > old.retention_after_end_ms
        or new.storage_location != old.storage_location
        or new.jurisdiction != old.jurisdiction
        or new.controller.id != old.controller.id
    )


def _reduces_as_a_whole(old: Policy, new: Policy) -> bool:
    freshness = [
        (old.freshness.consent_ms, new.freshness.consent_ms),
        (old.freshness.exemption_ms, new.freshness.exemption_ms),
        (old.freshness.necessity_ms, new.freshness.necessity_ms),
    ]
    return (
        bool(set(new.transfer_mechanisms) - set(old.transfer_mechanisms))
        or any(after > before for before, after in freshness)
        or new.notice_period_ms < old.notice_period_ms
        or new.prompt_cooldown_ms < old.prompt_cooldown_ms
        or new.guardian_required_below != old.guardian_required_below
        or new.sensitive_below != old.sensitive_below
        or new.time_zone != old.time_zone
        or BAND[new.unknown_age] > BAND[old.unknown_age]
        or (old.strict_purpose_change and not new.strict_purpose_change)
        or any(_is_wider(old.exemptions.get(code), exemption) for code, exemption in new.exemptions.items())
    )


def _is_wider(old: Exemption | None, new: Exemption) -> bool:
    return (
        old is None
        or bool(set(new.operations) - set(old.operations))
        or (old.guardian and not new.guardian)
        or (new.after_closure and not old.after_closure)
        or (new.leaving is not None and old.leaving is None)
        or (old.voided_by_objection and not new.voided_by_objection)
    )
