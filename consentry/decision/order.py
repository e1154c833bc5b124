"""decide: the contract's order of steps. Total and pure: no I/O, no clock, no logs; doubt is a DENY.

Steps that this engine cannot weigh yet answer NOT_IMPLEMENTED in their place, never an ALLOW.
"""

import msgspec

from consentry.decision.answer import DatumResult, Decision, Duty, Prompt, Request, View
from consentry.decision.consent import NEVER_ASKED, Standing, Terms, standing_of
from consentry.decision.permission import permission_lacks
from consentry.decision.prompt import NOT_NOW, prompt_of
from consentry.events import ExemptionInvoked
from consentry.policy import LEAVING, Policies, Policy, Purpose
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, Basis, Cell, Form, Operation, Position, Reason, Status

OBLIGATIONS_OF = {
    Reason.WITHDRAWN: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE),
    Reason.REVOKED: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE),
    Reason.INVALIDATED: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE),
    Reason.EXPIRED: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE, Duty.ASK_AGAIN),
    Reason.OPTED_OUT: (Duty.STOP_PROCESSING,),
    Reason.SUBJECT_CLOSED: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE),
    Reason.SERVICE_DISCONTINUED: (Duty.STOP_PROCESSING, Duty.DELETE_OR_ANONYMISE),
}
# Looked up once: an enum's attribute costs a check several times what a name costs.
_CONSENT, _CONSENT_BASIS, _COLLECT = Reason.CONSENT, Basis.CONSENT, Operation.COLLECT
_IDENTIFIABLE, _ADULT = Form.IDENTIFIABLE, AgeBand.ADULT
CONSENT_STEP = 10
EXEMPTION_INVOKED = ExemptionInvoked.__name__


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What the search found for one data category, and at which step."""

    step: int
    reason: Reason
    allow: bool = False
    clause: str = ""
    basis: Basis | None = None
    status: Status = Status.UNKNOWN
    evidence: tuple[str, ...] = ()
    expires_at: int | None = None
    consent_missing: bool = False
    """consent would be needed and does not hold"""


class Case(msgspec.Struct, frozen=True, gc=False):
    """A question with all that its answer depends on."""

    request: Request
    view: View
    row: SubjectState | None
    policies: Policies
    policy: Policy
    line: Purpose
    now: int


def decide(view: View, policies: Policies, request: Request, now: int) -> Decision:
    """The answer at `now` (ms since the epoch, UTC) for what `view` knows; DENY by default."""
    policy = policies.in_force(now)
    line = None if policy is None else policy.purposes.get(request.purpose)
    if _foreign(view, request):
        view = View(None, view.position, view.staleness_ms)
        early: Finding | None = Finding(1, Reason.NOT_YET_VISIBLE)
    else:
        early = _before_any_datum(view, policies, policy, line, request, now)
    if early is not None or policy is None or line is None:
        finding = early or Finding(2, Reason.PURPOSE_UNKNOWN)
        return _answer(view, policies, policy, request, now, (finding,) * len(request.data), finding)
    case = Case(request, view, view.row, policies, policy, line, now)
    findings = tuple([_weigh(case, datum) for datum in request.data])
    return _answer(view, policies, policy, request, now, findings, _leading(findings), _prompt(case, findings))


def _leading(findings: tuple[Finding, ...]) -> Finding:
    """All or nothing: of denials the first by step, then by place; an ALLOW rests on its most demanding part."""
    if len(findings) == 1:
        return findings[0]
    denials = [finding for finding in findings if not finding.allow]
    if denials:
        return min(denials, key=_step)
    evidence = dict.fromkeys(event for finding in findings for event in finding.evidence)
    return msgspec.structs.replace(max(findings, key=_step), evidence=tuple(evidence))


def _before_any_datum(
    view: View, policies: Policies, policy: Policy | None, line: Purpose | None, request: Request, now: int
) -> Finding | None:
    """Steps 1 and 2, and the question without data."""
    row, wanted = view.row, request.min_position
    if wanted is not None:
        seen = _seen(view)
        if wanted[:2] != seen[:2] or wanted.offset > seen.offset:
            return Finding(1, Reason.NOT_YET_VISIBLE)
    if policy is None or line is None:
        return Finding(2, Reason.PURPOSE_UNKNOWN)
    exempt_storage = (
        request.operation is Operation.STORE
        and row is not None
        and EXEMPTION_INVOKED in row.uninterpreted
        and any(each.after_closure and Operation.STORE in each.operations for each in policy.exemptions.values())
    )
    if row is not None and (row.closed_at is not None or row.erased_at is not None):
        if row.erased_at is not None or not exempt_storage:
            return Finding(2, Reason.SUBJECT_CLOSED, status=Status.CLOSED)
    elif policies.discontinued_at is None or now < policies.discontinued_at:
        return None if request.data else Finding(4, Reason.DATA_NOT_COVERED)
    elif not exempt_storage:
        return Finding(2, Reason.SERVICE_DISCONTINUED)
    return Finding(3, Reason.NOT_IMPLEMENTED) if request.data else Finding(4, Reason.DATA_NOT_COVERED)


def _foreign(view: View, request: Request) -> bool:
    """A row of another epoch, partition or subject proves nothing."""
    row, position = view.row, view.position
    return row is not None and (row.position[:2] != position[:2] or row.subject != request.subject)


def _seen(view: View) -> Position:
    """The position the answer is taken at: a row may be ahead of its partition's watermark, never behind."""
    row = view.row
    return view.position if row is None or row.position <= view.position else row.position


def _weigh(case: Case, datum: str) -> Finding:
    """Steps 3 to 11 for one data category; the first match answers."""
    return _steps_3_to_6(case, datum) or _steps_7_and_8(case) or _steps_9_to_11(case, datum)


def _steps_3_to_6(case: Case, datum: str) -> Finding | None:
    request, row, line = case.request, case.row, case.line
    operation = request.operation
    if row is not None and EXEMPTION_INVOKED in row.uninterpreted and _exemptible(case.policy, operation):
        return Finding(3, Reason.NOT_IMPLEMENTED)
    if operation not in line.operations or datum not in line.covered:
        return Finding(4, Reason.DATA_NOT_COVERED)
    if (
        operation in LEAVING
        or line.role_of
        or request.recipient is not None
        or line.form is not _IDENTIFIABLE
        or request.form is not _IDENTIFIABLE
        or request.transfer_mechanism is not None
        or request.joined_with_identity is not None
    ):
        return Finding(4, Reason.NOT_IMPLEMENTED)
    if row is not None and row.opt_outs and (line.basis is Basis.CONSENT or line.opt_out):
        objections = [entry for entry in row.opt_outs if entry.purpose == line.name]
        if objections:
            return Finding(6, Reason.OPTED_OUT, evidence=tuple(text_of(each.event_id) for each in objections))
    return None


def _exemptible(policy: Policy, operation: Operation) -> bool:
    return any(operation in exemption.operations for exemption in policy.exemptions.values())


def _steps_7_and_8(case: Case) -> Finding | None:
    request, row, line = case.request, case.row, case.line
    if case.policy.unknown_age is not _ADULT or (row is not None and row.uninterpreted):
        return Finding(7, Reason.NOT_IMPLEMENTED)  # a minor, perhaps: ages and guardians are not weighed yet
    if request.operation is not _COLLECT:
        return None
    if line.active and not request.active:
        return Finding(8, Reason.FEATURE_NOT_ACTIVE, consent_missing=True)
    if line.permission is not None:
        lacking = () if row is None else permission_lacks(row, line.permission, request.device)
        if lacking is not None:
            evidence = tuple([text_of(entry.event_id) for entry in lacking])
            return Finding(8, Reason.PERMISSION_OFF, evidence=evidence, consent_missing=True)
    return None


def _steps_9_to_11(case: Case, datum: str) -> Finding:
    line, freshness = case.line, case.policy.freshness
    vetoed: Finding | None = None
    if datum in line.without_consent:
        veto = _veto(case, freshness.necessity_ms, released=line.protects_minors)
        if veto is None:
            return Finding(9, Reason.NECESSARY, True, line.clause, Basis.NECESSITY)  # noqa: FBT003  (keywords: slower)
        vetoed = Finding(9, veto)
    standing = _standing(case, datum)
    if standing.reason is not _CONSENT:
        return vetoed or _denied(standing)
    veto = _veto(case, freshness.consent_ms, released=False)
    if veto is None:
        return Finding(
            11,
            _CONSENT,
            True,  # noqa: FBT003  (keywords cost time, for each datum of each check)
            line.clause,
            _CONSENT_BASIS,
            standing.status,
            _evidence(standing),
            standing.expires_at,
        )
    return vetoed or Finding(11, veto, status=standing.status, expires_at=standing.expires_at)


def _standing(case: Case, datum: str) -> Standing:
    if case.row is None:
        return NEVER_ASKED
    line = case.line
    cell = Cell(line.name, case.request.operation, datum)
    terms = Terms(case.policy.version, datum in line.only_separately, case.policies)
    return standing_of(case.row, cell, terms, case.now)


def _denied(standing: Standing) -> Finding:
    return Finding(
        CONSENT_STEP,
        standing.reason,
        status=standing.status,
        evidence=_evidence(standing),
        expires_at=standing.expires_at,
        consent_missing=standing.reason is not Reason.NOT_IMPLEMENTED,
    )


def _evidence(standing: Standing) -> tuple[str, ...]:
    return () if standing.evidence is None else (text_of(standing.evidence),)


def _veto(case: Case, bound_ms: int, *, released: bool) -> Reason | None:
    """Why what would be an ALLOW is none. `released`: quarantine does not touch it."""
    row = case.row
    if row is not None:
        if len(case.policies.revisions) > 1 and case.policies.revisions[1].effective_at <= case.now:
            # A row tells no longer whether its person came before the latest version, and so by which terms.
            return Reason.NOT_IMPLEMENTED
        if row.quarantined and not released:
            return Reason.QUARANTINED
    staleness_ms = case.view.staleness_ms
    if staleness_ms is None or staleness_ms > bound_ms:
        return Reason.STALE
    return None


def _prompt(case: Case, findings: tuple[Finding, ...]) -> Prompt:
    """Only what is certain to need a consent is asked for: a stale or quarantined row may hide a refusal."""
    if not any(finding.consent_missing for finding in findings):
        return NOT_NOW
    row, staleness_ms = case.row, case.view.staleness_ms
    if staleness_ms is None or staleness_ms > case.policy.freshness.consent_ms or (row is not None and row.quarantined):
        return NOT_NOW
    missing = [
        datum
        for datum, finding in zip(case.request.data, findings, strict=True)
        if finding.consent_missing
        and datum not in case.line.without_consent
        and (finding.step == CONSENT_STEP or _standing(case, datum).reason is not _CONSENT)
    ]
    return prompt_of(row, case.line.name, case.policy.prompt_cooldown_ms, case.now) if missing else NOT_NOW


def _answer(
    view: View,
    policies: Policies,
    policy: Policy | None,
    request: Request,
    now: int,
    findings: tuple[Finding, ...],
    leading: Finding,
    prompt: Prompt = NOT_NOW,
) -> Decision:
    terms = policy or (policies.revisions[0].policy if policies.revisions else None)
    row = view.row
    expires_at = policies.changes_after(now)
    for finding in findings:
        if finding.expires_at is not None and (expires_at is None or finding.expires_at < expires_at):
            expires_at = finding.expires_at
    return Decision(
        allow=leading.allow,
        reason=leading.reason,
        clause=_clause(leading, terms),
        basis=leading.basis,
        status=leading.status,
        evidence=leading.evidence,
        policy_version=None if policy is None else policy.version,
        position=_seen(view),
        tightened_position=None if row is None else row.tightened_position,
        staleness_ms=view.staleness_ms,
        expires_at=expires_at,
        obligations=() if leading.allow else OBLIGATIONS_OF.get(leading.reason, ()),
        prompt=prompt,
        # without `strict`, which costs time: there is a finding for each datum
        results=tuple([_result(datum, finding, terms) for datum, finding in zip(request.data, findings)]),  # noqa: B905
    )


def _result(datum: str, finding: Finding, terms: Policy | None) -> DatumResult:
    return DatumResult(
        datum,
        finding.allow,
        finding.reason,
        _clause(finding, terms),
        finding.basis,
        finding.status,
        finding.evidence,
    )


def _step(finding: Finding) -> int:
    return finding.step


def _clause(finding: Finding, terms: Policy | None) -> str:
    """An ALLOW names its purpose's clause, a DENY its reason's."""
    if finding.allow:
        return finding.clause
    return "" if terms is None else terms.clause_of.get(finding.reason, "")


def text_of(event_id: bytes) -> str:
    """A UUID's bytes as its text."""
    digits = event_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
