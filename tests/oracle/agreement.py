"""Oracle and product asked the same; where they differ, the shortest history that still shows it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
from oracle.histories import PARTITION, SUBJECT, History, Question, history
from oracle.oracle import answer
from oracle.verdict import Verdict

from consentry.decision import DatumResult, Decision, Duty, View, decide
from consentry.events import Recorded, RecordedPolicyEvent
from consentry.policy import Policies
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState
from consentry.terms import Reason

NAMES_EVIDENCE = {
    Reason.CONSENT, Reason.EXEMPT, Reason.REFUSED, Reason.WITHDRAWN, Reason.REVOKED, Reason.INVALIDATED,
    Reason.OPTED_OUT,
}  # fmt: skip


@dataclass(frozen=True)
class Disagreement:
    """One question to which the two answer differently."""

    seed: int
    question: Question
    events: tuple[Recorded, ...]
    policies: tuple[RecordedPolicyEvent, ...]
    why: str

    def __str__(self) -> str:
        return "\n".join(_lines(self))


_POLICIES: dict[int, tuple[tuple[RecordedPolicyEvent, ...], Policies]] = {}


def _policies(events: tuple[RecordedPolicyEvent, ...]) -> Policies:
    """Remembered by identity: hashing long documents again and again takes longer than deciding."""
    known = _POLICIES.get(id(events))
    if known is None or known[0] is not events:
        policies = Policies()
        for event in events:
            policies = policies.after(event)
        known = _POLICIES[id(events)] = events, policies
    return known[1]


def decision_of(
    events: Sequence[Recorded], policies: tuple[RecordedPolicyEvent, ...], question: Question, now: int | None = None
) -> Decision:
    """What the product answers."""
    row: SubjectState | None = None
    for recorded in events:
        row = row or SubjectState.unknown(SUBJECT, 1, PARTITION)
        row, fault = fold_or_quarantine(row, recorded)
        assert fault is None, f"fold raised: {fault}"
    view = View(row, question.seen, question.staleness_ms)
    return decide(view, _policies(policies), question.request, question.now if now is None else now)


def verdict_of(
    events: Sequence[Recorded], policies: tuple[RecordedPolicyEvent, ...], question: Question, now: int | None = None
) -> Verdict:
    """What the oracle answers."""
    at = question.now if now is None else now
    return answer(events, policies, question.request, at, question.staleness_ms, question.seen)


def difference(events: Sequence[Recorded], policies: tuple[RecordedPolicyEvent, ...], question: Question) -> str | None:
    """In what the two differ, in words; None: in nothing."""
    verdict = verdict_of(events, policies, question)
    try:
        decision = decision_of(events, policies, question)
    except Exception as fault:  # whatever it is, the product must not raise
        return f"the product raised {fault!r}"
    if (verdict.allow, verdict.reason) != (decision.allow, decision.reason) and not _same_allow(verdict, decision):
        return f"oracle {verdict.reason}, product {decision.reason}"
    if decision.reason is verdict.reason and decision.clause not in verdict.clauses:
        return f"oracle clause {sorted(verdict.clauses)}, product {decision.clause!r}"
    for datum, one, another in zip(question.request.data, verdict.results, decision.results, strict=False):
        if (found := _differs(one, another)) is not None:
            return f"{datum}: {found}"
    if decision.allow and any(one.reaffirm for one in verdict.results) != (Duty.REAFFIRM in decision.obligations):
        return f"oracle reaffirm {verdict.reaffirm}, product {[str(duty) for duty in decision.obligations]}"
    return _differs_before_it_expires(events, policies, question, verdict, decision)


def _same_allow(verdict: Verdict, decision: Decision) -> bool:
    """Of several data allowed for different reasons, the whole answer may name any."""
    return verdict.allow and decision.allow and decision.reason in {one.reason for one in verdict.results}


def _differs(verdict: Verdict, result: DatumResult) -> str | None:
    if (verdict.allow, verdict.reason) != (result.allow, result.reason):
        return f"oracle {verdict.reason}, product {result.reason}"
    if result.clause not in verdict.clauses:
        return f"oracle clause {sorted(verdict.clauses)}, product {result.clause!r}"
    if verdict.reason in NAMES_EVIDENCE:
        for needed in verdict.evidence:
            if not needed & set(result.evidence):
                return f"{verdict.reason} names {list(result.evidence)}, and none of {sorted(needed)}"
    return None


def _differs_before_it_expires(
    events: Sequence[Recorded],
    policies: tuple[RecordedPolicyEvent, ...],
    question: Question,
    verdict: Verdict,
    decision: Decision,
) -> str | None:
    """Before `expires_at` time alone changes nothing."""
    until = decision.expires_at
    if until is not None and until <= question.now:
        return f"it is {question.now}, and the answer expired at {until}"
    far = question.now + 400 * 86_400_000
    for moment in {(question.now + (until or far)) // 2, (until or far) - 1}:
        later = verdict_of(events, policies, question, moment)
        if (later.allow, later.reason) != (verdict.allow, verdict.reason):
            return f"expires_at {until}, and at {moment} the oracle says {later.reason}, not {verdict.reason}"
    return None


def disagreements(seed: int, counts: Counter[str] | None = None) -> Iterator[Disagreement]:
    tale = history(seed)
    for question in tale.questions:
        events = tale.events[: question.events]
        if counts is not None:
            counts[verdict_of(events, tale.policies, question).reason.value] += 1
        why = difference(events, tale.policies, question)
        if why is not None:
            yield _shrunk(tale, question, events, why)


def _shrunk(tale: History, question: Question, events: tuple[Recorded, ...], why: str) -> Disagreement:
    """Leave out whatever the difference does not need: events, policy records, data."""
    for size in (4, 2, 1, 1):
        at = 0
        while at < len(events):
            fewer = events[:at] + events[at + size :]
            if (still := difference(fewer, tale.policies, question)) is not None:
                events, why = fewer, still
            else:
                at += size
    policies = tale.policies
    for at in reversed(range(1, len(policies))):
        fewer_policies = policies[:at] + policies[at + 1 :]
        if (still := difference(events, fewer_policies, question)) is not None:
            policies, why = fewer_policies, still
    for datum in question.request.data:
        alone = replace(question, request=msgspec.structs.replace(question.request, data=(datum,)))
        if (still := difference(events, policies, alone)) is not None:
            question, why = alone, still
            break
    return Disagreement(tale.seed, question, events, policies, why)


def stored(found: Disagreement) -> bytes:
    """As a settled case is kept: whole, so that no later change of the generator touches it."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def restored(text: bytes) -> Disagreement:
    return msgspec.json.decode(text, type=Disagreement)


def _lines(found: Disagreement) -> Iterator[str]:
    yield f"seed {found.seed}: {found.why}"
    for policy_event in found.policies:
        yield f"  {_plain(policy_event.event, leave_out=('document', 'text', 'text_hash', 'event_id', 'occurred_at'))}"
    yield f"  events (log's clock; {found.question.now} is now)"
    for recorded in found.events:
        event, at = recorded.event, recorded.recorded_at
        clock = f"clock {event.occurred_at - at:+}" if event.occurred_at != at else "clock right"
        who = f"{event.actor.role}:{event.actor.id.removeprefix('account:')}"
        left_out = ("occurred_at", "actor", "subject", "channel", "policy", "sent_at")
        yield f"  o{recorded.position.offset} {at} ({clock}) {who} {_plain(event, leave_out=left_out)}"
    yield f"  asked at {found.question.now}, staleness {found.question.staleness_ms}: {_plain(found.question.request)}"


def _plain(value: msgspec.Struct, leave_out: Sequence[str] = ()) -> str:
    defaults = dict(zip(reversed(value.__struct_fields__), reversed(value.__struct_defaults__), strict=False))
    fields = []
    for name in value.__struct_fields__:
        held = getattr(value, name)
        if name not in leave_out and held is not None and held != defaults.get(name, object()):
            shown = str(held)[-6:] if name == "event_id" else held
            fields.append(f"{name}={_text(shown)}")
    return f"{type(value).__name__} {' '.join(fields)}"


def _text(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
