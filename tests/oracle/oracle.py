"""The oracle: may this be done? A list of rules, read beside the contract, over the whole history.

It knows the clauses and the contract, and nothing of `fold` and `decide`: no state is kept, and every rule looks
through the log again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from oracle.acts import acceptances, counted_marks, guardian_linked, guardians_grants, is_an_adults, opt_outs
from oracle.acts import voided_by_age as voided
from oracle.ages import ADULT, class_now
from oracle.consent import consent
from oracle.exemptions import exempt, exempt_after_the_end
from oracle.guardians import verified_now
from oracle.record import Entry, Log, read
from oracle.verdict import Case, Found, Verdict
from oracle.versions import PROTECTION, History, by_necessity, read_policies

from consentry.decision import Request
from consentry.events import (
    ExemptionInvoked,
    PermissionObserved,
    QuarantineReleased,
    Recorded,
    RecordedPolicyEvent,
    SubjectQuarantined,
)
from consentry.policy import LEAVING
from consentry.terms import Basis, Cell, Form, Operation, PermissionState, Position, Reason


def answer(
    events: Sequence[Recorded],
    policy_events: Sequence[RecordedPolicyEvent],
    request: Request,
    now: int,
    staleness_ms: int | None,
    seen: Position,
) -> Verdict:
    """May this be done, by these events and no others?"""
    log, history = read(events), read_policies(policy_events)
    in_force = history.in_force(now)
    if _is_not_yet_visible(request, seen):
        return _whole(history, now, request, [Found(1, allow=False, reason=Reason.NOT_YET_VISIBLE)])
    if in_force is None:
        return _whole(history, now, request, [Found(2, allow=False, reason=Reason.PURPOSE_UNKNOWN)])
    case = Case(log, history, in_force, in_force, request, now, staleness_ms, seen)
    former = _version_before_an_unaccepted_reduction(case)
    found = []
    for datum in request.data or ("",):
        answers = [_search(case, datum)]
        if former is not None:
            answers.insert(0, _search(former, datum))
        denials = [one for one in answers if not one.allow]
        found.append(min(denials, key=lambda one: one.step) if denials else answers[-1])
    return _whole(history, now, request, found)


def _is_not_yet_visible(request: Request, seen: Position) -> bool:
    asked = request.min_position
    return asked is not None and (asked[:2] != seen[:2] or asked.offset > seen.offset)


# --- the rules, in the contract's order; the first that matches answers ---

Rule = Callable[[Case, Cell], Found | None]


def _deny(step: int, reason: Reason, *evidence: frozenset[str]) -> Found:
    return Found(step, allow=False, reason=reason, evidence=evidence)


def unknown_purpose(case: Case, cell: Cell) -> Found | None:
    return _deny(2, Reason.PURPOSE_UNKNOWN) if cell.purpose not in case.lines.purposes else None


def stored_after_the_end(case: Case, cell: Cell) -> Found | None:
    has_ended = case.log.closed or case.log.erased or _is_discontinued(case)
    return exempt_after_the_end(case, cell) if has_ended else None


def closed(case: Case, cell: Cell) -> Found | None:
    return _deny(2, Reason.SUBJECT_CLOSED) if case.log.closed or case.log.erased else None


def discontinued(case: Case, cell: Cell) -> Found | None:
    return _deny(2, Reason.SERVICE_DISCONTINUED) if _is_discontinued(case) else None


def _is_discontinued(case: Case) -> bool:
    ends = case.history.discontinued_at
    return ends is not None and ends <= case.now


def not_covered(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if cell.operation not in line.operations or cell.data not in line.data:
        return _deny(4, Reason.DATA_NOT_COVERED)
    return None


def recipient_not_covered(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if cell.recipient not in (line.recipients or ("",)):
        return _deny(4, Reason.RECIPIENT_NOT_COVERED)
    return None


def identifiable_form(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if PROTECTION[_form(case.request)] < PROTECTION[line.form]:
        return _deny(4, Reason.IDENTIFIABLE_FORM)
    return None


def _form(request: Request) -> Form:
    return Form.IDENTIFIABLE if request.joined_with_identity else request.form


def no_mechanism(case: Case, cell: Cell) -> Found | None:
    if cell.operation is Operation.EXPORT and case.request.transfer_mechanism not in case.lines.transfer_mechanisms:
        return _deny(4, Reason.TRANSFER_MECHANISM_REQUIRED)
    return None


def not_personal(case: Case, cell: Cell) -> Found | None:
    request = case.request
    if (
        request.form is Form.ANONYMISED
        and request.joined_with_identity is False
        and case.lines.data[cell.data].anonymisable
        and cell.operation is not Operation.COLLECT
    ):
        return Found(5, allow=True, reason=Reason.NOT_PERSONAL_DATA)
    return None


def opted_out(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if line.basis is not Basis.CONSENT and not line.opt_out:
        return None
    standing = opt_outs(case, cell.purpose)
    return _deny(6, Reason.OPTED_OUT, frozenset(entry.id for entry in standing)) if standing else None


def guardian_required(case: Case, cell: Cell) -> Found | None:
    if class_now(case) == ADULT or case.lines.purposes[cell.purpose].protects_minors:
        return None
    verified = verified_now(case.log)
    if not any(entry.guardian in verified for entry in acceptances(case)):
        return _deny(7, Reason.GUARDIAN_REQUIRED)
    stops = [mark for mark in counted_marks(case, cell) if mark.guardian is not None]
    ends = [g for g in guardians_grants(case, cell) if not voided(case, g.entry)]
    if stops and not any(grant.entry.place > stops[-1].place for grant in ends):
        return _deny(7, Reason.GUARDIAN_REQUIRED)
    return None


def not_in_use(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if cell.operation is Operation.COLLECT and line.active and not case.request.active:
        return _deny(8, Reason.FEATURE_NOT_ACTIVE)
    return None


def permission_off(case: Case, cell: Cell) -> Found | None:
    permission = case.lines.purposes[cell.purpose].permission
    if cell.operation is not Operation.COLLECT or permission is None:
        return None
    return None if _permission_is_on(case.log, permission, case.request.device) else _deny(8, Reason.PERMISSION_OFF)


def _permission_is_on(log: Log, permission: str, device: str | None) -> bool:
    offs, ons = _observed(log, permission)

    def is_on(of: str | None) -> bool:
        last_off = max((e.place for e in offs if e.event.device in (of, None)), default=-1)  # type: ignore[union-attr]
        return any(e.place > last_off and e.event.device == of for e in ons)  # type: ignore[union-attr]

    devices = _known_devices(log)
    if not devices:
        return is_on(None)
    if device is None:
        return all(is_on(one) for one in devices)
    return device in devices and is_on(device)


def _known_devices(log: Log) -> set[str]:
    """Every device of which any permission was observed; what had no effect makes none known."""
    permissions = {e.event.permission for e in log if isinstance(e.event, PermissionObserved)}
    observed = [e for permission in permissions for es in _observed(log, permission) for e in es]
    return {e.event.device for e in observed if e.event.device is not None}  # type: ignore[union-attr]


def _observed(log: Log, permission: str) -> tuple[list[Entry], list[Entry]]:
    """Every off (or limited), and every on that had an effect."""
    seen = [e for e in log if isinstance(e.event, PermissionObserved) and e.event.permission == permission]
    offs = [e for e in seen if e.event.state is not PermissionState.ON]  # type: ignore[union-attr]
    return offs, [e for e in seen if e not in offs and _takes_effect(e, offs)]


def _takes_effect(on: Entry, offs: list[Entry]) -> bool:
    """Was it said with knowledge of every off before it, of its device or of all?"""
    of = (on.event.device, None)  # type: ignore[union-attr]
    before = [off for off in offs if off.place < on.place and off.event.device in of]  # type: ignore[union-attr]
    return not on.ahead and all(on.clock > off.at for off in before)


def necessary(case: Case, cell: Cell) -> Found | None:
    line = case.lines.purposes[cell.purpose]
    if by_necessity(case.lines, line, cell.operation, cell.data, cell.recipient):
        return Found(9, allow=True, reason=Reason.NECESSARY)
    return None


RULES: tuple[Rule, ...] = (
    unknown_purpose,  # 2
    stored_after_the_end,
    closed,
    discontinued,
    exempt,  # 3
    not_covered,  # 4
    recipient_not_covered,
    identifiable_form,
    no_mechanism,
    not_personal,  # 5
    opted_out,  # 6
    guardian_required,  # 7
    not_in_use,  # 8
    permission_off,
    necessary,  # 9
    consent,  # 10 and 11
)


def _search(case: Case, datum: str) -> Found:
    request = case.request
    cell = Cell(request.purpose, request.operation, datum, request.recipient or "")
    vetoed: Found | None = None
    for rule in RULES:
        found = rule(case, cell)
        if found is None:
            continue
        if not found.allow:
            return vetoed or found
        veto = _veto(case, found)
        if veto is None:
            return found
        vetoed = vetoed or _deny(found.step, veto)
    assert vetoed is not None, "step 10 always answers"
    return vetoed


def _veto(case: Case, found: Found) -> Reason | None:
    line = case.lines.purposes[case.request.purpose]
    spared = found.reason is Reason.EXEMPT or (found.reason is Reason.NECESSARY and line.protects_minors)
    if _is_quarantined(case.log) and not spared:
        return Reason.QUARANTINED
    bound = {
        Reason.EXEMPT: case.lines.freshness.exemption_ms,
        Reason.NECESSARY: case.lines.freshness.necessity_ms,
    }.get(found.reason, case.lines.freshness.consent_ms)
    if case.staleness_ms is None or case.staleness_ms > bound:
        return Reason.STALE
    return None


def _is_quarantined(log: Log) -> bool:
    waiting: set[str] = set()
    for entry in log:
        if isinstance(entry.event, SubjectQuarantined):
            waiting.add(entry.event.position)
        elif isinstance(entry.event, QuarantineReleased):
            waiting.discard(entry.event.position)
    return bool(waiting)


# --- rights that a revision reduced ---


def _version_before_an_unaccepted_reduction(case: Case) -> Case | None:
    """The version that has to allow as well, until the person accepts the smallest reduction."""
    if _is_a_bare_stub(case.log):
        return None
    acts = [e.clock for e in case.log if e.own or guardian_linked(case.log, e)]
    first_act = min(acts, default=None)
    for number in case.history.reductions(case.now):
        if first_act is None or first_act >= case.history.version(number).effective_at:
            continue
        former = replace(case, lines=case.history.version(number - 1), ages={})
        if not _accepted(former, number):
            return former
    return None


def _is_a_bare_stub(log: Log) -> bool:
    """Nothing is kept of the person, not even when they first came: the version in force says why all is denied."""
    return log.erased or (log.closed and not any(isinstance(entry.event, ExemptionInvoked) for entry in log))


def _accepted(former: Case, number: int) -> bool:
    minor = class_now(former) != ADULT
    verified = verified_now(former.log)
    for entry in acceptances(former):
        if entry.event.policy_version < number:  # type: ignore[union-attr]
            continue
        if entry.guardian in verified or (not minor and entry.own and is_an_adults(former, entry)):
            return True
    return False


# --- the whole answer ---


def _whole(history: History, now: int, request: Request, found: list[Found]) -> Verdict:
    results = tuple(_verdict(history, now, request, one) for one in found)
    denials = [one for one in results if not one.allow]
    first = min(denials, key=lambda one: one.step) if denials else results[0]
    return replace(first, results=results)


def _verdict(history: History, now: int, request: Request, found: Found) -> Verdict:
    policy = history.in_force(now)
    if policy is None:
        policy = history.versions[0] if history.versions else None
    clauses: set[str] = set()
    if policy is None:
        clauses.add("")
    elif not found.allow:
        clauses.add(policy.clause_of[found.reason])
    elif found.reason is Reason.EXEMPT:
        admitted = [policy.exemptions[code] for code in found.codes]
        leaves = request.operation in LEAVING
        clauses |= {(one.leaving or "") if leaves else one.clause for one in admitted}
    else:
        clauses.add(policy.purposes[request.purpose].clause)
    return Verdict(found.allow, found.reason, frozenset(clauses), found.evidence, found.step, found.reaffirm)
