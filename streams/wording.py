"""Answers and changes in a person's words. Adds nothing to what was decided or folded."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from consentry.decision import Prompt
from consentry.state.row import (
    Acceptance,
    Act,
    AgeStatement,
    Circumstances,
    Ending,
    Guardianship,
    Invocation,
    Lift,
    Mark,
    Objection,
    OptOut,
    Permission,
    Scope,
    SubjectState,
)
from consentry.terms import Operation, Reason

REASON_WORDS: dict[Reason, str] = {
    Reason.EXEMPT: "an exemption that the policy admits has been invoked for it",
    Reason.NOT_PERSONAL_DATA: "anonymised, it is no longer personal data",
    Reason.NECESSARY: "the service cannot be given without it",
    Reason.CONSENT: "the person agreed to it",
    Reason.NOT_YET_VISIBLE: "what you wrote is not visible here yet: ask again in a moment",
    Reason.PURPOSE_UNKNOWN: "the policy in force names no such purpose",
    Reason.SUBJECT_CLOSED: "the account is closed",
    Reason.SERVICE_DISCONTINUED: "the service has been discontinued",
    Reason.DATA_NOT_COVERED: "the policy does not name this operation with these data for the purpose",
    Reason.RECIPIENT_NOT_COVERED: "the policy does not name this recipient",
    Reason.IDENTIFIABLE_FORM: "the policy asks for a form that protects the person more",
    Reason.TRANSFER_MECHANISM_REQUIRED: "an export needs a mechanism that the policy lists",
    Reason.OPTED_OUT: "the person opted out of this purpose",
    Reason.GUARDIAN_REQUIRED: "the person is a minor, and no verified guardian has accepted the policy, or one objects",
    Reason.FEATURE_NOT_ACTIVE: "the function that needs it is not in use now",
    Reason.PERMISSION_OFF: "the permission on the device is off, limited, or was never seen on",
    Reason.NO_CONSENT: "the person was never asked, or did not answer",
    Reason.REFUSED: "the person refused",
    Reason.WITHDRAWN: "the person withdrew the consent",
    Reason.REVOKED: "the controller revoked the consent",
    Reason.INVALIDATED: "the consent was found not to be valid",
    Reason.EXPIRED: "the consent was given until a time that is over",
    Reason.RECONSENT_DUE: "the policy changed since the person agreed: ask again",
    Reason.PENDING_GUARDIAN: "the person agreed, and a guardian has yet to agree as well",
    Reason.PENDING_SUBJECT: "the person has yet to agree, besides the guardian",
    Reason.SEPARATE_CONSENT_REQUIRED: "this needs a consent of its own, and there is only one bundled with others",
    Reason.QUARANTINED: "a record about the person could not be read, so nothing is certain until it is released",
    Reason.STALE: "what is known here may be too old to rest on",
}


def moment(at_ms: int) -> str:
    """2026-11-24T13:50:36.120Z; what lies beyond every calendar in ms."""
    try:
        text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
    return text.replace("+00:00", "Z")


def listed(words: Iterable[str], every: str = "everything") -> str:
    """a, b and c; `every` where there is none: that is what a scope without words means."""
    found = list(words)
    if not found:
        return every
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def prompt_words(prompt: Prompt) -> str:
    """Whether the person may be asked now."""
    if prompt.may_ask:
        return "The person may be asked now."
    if prompt.ask_after is not None:
        return f"The person may be asked again after {moment(prompt.ask_after)}, or when they start it themselves."
    return "There is nothing to ask the person now."


def latest_changes(state: SubjectState) -> tuple[str, ...]:
    """What the last event folded into a row left in it; empty where it left nothing that a line can say."""
    return (*_entries(state, at_offset=state.position.offset), *_standing(state))


def all_of(state: SubjectState) -> tuple[str, ...]:
    """All that a row holds, acts first."""
    return (*_entries(state, at_offset=None), *_standing(state))


def _entries(state: SubjectState, *, at_offset: int | None) -> Iterator[str]:
    """Entries of the row; with `at_offset` those that the event there left."""
    words: tuple[tuple[Iterable[Act | Mark | OptOut | Permission], Callable[[Any], str]], ...] = (
        (state.acts, _act_words),
        (state.marks, _mark_words),
        (state.opt_outs, _opt_out_words),
        (state.permissions, _permission_words),
    )
    for entries, say in words:
        for entry in entries:
            if at_offset is None or entry.offset == at_offset:
                yield say(entry)
    if state.circumstances is not None:
        yield from _facts(state.circumstances, at_offset=at_offset)


def _facts(facts: Circumstances, *, at_offset: int | None) -> Iterator[str]:
    words: tuple[tuple[Iterable[Any], Callable[[Any], str]], ...] = (
        (facts.ages, _age_words),
        (facts.acceptances, _acceptance_words),
        (facts.lifts, _lift_words),
        (facts.objections, _objection_words),
        (facts.invocations, _invocation_words),
        (facts.endings, _ending_words),
    )
    for each in facts.guardianships:  # which event linked it the row does not keep
        if at_offset is None or each.verified_offset == at_offset:
            yield _guardianship_words(each)
    for entries, say in words:
        for entry in entries:
            if at_offset is None or entry.offset == at_offset:
                yield say(entry)


def _standing(state: SubjectState) -> Iterator[str]:
    if state.erased_at is not None:
        yield "erased"
    elif state.closed_at is not None:
        yield "closed"
    if state.quarantined:
        yield f"quarantined for {listed(state.quarantined)}"


def _age_words(age: AgeStatement) -> str:
    said = f"of age band {age.band}" if age.band is not None else "of a birth date"
    return f"said to be {said}: {age.source}"


def _guardianship_words(each: Guardianship) -> str:
    if not each.linked:
        return f"guardian {each.guardian} no longer linked"
    return f"guardian {each.guardian} linked, {'verified' if each.verified else 'not verified'}"


def _acceptance_words(acceptance: Acceptance) -> str:
    return f"policy version {acceptance.policy_version} accepted by {acceptance.actor_role}"


def _lift_words(lift: Lift) -> str:
    return f"opt-out lifted by {lift.actor_role}: {lift.purpose}"


def _objection_words(objection: Objection) -> str:
    return f"objected by {objection.actor_role}: {_scope(objection.scope)}"


def _invocation_words(invocation: Invocation) -> str:
    return f"exemption {invocation.code} until {moment(invocation.valid_until)}: {_scope(invocation.scope)}"


def _ending_words(ending: Ending) -> str:
    return f"exemption {ending.code} ended: {_scope(ending.scope)}"


def _act_words(act: Act) -> str:
    block = act.block
    shown = f" ({act.expression})" if act.expression is not None else ""
    cells = _cells(block.purpose, block.operations, block.data, block.recipients)
    return f"{act.status} by {act.actor_role}{shown}: {cells}"


def _mark_words(mark: Mark) -> str:
    return f"{mark.status} by {mark.actor_role}: {_scope(mark.scope)}"


def _opt_out_words(opt_out: OptOut) -> str:
    return f"opted out by {opt_out.actor_role}: {opt_out.purpose}"


def _permission_words(permission: Permission) -> str:
    device = f" on {permission.device}" if permission.device else ""
    return f"permission {permission.name} {permission.state}{device}"


def _scope(scope: Scope) -> str:
    return _cells(scope.purpose, scope.operations, scope.data, scope.recipients)


def _cells(purpose: str, operations: Iterable[Operation], data: Iterable[str], recipients: Iterable[str]) -> str:
    to = list(recipients)
    towards = f" to {listed(to)}" if to else ""
    return (
        f"{listed(operations, 'any operation on')} {listed(data, 'any data')} for {purpose or 'any purpose'}{towards}"
    )
