"""What the original answers on fixed histories, and whether a mutant answers otherwise.

For each question it is noted which functions the original called for it: a mutant of another function cannot answer
otherwise, and is not asked.
"""

from collections.abc import Iterable, Iterator

import msgspec
import mutation_switch as switch
from oracle import agreement
from oracle.histories import PARTITION, SUBJECT, Question, history
from oracle.verdict import Verdict

from consentry.decision import Decision, View, decide
from consentry.events import Recorded, RecordedPolicyEvent
from consentry.policy import Policies
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState

Calls = frozenset[str]
_ALIKE: dict[Calls, Calls] = {}


class Asked(msgspec.Struct, frozen=True):
    """A question about a history, which oracle and product answer alike."""

    name: str
    events: tuple[Recorded, ...]
    policies: tuple[RecordedPolicyEvent, ...]
    question: Question
    calls: Calls = frozenset()


class Answer(msgspec.Struct, frozen=True):
    """What the original answered, and the row it answered from."""

    question: Question
    row: SubjectState | None
    decision: Decision
    calls: Calls


class Told(msgspec.Struct, frozen=True):
    """A history, with what the original answered in it, in the order of the log."""

    events: tuple[Recorded, ...]
    policies: Policies
    calls: Calls
    """of the fold"""
    answers: list[Answer]


class Changes(msgspec.Struct, frozen=True):
    """How often a mutant answered otherwise, and how often it allowed what the original denies."""

    otherwise: int = 0
    allowing: int = 0


def called() -> Calls:
    """The functions that were called since the last time; it begins anew."""
    found = frozenset(switch.hits)
    switch.hits.clear()
    return _ALIKE.setdefault(found, found)


def asked(seeds: range) -> list[Asked]:
    """The questions of the agreement test. Its verdicts are remembered: the oracle is not mutated."""
    _remember_verdicts()
    found = []
    for seed in seeds:
        tale = history(seed)
        for number, question in enumerate(tale.questions):
            one = Asked(f"history {seed}, question {number}", tale.events[: question.events], tale.policies, question)
            called()
            assert agrees(one), f"unmutated, oracle and product differ on {one.name}"
            found.append(msgspec.structs.replace(one, calls=called()))
    return found


def agrees(one: Asked) -> bool:
    return agreement.difference(one.events, one.policies, one.question) is None


def _remember_verdicts() -> None:
    memo: dict[tuple[int, int, int], Verdict] = {}
    ask = agreement.verdict_of

    def verdict_of(
        events: tuple[Recorded, ...],
        policies: tuple[RecordedPolicyEvent, ...],
        question: Question,
        now: int | None = None,
    ) -> Verdict:
        key = id(events), id(question), -1 if now is None else now
        if key not in memo:
            memo[key] = ask(events, policies, question, now)
        return memo[key]

    agreement.verdict_of = verdict_of


def told(seeds: range) -> list[Told]:
    found = []
    for seed in seeds:
        tale = history(seed)
        policies = agreement._policies(tale.policies)
        called()
        rows = list(_rows(tale.events, tale.questions))
        calls = called()
        answers = [Answer(question, row, _decision(row, policies, question), called()) for question, row in rows]
        found.append(Told(tale.events, policies, calls, answers))
    return found


def _rows(
    events: tuple[Recorded, ...], questions: Iterable[Question]
) -> Iterator[tuple[Question, SubjectState | None]]:
    """The row at each question, with the records folded once."""
    row: SubjectState | None = None
    done = 0
    for question in sorted(questions, key=lambda question: question.events):
        for recorded in events[done : question.events]:
            row, _ = fold_or_quarantine(row or SubjectState.unknown(SUBJECT, 1, PARTITION), recorded)
        done = max(done, question.events)
        yield question, row


def _decision(row: SubjectState | None, policies: Policies, question: Question) -> Decision:
    return decide(View(row, question.seen, question.staleness_ms), policies, question.request, question.now)


def changes(histories: list[Told], function: str) -> Iterator[Changes]:
    """One for each history that the mutant of this function answers otherwise; of "" all is asked.

    What raises answers otherwise, and allows nothing.
    """
    for one in histories:
        folds = _calls(one, function)
        if not folds and not any(_calls(answer, function) for answer in one.answers):
            continue
        try:
            found = _changes_in(one, function, folds=folds)
        except Exception:
            found = Changes(1)
        if found.otherwise:
            yield found


def _changes_in(one: Told, function: str, *, folds: bool) -> Changes:
    rows = [answer.row for answer in one.answers]
    if folds:
        rows = [row for _, row in _rows(one.events, [answer.question for answer in one.answers])]
    otherwise = allowing = 0
    for row, former in zip(rows, one.answers, strict=True):
        if row == former.row and not _calls(former, function):
            continue
        try:
            now = _decision(row, one.policies, former.question)
        except Exception:
            otherwise += 1
            continue
        if (now.allow, now.reason) != (former.decision.allow, former.decision.reason):
            otherwise += 1
            allowing += now.allow and not former.decision.allow
    return Changes(otherwise, allowing)


def _calls(one: Asked | Told | Answer, function: str) -> bool:
    return not function or function in one.calls
