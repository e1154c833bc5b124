"""Answers and changes in a person's words. Adds nothing to what was decided or folded."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from consentry.authzen import Action, CheckContext, EvaluationAnswer, EvaluationRequest, Resource, Subject
from consentry.decision import Prompt, Request
from consentry.state.row import Act, Mark, OptOut, Permission, SubjectState
from consentry.terms import Operation, Reason

REASON_WORDS: dict[Reason, str] = {
    Reason.EXEMPT: "the law allows it without consent in this case",
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
    Reason.GUARDIAN_REQUIRED: "the person is a minor, and a guardian has to agree first",
    Reason.FEATURE_NOT_ACTIVE: "the function that needs it is not in use now",
    Reason.PERMISSION_OFF: "the permission on the device is off, limited, or was never seen on",
    Reason.NO_CONSENT: "the person was never asked, or did not answer",
    Reason.REFUSED: "the person refused",
    Reason.WITHDRAWN: "the person withdrew the consent",
    Reason.REVOKED: "the controller revoked the consent",
    Reason.INVALIDATED: "the consent was found not to be valid",
    Reason.EXPIRED: "the consent was given until a time that is over",
    Reason.RECONSENT_DUE: "the policy changed since the person agreed: ask again",
    Reason.PENDING_GUARDIAN: "the guardian has not been verified yet",
    Reason.PENDING_SUBJECT: "the person has yet to agree, besides the guardian",
    Reason.SEPARATE_CONSENT_REQUIRED: "this needs a consent of its own, and there is only one bundled with others",
    Reason.QUARANTINED: "a record about the person could not be read, so nothing is certain until it is released",
    Reason.STALE: "what is known here may be too old to rest on",
    Reason.NOT_IMPLEMENTED: "this version cannot weigh that yet, and so it does not allow it",
}


def moment(at_ms: int) -> str:
    """2026-11-24T13:50:36.120Z"""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
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


def explanation(question: EvaluationRequest, answer: EvaluationAnswer) -> Iterator[str]:
    """A headline, then the answer sentence by sentence."""
    found = answer.context
    clause = f"  clause {found.clause}" if found.clause else ""
    yield f"{'ALLOW' if answer.decision else 'DENY'}  {found.reason}{clause}"
    may = "may" if answer.decision else "may not"
    asked = (
        f"{question.action.name} {listed(_data_of(question.context))} of {question.subject.type}:{question.subject.id}"
    )
    yield f"You {may} {asked} for {question.resource.id}: {REASON_WORDS[found.reason]}."
    if found.policy_version is not None:
        of_clause = f"clause {found.clause} of " if found.clause else ""
        yield f"It rests on {of_clause}version {found.policy_version} of the policy."
    if found.evidence:
        yield f"The evidence is {listed(f'event {event_id}' for event_id in found.evidence)}."
    if len(found.results) > 1:
        each = (f"{result.data} {'ALLOW' if result.allow else 'DENY'} {result.reason}" for result in found.results)
        yield f"One by one: {listed(each)}."
    if found.expires_at is not None:
        yield f"Time alone changes this answer at {moment(found.expires_at)}."
    if found.obligations:
        yield f"What follows for you: {listed(found.obligations)}."
    if not answer.decision:
        yield prompt_words(found.prompt)
    age = "of unknown age" if found.staleness_ms is None else f"at most {found.staleness_ms} ms old"
    yield f"Seen at {found.position}, {age}."


def question_of(request: Request) -> EvaluationRequest:
    """A request in the words of the check API."""
    kind, _, name = request.subject.partition(":")
    return EvaluationRequest(
        subject=Subject(kind, name),
        action=Action(request.operation),
        resource=Resource("purpose", request.purpose),
        context=CheckContext(data=request.data, active=request.active, device=request.device),
    )


def _data_of(context: CheckContext | None) -> tuple[str, ...]:
    data = context.data if context is not None else None
    return (data,) if isinstance(data, str) else data or ()


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


def _standing(state: SubjectState) -> Iterator[str]:
    if state.erased_at is not None:
        yield "erased"
    elif state.closed_at is not None:
        yield "closed"
    if state.quarantined:
        yield f"quarantined for {listed(state.quarantined)}"
    if state.uninterpreted:
        yield f"nothing allowed, for this version cannot weigh {listed(state.uninterpreted)}"


def _act_words(act: Act) -> str:
    block = act.block
    shown = f" ({act.expression})" if act.expression is not None else ""
    cells = _cells(block.purpose, block.operations, block.data, block.recipients)
    return f"{act.status} by {act.actor_role}{shown}: {cells}"


def _mark_words(mark: Mark) -> str:
    scope = mark.scope
    cells = _cells(scope.purpose, scope.operations, scope.data, scope.recipients)
    return f"{mark.status} by {mark.actor_role}: {cells}"


def _opt_out_words(opt_out: OptOut) -> str:
    return f"opted out by {opt_out.actor_role}: {opt_out.purpose}"


def _permission_words(permission: Permission) -> str:
    device = f" on {permission.device}" if permission.device else ""
    return f"permission {permission.name} {permission.state}{device}"


def _cells(purpose: str, operations: Iterable[Operation], data: Iterable[str], recipients: Iterable[str]) -> str:
    to = list(recipients)
    towards = f" to {listed(to)}" if to else ""
    return (
        f"{listed(operations, 'any operation on')} {listed(data, 'any data')} for {purpose or 'any purpose'}{towards}"
    )
