"""A plain, slow second writing of the decision's order, read from the raw document: `decide` must agree with it.

It answers for one datum, for a policy that never changed, and says reason and clause alone.
"""

from collections.abc import Iterator
from typing import Any

from consentry.decision import Request, View
from consentry.state.row import SubjectState

STOPS = ("refused", "withdrawn", "revoked", "invalidated")
LEAVES = ("share", "transfer", "disclose", "export")


def answer(view: View, document: dict[str, Any], request: Request, datum: str, now: int) -> tuple[str, str]:
    vetoes = []
    verdict = "NO_CONSENT"
    for reason, final in _candidates(view, document, request, datum, now):
        if final:
            verdict = reason
            break
        vetoes.append(reason)
    allowed = verdict in ("NECESSARY", "CONSENT")
    if vetoes and not allowed:
        verdict = vetoes[0]
    clause = document["purposes"][request.purpose]["clause"] if allowed else document["clause_of"].get(verdict, "")
    return verdict, str(clause)


Candidates = Iterator[tuple[str, bool]]


def _candidates(view: View, document: dict[str, Any], request: Request, datum: str, now: int) -> Candidates:
    """Reasons in the order of the steps: final ones, and vetoes, which do not end the search."""
    row, line = view.row, document["purposes"].get(request.purpose)
    wanted = request.min_position
    if wanted is not None and not (wanted[:2] == view.position[:2] and wanted.offset <= view.position.offset):
        yield "NOT_YET_VISIBLE", True
    if line is None:
        yield "PURPOSE_UNKNOWN", True
    else:
        yield from _before_the_basis(row, line, request, datum)
        yield from _on_the_basis(view, document, request, datum, now)


def _before_the_basis(row: SubjectState | None, line: dict[str, Any], request: Request, datum: str) -> Candidates:
    if row is not None and (row.erased_at is not None or row.closed_at is not None):
        yield "SUBJECT_CLOSED", True
    if row is not None and "ExemptionInvoked" in row.uninterpreted and request.operation != "export":
        yield "NOT_IMPLEMENTED", True
    named = line["data"].get("necessary", []) + line["data"].get("optional", [])
    if request.operation not in line.get("operations", ["collect", "store", "use"]) or datum not in named:
        yield "DATA_NOT_COVERED", True
    if request.operation in LEAVES or "recipients" in line or "form" in line or request.form != "identifiable":
        yield "NOT_IMPLEMENTED", True
    if (request.recipient, request.transfer_mechanism, request.joined_with_identity) != (None, None, None):
        yield "NOT_IMPLEMENTED", True
    objected = row is not None and request.purpose in [entry.purpose for entry in row.opt_outs]
    if objected and (line["basis"] == "consent" or line.get("opt_out")):
        yield "OPTED_OUT", True
    if row is not None and row.uninterpreted:
        yield "NOT_IMPLEMENTED", True
    if request.operation == "collect" and line.get("active") and not request.active:
        yield "FEATURE_NOT_ACTIVE", True
    if request.operation == "collect" and "permission" in line and not _on(row, line["permission"], request.device):
        yield "PERMISSION_OFF", True


def _on_the_basis(view: View, document: dict[str, Any], request: Request, datum: str, now: int) -> Candidates:
    row, line = view.row, document["purposes"][request.purpose]
    sensitive = document["data"].get(datum, {}).get("sensitive", False)
    quarantined = row is not None and bool(row.quarantined)
    if line["basis"] == "necessity" and datum in line["data"].get("necessary", []) and not sensitive:
        yield _vetoed("NECESSARY", view, 86_400_000, quarantined and not line.get("protects_minors"))
    reason = _consent(row, request, datum, bool(sensitive or line.get("separate")), now)
    yield _vetoed(reason, view, 2_000, quarantined) if reason == "CONSENT" else (reason, True)


def _vetoed(reason: str, view: View, bound_ms: int, quarantined: bool) -> tuple[str, bool]:
    if quarantined:
        return "QUARANTINED", False
    if view.staleness_ms is None or view.staleness_ms > bound_ms:
        return "STALE", False
    return reason, True


def _on(row: SubjectState | None, name: str, device: str | None) -> bool:
    seen = [] if row is None else sorted(row.permissions, key=lambda entry: entry.offset)
    devices = {entry.device for entry in seen} - {""}
    state: dict[str, str] = {}
    for entry in seen:
        if entry.name != name:
            continue
        if entry.device:
            state[entry.device] = entry.state
        elif entry.state != "on":
            state = dict.fromkeys([*devices, ""], "off")
        else:
            state[""] = "on"
    if not devices:
        return state.get("") == "on"
    return all(state.get(each) == "on" for each in ([device] if device else devices))


def _consent(row: SubjectState | None, request: Request, datum: str, separate: bool, now: int) -> str:
    """Walks through acts and marks in log order, as a clerk would."""
    grants: list[Any] = []
    stopped = "NO_CONSENT"
    entries = [] if row is None else sorted((*row.acts, *row.marks), key=lambda entry: entry.offset)
    for entry in entries:
        where = entry.scope if entry.status in STOPS else entry.block
        exact = entry.status not in STOPS
        touches = (
            (where.purpose == request.purpose or (not exact and not where.purpose))
            and (request.operation in where.operations or (not exact and not where.operations))
            and (datum in where.data or (not exact and not where.data))
        )
        if not touches:
            continue
        if entry.status in STOPS:
            grants, stopped = [], entry.status.upper()
        elif entry.status == "given" and entry.actor_role == "subject" and entry.expression != "implied":
            grants.append(entry)
    faults = set()
    for grant in grants:
        if grant.valid_until is not None and grant.valid_until <= now:
            faults.add("EXPIRED")
        elif grant.policy_version != 1:
            faults.add("NOT_IMPLEMENTED")
        elif separate and grant.expression != "separate":
            faults.add("SEPARATE_CONSENT_REQUIRED")
        else:
            return "CONSENT"
    for fault in ("EXPIRED", "NOT_IMPLEMENTED", "SEPARATE_CONSENT_REQUIRED"):
        if fault in faults:
            return fault
    return stopped
