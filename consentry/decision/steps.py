"""Steps 3 to 11 for one data category, by one version of the policy. Pure.

The first match answers. An ALLOW that is vetoed does not end the search; where nothing later allows, the veto stands.
"""

import msgspec

from consentry.decision.age import Age
from consentry.decision.answer import Request, View
from consentry.decision.consent import NEVER_ASKED, standing_of
from consentry.decision.exemptions import clause_of, live_exemption
from consentry.decision.grants import Standing, Terms
from consentry.decision.guardians import a_guardian_stands
from consentry.decision.opt_outs import standing_opt_outs
from consentry.decision.permission import permission_lacks
from consentry.decision.stops import guardians_mark
from consentry.policy import LEAVING, Policies, Policy, Purpose, RecipientRole
from consentry.state.row import SubjectState
from consentry.terms import AgeBand, Basis, Cell, Form, Operation, Reason, Status

# Looked up once: an enum's attribute costs a check several times what a name costs.
_CONSENT, _NECESSARY, _STALE = Reason.CONSENT, Reason.NECESSARY, Reason.STALE
_CONSENT_BASIS, _NECESSITY_BASIS = Basis.CONSENT, Basis.NECESSITY
_COLLECT, _EXPORT, _CHILD = Operation.COLLECT, Operation.EXPORT, AgeBand.CHILD
_ENTRUSTED = RecipientRole.ENTRUSTED
_IDENTIFIABLE, _ANONYMISED = Form.IDENTIFIABLE, Form.ANONYMISED
_PROTECTION = {Form.IDENTIFIABLE: 0, Form.DEIDENTIFIED: 1, Form.ANONYMISED: 2}
EXEMPTION_STEP, CONSENT_STEP = 3, 10
_NOT_ASKED_FOR = frozenset({Reason.PENDING_GUARDIAN})
"""the person has done what the person can"""


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
    reaffirm_due: bool = False


class Case(msgspec.Struct, frozen=True, gc=False):
    """A question by one version of the policy, with all that its answer depends on."""

    request: Request
    view: View
    row: SubjectState | None
    policies: Policies
    policy: Policy
    line: Purpose
    age: Age | None
    """None: an adult all along"""
    version: int
    """the one in force, which need not be `policy`: what changed up to it may ask again"""
    ended: Reason | None
    """the account, or the service: only what an exemption keeps stored is allowed"""
    now: int


# What says nothing of the subject is said once.
_DATA_NOT_COVERED = Finding(4, Reason.DATA_NOT_COVERED)
_RECIPIENT_NOT_COVERED = Finding(4, Reason.RECIPIENT_NOT_COVERED)
_TOO_IDENTIFIABLE = Finding(4, Reason.IDENTIFIABLE_FORM)
_NO_MECHANISM = Finding(4, Reason.TRANSFER_MECHANISM_REQUIRED)
_NOT_ACTIVE = Finding(8, Reason.FEATURE_NOT_ACTIVE, consent_missing=True)


def weigh(case: Case, datum: str) -> Finding:
    """The answer for one data category."""
    row, line, request = case.row, case.line, case.request
    vetoed: Finding | None = None
    if row is not None and row.circumstances is not None and row.circumstances.invocations:
        exempt = _exempt(case, datum)
        if exempt is not None:
            if exempt.allow:
                return exempt
            vetoed = exempt
    if case.ended is not None:
        status = Status.CLOSED if case.ended is Reason.SUBJECT_CLOSED else Status.UNKNOWN
        return vetoed or Finding(2, case.ended, status=status)
    denied = _not_covered(case.policy, line, request, datum)
    if denied is not None:
        return vetoed or denied
    if request.form is not _IDENTIFIABLE:
        anonymous = _not_personal(case, datum)
        if anonymous is not None:
            if anonymous.allow:
                return anonymous
            vetoed = vetoed or anonymous
    denied = _steps_6_to_8(case, datum)
    if denied is not None:
        return vetoed or denied
    return _steps_9_to_11(case, datum, vetoed)


def _exempt(case: Case, datum: str) -> Finding | None:
    assert case.row is not None
    request, policy = case.request, case.policy
    if case.ended is not None and request.operation is not Operation.STORE:
        return None
    cell = Cell(request.purpose, request.operation, datum, request.recipient or "")
    found = live_exemption(case.row, cell, policy, case.age, case.now, after_closure=case.ended is not None)
    if found is None:
        return None
    invocation, line = found
    veto = _veto(case, policy.freshness.exemption_ms, released=True)
    if veto is not None:
        return Finding(EXEMPTION_STEP, veto, expires_at=invocation.valid_until)
    return Finding(
        EXEMPTION_STEP,
        Reason.EXEMPT,
        allow=True,
        clause=clause_of(line, request.operation),
        basis=Basis.EXEMPTION,
        evidence=(text_of(invocation.event_id),),
        expires_at=invocation.valid_until,
    )


def _not_covered(policy: Policy, line: Purpose, request: Request, datum: str) -> Finding | None:
    """Step 4: what the line does not name."""
    operation, recipient = request.operation, request.recipient
    if operation not in line.operations or datum not in line.covered:
        return _DATA_NOT_COVERED
    if line.role_of:
        if recipient not in line.role_of:
            return _RECIPIENT_NOT_COVERED
    elif recipient is not None:
        return _RECIPIENT_NOT_COVERED
    if line.form is not _IDENTIFIABLE and _PROTECTION[_form_of(request)] < _PROTECTION[line.form]:
        return _TOO_IDENTIFIABLE
    if operation is _EXPORT and request.transfer_mechanism not in policy.transfer_mechanisms:
        return _NO_MECHANISM
    return None


def _form_of(request: Request) -> Form:
    """What is joined with the person's identity is identifiable, whatever else is said of it (1.9)."""
    return _IDENTIFIABLE if request.joined_with_identity else request.form


def _not_personal(case: Case, datum: str) -> Finding | None:
    """Step 5: only who says that it is not joined with an identity speaks of no person."""
    request = case.request
    if (
        request.form is not _ANONYMISED
        or request.joined_with_identity is not False
        or request.operation is _COLLECT
        or not case.policy.data[datum].anonymisable
    ):
        return None
    veto = _veto(case, case.policy.freshness.consent_ms, released=False)
    if veto is not None:
        return Finding(5, veto)
    return Finding(5, Reason.NOT_PERSONAL_DATA, allow=True, clause=case.line.clause)


def _steps_6_to_8(case: Case, datum: str) -> Finding | None:
    request, row, line, age = case.request, case.row, case.line, case.age
    if (
        row is not None
        and row.opt_outs
        and (line.basis is _CONSENT_BASIS or line.opt_out)
        and (objections := standing_opt_outs(row, line.name, age))
    ):
        return Finding(6, Reason.OPTED_OUT, evidence=tuple([text_of(each.event_id) for each in objections]))
    if age is not None and not line.protects_minors and not age.is_adult(case.now):
        lacking = _guardian_lacks(case, age, datum)
        if lacking is not None:
            return lacking
    if request.operation is not _COLLECT:
        return None
    if line.active and not request.active:
        return _NOT_ACTIVE
    if line.permission is not None:
        lacks = () if row is None else permission_lacks(row, line.permission, request.device)
        if lacks is not None:
            evidence = tuple([text_of(entry.event_id) for entry in lacks])
            return Finding(8, Reason.PERMISSION_OFF, evidence=evidence, consent_missing=True)
    return None


def _guardian_lacks(case: Case, age: Age, datum: str) -> Finding | None:
    """Step 7: 7.a, a guardian who accepted, and none who objects."""
    if case.row is None:
        return Finding(7, Reason.GUARDIAN_REQUIRED)
    cell = _cell(case, datum)
    if a_guardian_stands(case.row, cell, age):
        return None
    mark = guardians_mark(case.row, cell, age)
    evidence = () if mark is None else (text_of(mark.event_id),)
    return Finding(7, Reason.GUARDIAN_REQUIRED, evidence=evidence)


def _steps_9_to_11(case: Case, datum: str, vetoed: Finding | None) -> Finding:
    line, freshness = case.line, case.policy.freshness
    if needs_no_consent(line, case.request, datum):
        veto = _veto(case, freshness.necessity_ms, released=line.protects_minors)
        if veto is None:
            return Finding(9, _NECESSARY, True, line.clause, _NECESSITY_BASIS)  # noqa: FBT003  (keywords: slower)
        vetoed = vetoed or Finding(9, veto)
    standing = cell_standing(case, datum)
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
            False,  # noqa: FBT003
            standing.reaffirm_due,
        )
    return vetoed or Finding(11, veto, status=standing.status, expires_at=standing.expires_at)


def needs_no_consent(line: Purpose, request: Request, datum: str) -> bool:
    """Step 9: necessity is enough where processing remains the controller's own (3.1.1.a, 3.3.a).

    What leaves does so only with an entrusted recipient: to nobody named is to anybody.
    """
    if datum not in line.without_consent:
        return False
    if request.recipient is None:
        return request.operation not in LEAVING
    return line.role_of.get(request.recipient) is _ENTRUSTED


def cell_standing(case: Case, datum: str) -> Standing:
    """How the consent for one data category stands, whatever other steps say."""
    row, line, age = case.row, case.line, case.age
    if row is None:
        return NEVER_ASKED
    only_separately = (
        datum in line.only_separately
        or case.request.operation in LEAVING
        or (age is not None and age.now(case.now) is _CHILD)
    )
    terms = Terms(_cell(case, datum), case.version, only_separately, line.protects_minors, case.policies, age)
    return standing_of(row, terms, case.now)


def _cell(case: Case, datum: str) -> Cell:
    request = case.request
    # One for nearly every check: what a named tuple adds, its constructor in Python, costs as much as the tuple.
    return tuple.__new__(Cell, (case.line.name, request.operation, datum, request.recipient or ""))


def _denied(standing: Standing) -> Finding:
    return Finding(
        CONSENT_STEP,
        standing.reason,
        status=standing.status,
        evidence=_evidence(standing),
        expires_at=standing.expires_at,
        consent_missing=standing.reason not in _NOT_ASKED_FOR,
    )


def _evidence(standing: Standing) -> tuple[str, ...]:
    evidence = standing.evidence
    if not evidence:
        return ()
    if len(evidence) == 1:  # nearly always
        return (text_of(evidence[0]),)
    return tuple([text_of(event_id) for event_id in evidence])


def _veto(case: Case, bound_ms: int, *, released: bool) -> Reason | None:
    """Why what would be an ALLOW is none. `released`: quarantine does not touch it."""
    row = case.row
    if row is not None and row.quarantined and not released:
        return Reason.QUARANTINED
    staleness_ms = case.view.staleness_ms
    return _STALE if staleness_ms is None or staleness_ms > bound_ms else None


def text_of(event_id: bytes) -> str:
    """A UUID's bytes as its text."""
    fours = event_id.hex("-", 2)  # eight of four digits: it has three hyphens too many
    return f"{fours[:4]}{fours[5:29]}{fours[30:34]}{fours[35:]}"
