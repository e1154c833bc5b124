"""An answer as a person would say it, sentence by sentence. Adds nothing to what was decided."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Protocol

import msgspec

from consentry.authzen import (
    Action,
    AnswerContext,
    CheckContext,
    EvaluationAnswer,
    EvaluationRequest,
    Resource,
    Subject,
)
from consentry.decision import DatumResult, Duty, Request
from consentry.policy import Policy
from consentry.policy.wording import clauses_of
from consentry.terms import Basis, Form, Reason, Status
from streams.wording import REASON_WORDS, listed, prompt_words

BASIS_WORDS: dict[Basis, str] = {
    Basis.NECESSITY: "It rests on necessity: the purpose cannot be served without these data, so it needs no consent.",
    Basis.CONSENT: "It rests on consent.",
    Basis.EXEMPTION: "It rests on an exemption: no consent is needed while that is live.",
}
STATUS_WORDS: dict[Status, str] = {
    Status.REQUESTED: "The consent has been asked for, and not yet given.",
    Status.DEFERRED: "The person put the answer off.",
    Status.REFUSED: "The consent was refused.",
    Status.GIVEN: "The consent has been given.",
    Status.WITHDRAWN: "The consent was withdrawn.",
    Status.REVOKED: "The consent was revoked by the controller.",
    Status.INVALIDATED: "The consent was found not to be valid.",
    Status.UNKNOWN: "",
    Status.PENDING_GUARDIAN: "The consent waits for a guardian's.",
    Status.EXPIRED: "The consent has expired.",
    Status.RECONSENT_DUE: "The consent was given under other terms, and has to be given anew.",
    Status.CLOSED: "The account is closed, and its consents ended with it.",
}
DUTY_WORDS: dict[Duty, str] = {
    Duty.DEIDENTIFY: "Bring the data into the form that the policy asks for before you use them.",
    Duty.STOP_PROCESSING: "Stop what you are doing with these data for this purpose.",
    Duty.DELETE_OR_ANONYMISE: "Delete what you hold of them for this purpose, or make it anonymous.",
    Duty.ASK_AGAIN: "Ask the person before you go on.",
    Duty.ASK_GUARDIAN: "Ask a guardian of the person.",
    Duty.REAFFIRM: "Ask the person, who has come of age, to give the consent anew; until then it stands.",
}
QUOTED_CHARACTERS = 400
HEADING_CHARACTERS = 100
_TOWARDS = {"share": "with", "collect": "from"}
"""how an operation regards a recipient, if not as who is sent something"""
_HEADING = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2})*)\.?\s+(?P<title>\S.*)")
_LETTER = re.compile(r"\.[a-z]$")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Event(Protocol):
    """What is known of an event that stands as evidence."""

    @property
    def event_id(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def position(self) -> str: ...
    @property
    def recorded_at(self) -> int: ...


class Background(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known, for the answer to be told with: all of it may be missing."""

    text: str = ""
    """the policy's wording, whole, of the version that answered"""
    policy: Policy | None = None
    """the same version's document, for what it lists"""
    events: tuple[Event, ...] = ()
    zone: tzinfo = UTC
    """in which times are told"""


NOTHING_ELSE = Background()


def headline_of(answer: EvaluationAnswer) -> str:
    """The short form: ALLOW or DENY, the reason, the clause."""
    found = answer.context
    clause = f"  clause {found.clause}" if found.clause else ""
    return f"{'ALLOW' if answer.decision else 'DENY'}  {found.reason}{clause}"


def explanation(
    question: EvaluationRequest, answer: EvaluationAnswer, background: Background = NOTHING_ELSE
) -> Iterator[str]:
    """A headline, then the answer sentence by sentence."""
    found = answer.context
    yield headline_of(answer)
    may = "may" if answer.decision else "may not"
    yield f"You {may} {_asked(question)}: {REASON_WORDS[found.reason]}."
    yield from _clause(found, background.text)
    if background.policy is not None:
        yield from _listed(question, found.reason, background.policy)
    if len(found.results) > 1:
        yield from map(_result, found.results)
    yield from _ground(found)
    yield from _evidence(found.evidence, background)
    if found.expires_at is None:
        yield "The passing of time alone does not change this answer."
    else:
        yield f"Time alone changes this answer on {spoken(found.expires_at, background.zone)}."
    yield from _duties(found.obligations)
    if not answer.decision:
        yield _prompt(found, background.zone)
    age = "of unknown age" if found.staleness_ms is None else f"at most {found.staleness_ms} ms old"
    yield f"Seen at {found.position}, {age}."


def _asked(question: EvaluationRequest) -> str:
    context = question.context or CheckContext()
    data = (context.data,) if isinstance(context.data, str) else context.data or ()
    parts = [f"{question.action.name} {listed(data)} of {question.subject.type}:{question.subject.id}"]
    if context.recipient is not None:
        parts.append(f"{_TOWARDS.get(question.action.name, 'to')} {context.recipient}")
    parts.append(f"for {question.resource.id}")
    if context.form not in (None, Form.IDENTIFIABLE):
        parts.append(f"in {context.form} form")
    return " ".join(parts)


def _clause(found: AnswerContext, text: str) -> Iterator[str]:
    version = "the policy" if found.policy_version is None else f"version {found.policy_version} of the policy"
    if not found.clause:
        yield f"No clause of {version} speaks of it, and what no clause allows is denied."
        return
    title = _title_of(found.clause, text)
    wording = clauses_of(text).get(found.clause, "")
    if wording == title:  # a clause that is its own heading
        title = ""
    under = f", under “{_shortened(title, HEADING_CHARACTERS)}”," if title else ""
    said = wording.removeprefix(f"{title} ") if title else wording
    yield f"Clause {found.clause} of {version}{under} {f'says: “{_shortened(said)}”' if said else 'decides it.'}"


def _listed(question: EvaluationRequest, reason: Reason, policy: Policy) -> Iterator[str]:
    """What the policy lists, where the question names something else."""
    line, asked = policy.purposes.get(question.resource.id), question.context or CheckContext()
    if reason is Reason.TRANSFER_MECHANISM_REQUIRED and asked.transfer_mechanism not in policy.transfer_mechanisms:
        yield f"As transfer mechanism it lists {listed(policy.transfer_mechanisms, 'none')}."
    elif line is None:
        return
    elif reason is Reason.RECIPIENT_NOT_COVERED and asked.recipient not in line.recipients:
        yield f"As recipient it names {listed(line.recipients, 'nobody')} for this purpose."
    elif reason is Reason.IDENTIFIABLE_FORM and line.form is not Form.IDENTIFIABLE:
        yield f"It asks for the form {line.form} for this purpose, and for data joined with no identity."


def heading_of(clause: str, text: str) -> str:
    """The title under which a clause stands in the policy's text; empty where the text shows none."""
    return _shortened(_title_of(clause, text), HEADING_CHARACTERS)


def _title_of(clause: str, text: str) -> str:
    titles: dict[str, str] = {}
    for line in text.splitlines():
        match = _HEADING.fullmatch(line.strip())
        if match is not None:
            titles.setdefault(match["number"], " ".join(match["title"].split()))
    number = _LETTER.sub("", clause)
    while number:
        if number in titles:
            return titles[number]
        number = number.rpartition(".")[0]
    return ""


def _shortened(words: str, limit: int = QUOTED_CHARACTERS) -> str:
    return words if len(words) <= limit else f"{words[:limit].rpartition(' ')[0]} …"


def _result(result: DatumResult) -> str:
    clause = f" (clause {result.clause})" if result.clause else ""
    return f"{result.data}: {'allowed' if result.allow else 'not allowed'}, {REASON_WORDS[result.reason]}{clause}."


def _ground(found: AnswerContext) -> Iterator[str]:
    if found.basis is not None:
        yield BASIS_WORDS[found.basis]
    if STATUS_WORDS[found.status]:
        yield STATUS_WORDS[found.status]


def _evidence(evidence: Sequence[str], background: Background) -> Iterator[str]:
    known: Mapping[str, Event] = {event.event_id: event for event in background.events}
    for event_id in evidence:
        event = known.get(event_id)
        if event is None:
            yield f"The evidence is event {event_id}."
        else:
            when = spoken(event.recorded_at, background.zone)
            yield f"The evidence is event {event_id} ({event.what}), recorded at {event.position} on {when}."


def _duties(obligations: Sequence[str]) -> Iterator[str]:
    words: Mapping[str, str] = {duty.value: says for duty, says in DUTY_WORDS.items()}
    for duty in obligations:
        yield f"What follows for you: {words.get(duty, f'{duty}.')}"  # a newer node may know more of them


def _prompt(found: AnswerContext, zone: tzinfo) -> str:
    after = found.prompt.ask_after
    if found.reason in _NEVER_ASKED_FOR and not found.prompt.may_ask and after is None:
        return "Asking the person would not change it."
    if found.prompt.may_ask or after is None:
        return prompt_words(found.prompt)
    return f"The person may be asked again after {spoken(after, zone)}, or when they start it themselves."


_NEVER_ASKED_FOR = frozenset({Reason.GUARDIAN_REQUIRED, Reason.PENDING_GUARDIAN, Reason.SUBJECT_CLOSED})


def spoken(at_ms: int, zone: tzinfo = UTC) -> str:
    """Tuesday, 24 November 2026, 13:50:36 UTC"""
    try:
        at = datetime.fromtimestamp(at_ms / 1000, zone)
    except (ValueError, OverflowError, OSError):
        return "a day beyond every calendar"
    return f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M:%S} {at.tzname()}"


def question_of(request: Request) -> EvaluationRequest:
    """A request in the words of the check API."""
    kind, _, name = request.subject.partition(":")
    return EvaluationRequest(
        subject=Subject(kind, name),
        action=Action(request.operation),
        resource=Resource("purpose", request.purpose),
        context=CheckContext(
            data=request.data,
            recipient=request.recipient,
            form=request.form,
            active=request.active,
            device=request.device,
            transfer_mechanism=request.transfer_mechanism,
            joined_with_identity=request.joined_with_identity,
            scene=request.scene,
            user_initiated=request.user_initiated,
        ),
    )
