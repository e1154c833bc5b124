"""Cells: what a caller leaves out is filled in from the policy, and what the policy does not name is refused."""

from collections.abc import Iterator

import msgspec

from consentry.events import (
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRequested,
    DataCollected,
    ExemptionInvoked,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
)
from consentry.intake.faults import Fault
from consentry.policy import Policies, Policy, Purpose
from consentry.state.row import MAX_CELLS
from consentry.terms import Operation, PermissionState

NamesCells = ConsentRequested | ConsentDeferred | ConsentGiven | ConsentReaffirmed | DataCollected
_OF_A_VERSION = (ConsentRequested, ConsentDeferred, ConsentGiven, ConsentReaffirmed)
_PLACE = {operation: place for place, operation in enumerate(Operation)}
_RECEIVED = (Operation.SHARE, Operation.TRANSFER, Operation.EXPORT)
"""operations that have a recipient; what is disclosed to the public has none"""


def completed(
    event: AnySubjectEvent, policies: Policies, policy: Policy, now: int
) -> tuple[AnySubjectEvent, list[Fault]]:
    """The event with its cells filled in and its lists in canonical order, and what the policy has against it.

    `policy` is the version in force. A tightening may name what no policy knows: it tightens all the same.
    """
    event = _in_order(event)
    match event:
        case ConsentRequested() | ConsentDeferred() | ConsentGiven() | ConsentReaffirmed() | DataCollected():
            return _with_cells(event, policies, policy, now)
        case PolicyAccepted() if policies.version(event.policy_version) is None:
            return event, [_unknown_version(event.policy_version, policies)]
        case PreferenceSet(opted_out=False) if event.purpose not in policy.purposes:
            return event, [_not_named("/purpose", f"version {policy.version} has no purpose {event.purpose}")]
        case PermissionObserved(state=PermissionState.ON) if event.permission not in policy.permissions:
            known = ", ".join(sorted(policy.permissions))
            return event, [_not_named("/permission", f"no purpose asks for {event.permission}", f"known: {known}")]
        case ExemptionInvoked():
            return event, list(_faults_of_exemption(event, policy))
        case _:
            return event, []


def _in_order(event: AnySubjectEvent) -> AnySubjectEvent:
    """Lists without repetition and in one order, so that the same cells always give the same bytes."""
    changes: dict[str, tuple[str, ...]] = {}
    for field in ("operations", "data", "recipients"):
        names: tuple[str, ...] | None = getattr(event, field, None)
        if names is not None:
            changes[field] = _sorted(field, names)
    return msgspec.structs.replace(event, **changes) if changes else event


def _sorted(field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if field == "operations":
        return tuple(sorted({Operation(name) for name in names}, key=_PLACE.__getitem__))
    return tuple(sorted(set(names)))


def _with_cells(event: NamesCells, policies: Policies, policy: Policy, now: int) -> tuple[AnySubjectEvent, list[Fault]]:
    if isinstance(event, _OF_A_VERSION):
        fault = _fault_of_version(event.policy_version, policies, now)
        if fault is not None:
            return event, [fault]
        named = policies.version(event.policy_version)
    else:
        # what was collected is measured by the terms of its time
        named = policies.in_force(min(event.occurred_at, now)) or policy
    assert named is not None  # a version that is in force is known
    line = named.purposes.get(event.purpose)
    if line is None:
        return event, [_not_named("/purpose", f"version {named.version} has no purpose {event.purpose}")]
    faults = [*_faults_of_cells(event, line, named.version)]
    if faults:
        return event, faults
    filled = msgspec.structs.replace(
        event,
        operations=event.operations or _sorted("operations", line.operations),
        data=event.data or _sorted("data", line.data),
    )
    count = len(filled.operations or ()) * len(filled.data or ()) * max(1, len(filled.recipients or ()))
    if count > MAX_CELLS:
        remedy = "name fewer operations, data or recipients"
        faults.append(Fault(where="", what=f"{count} cells of {MAX_CELLS}", remedy=remedy, code="ROW_LIMIT"))
    return filled, faults


def _fault_of_version(version: int, policies: Policies, now: int) -> Fault | None:
    if policies.version(version) is None:
        return _unknown_version(version, policies)
    effective_at = policies.revisions[version - 1].effective_at
    if effective_at <= now:
        return None
    return Fault(
        where="/policy_version",
        what=f"version {version} takes effect at {effective_at}, in {effective_at - now} ms",
        remedy="name the version in force, or wait",
        code="POLICY_NOT_IN_FORCE",
    )


def _unknown_version(version: int, policies: Policies) -> Fault:
    newest = policies.revisions[-1].version if policies.revisions else 0
    return Fault(
        where="/policy_version",
        what=f"version {version} is not published",
        remedy=f"the newest is {newest}",
        code="POLICY_VERSION_UNKNOWN",
    )


def _faults_of_cells(event: NamesCells, line: Purpose, version: int) -> Iterator[Fault]:
    of = f"{line.name} in version {version}"
    for index, operation in enumerate(event.operations or ()):
        if operation not in line.operations:
            known = ", ".join(line.operations)
            yield _not_named(f"/operations/{index}", f"{of} does not name {operation}", f"it names {known}")
    for index, datum in enumerate(event.data or ()):
        if datum not in line.data:
            known = ", ".join(line.data)
            yield _not_named(f"/data/{index}", f"{of} does not name {datum}", f"it names {known}")
    if event.data is None and not line.data:
        yield _not_named("/purpose", f"{of} names no data: nothing of it can be consented to")
    known = ", ".join(line.recipients)
    if line.recipients and event.recipients is None:
        yield _not_named("/recipients", f"{of} names recipients, so each consent does", f"of {known}")
    for index, recipient in enumerate(event.recipients or ()):
        if recipient not in line.role_of:
            remedy = f"it names {known}" if known else "leave recipients out: it names none"
            yield _not_named(f"/recipients/{index}", f"{of} does not name {recipient}", remedy)


def _faults_of_exemption(event: ExemptionInvoked, policy: Policy) -> Iterator[Fault]:
    exemption = policy.exemptions.get(event.code)
    if exemption is None:
        known = ", ".join(sorted(policy.exemptions))
        yield _not_named("/code", f"the policy admits no exemption {event.code}", f"it admits {known}")
        return
    for index, operation in enumerate(event.operations):
        if operation not in exemption.operations:
            known = ", ".join(exemption.operations)
            yield _not_named(f"/operations/{index}", f"{event.code} does not admit {operation}", f"it admits {known}")
    for index, datum in enumerate(event.data):
        if datum not in policy.data:
            yield _not_named(f"/data/{index}", f"the policy knows no data {datum}")
    if event.purpose is not None and event.purpose not in policy.purposes:
        yield _not_named("/purpose", f"version {policy.version} has no purpose {event.purpose}")
    if event.recipients is None and any(operation in _RECEIVED for operation in event.operations):
        yield _not_named("/recipients", "what leaves names who receives it")


def _not_named(where: str, what: str, remedy: str = "") -> Fault:
    return Fault(where=where, what=what, remedy=remedy, code="NOT_IN_POLICY")
