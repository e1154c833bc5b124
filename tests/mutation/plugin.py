"""A pytest plugin that asks, of each mutant, whether the tests see it. Run by `run.py`, in a copy of the tree.

The tests are gathered once and run once unmutated: which functions each calls, and how long it takes, is noted. Then
each mutant lives in a fork, which first compares the product with the oracle on fixed histories, and then runs the
tests that call the mutated function, the quickest first, until one fails. What no quick test saw goes through the
histories of the slow agreement test: another answer than the original's is one that this test sees. On as many other
histories again, what no test saw must allow nothing that the original denies.
"""

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import mutation_switch as switch
import pytest
from hypothesis import HealthCheck, Phase, settings
from oracle import agreement
from oracle.histories import PARTITION, SUBJECT, Question, history
from oracle.verdict import Verdict

from consentry.decision import Decision, View, decide
from consentry.events import Recorded, RecordedPolicyEvent
from consentry.policy import Policies
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState

KILLED, KILLED_LATE, SURVIVED, STRICTER, ALLOWS_MORE = 10, 11, 12, 13, 14
NAMES = {
    KILLED: "killed",
    KILLED_LATE: "killed late",
    SURVIVED: "survived",
    STRICTER: "stricter",
    ALLOWS_MORE: "allows more",
}
TIMED_OUT = "timed out"
COMPARED, SLOW = 300, 5_000
"""histories of the agreement tests that `make test` and `make slow` run"""
EXAMPLES = 60
"""of a property: drawn alike for each mutant, and not shrunk"""
LONGEST_S = 4.0
"""a test that takes longer, unmutated, is left out"""
CPU_S = 30
"""a mutant whose tests need more runs for ever: it is seen"""
MiB = 1 << 20
MEMORY = 3_000 * MiB


class Asked(msgspec.Struct, frozen=True):
    """A question about a history."""

    events: tuple[Recorded, ...]
    policies: tuple[RecordedPolicyEvent, ...]
    question: Question


class Told(msgspec.Struct, frozen=True):
    """A history: after so many of its records the original had this row, and gave this answer."""

    events: tuple[Recorded, ...]
    policies: Policies
    answers: list[tuple[int, Question, SubjectState | None, Decision]]


@dataclass
class Run:
    """What is to be run, and what came of it."""

    mutants: list[dict[str, str]]
    results: Path
    histories: int
    jobs: int
    calls: dict[str, set[str]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    in_fork: bool = False


RUN = Run(
    json.loads(Path(os.environ["MUTANTS"]).read_text(encoding="utf-8")),
    Path(os.environ["MUTATION_RESULTS"]),
    int(os.environ.get("MUTATION_HISTORIES", "5000")),
    int(os.environ.get("MUTATION_JOBS", "2")),
)


def pytest_configure() -> None:
    settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        max_examples=EXAMPLES,
    )
    settings.load_profile("mutation")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        if RUN.in_fork:
            os._exit(KILLED)
        RUN.failed.add(report.nodeid)


def pytest_runtestloop(session: pytest.Session) -> bool:
    items = _quick(_repeatable(session.items))
    if RUN.failed:
        raise pytest.UsageError(f"unmutated, these fail: {sorted(RUN.failed)}")
    corpus = list(_corpus(range(COMPARED)))
    memo: dict[tuple[int, int, int], Verdict] = {}
    _remember_verdicts(memo)
    switch.hits.clear()
    assert all(_agrees(asked) for asked in corpus), "unmutated, oracle and product differ"
    called = frozenset(switch.hits)
    print(f"{len(items)} tests, {len(corpus)} questions, {len(RUN.mutants)} mutants", flush=True)
    more = None
    if RUN.histories:
        more = _told(range(COMPARED, min(SLOW, COMPARED + RUN.histories))), _told(range(SLOW, SLOW + RUN.histories))
    gc.collect()
    gc.freeze()
    _run_all(items, corpus, called, more)
    return True


def _repeatable(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests that set how many examples they draw draw fewer, and the same ones each time."""
    for item in items:
        function = getattr(item, "obj", None)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None:
            fewer = settings(settings.get_profile("mutation"), max_examples=min(EXAMPLES, own.max_examples))
            function._hypothesis_internal_use_settings = fewer
    return items


def _quick(items: list[pytest.Item]) -> list[pytest.Item]:
    for place, item in enumerate(items):
        switch.hits.clear()
        began = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=_next(items, place))
        RUN.took[item.nodeid] = time.process_time() - began
        RUN.calls[item.nodeid] = set(switch.hits)
    kept = [item for item in items if RUN.took[item.nodeid] <= LONGEST_S]
    left_out = [item.nodeid for item in items if RUN.took[item.nodeid] > LONGEST_S]
    print(f"{sum(RUN.took.values()):.0f} s unmutated; too slow: {left_out}", flush=True)
    return sorted(kept, key=lambda item: RUN.took[item.nodeid])


def _next(items: list[pytest.Item], place: int) -> pytest.Item | None:
    return items[place + 1] if place + 1 < len(items) else None


def _corpus(seeds: range) -> Iterator[Asked]:
    for seed in seeds:
        tale = history(seed)
        for question in tale.questions:
            yield Asked(tale.events[: question.events], tale.policies, question)


def _remember_verdicts(memo: dict[tuple[int, int, int], Verdict]) -> None:
    """The oracle is not mutated: it is asked once, before the forks."""
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


def _agrees(asked: Asked) -> bool:
    return agreement.difference(asked.events, asked.policies, asked.question) is None


def _told(seeds: range) -> list[Told]:
    told = []
    for seed in seeds:
        tale = history(seed)
        policies = agreement._policies(tale.policies)
        answers = []
        for question, row in _rows(tale.events, tale.questions):
            answers.append((question.events, question, row, _decision(row, policies, question)))
        told.append(Told(tale.events, policies, answers))
    return told


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


def _changes(told: Told, *, folds: bool) -> Iterator[tuple[Decision, Decision | None]]:
    """Where the mutant answers otherwise: what the original said, and what it says; None: it raised."""
    rows = dict.fromkeys(range(len(told.answers)))
    if folds:
        rows = {n: row for n, (_, row) in enumerate(_rows(told.events, [each[1] for each in told.answers]))}
    for place, (_, question, row, former) in enumerate(told.answers):
        now = rows[place] if folds else row
        if folds and now == row:
            continue
        try:
            answer = _decision(now, told.policies, question)
        except Exception:
            yield former, None
            continue
        if (answer.allow, answer.reason) != (former.allow, former.reason):
            yield former, answer


def _run_all(
    items: list[pytest.Item], corpus: list[Asked], called: frozenset[str], more: tuple[list[Told], list[Told]] | None
) -> None:
    running: dict[int, tuple[dict[str, str], float]] = {}
    done = 0
    began = time.monotonic()
    with RUN.results.open("a", encoding="utf-8") as results:
        for mutant in [*RUN.mutants, None]:
            while running and (mutant is None or len(running) >= RUN.jobs):
                child, status, usage = os.wait4(-1, 0)
                told, _ = running.pop(child)
                code = os.waitstatus_to_exitcode(status)
                line = {**told, "result": NAMES.get(code, TIMED_OUT), "cpu_s": round(usage.ru_utime, 2), "code": code}
                results.write(json.dumps(line, ensure_ascii=False) + "\n")
                results.flush()
                done += 1
                if done % 100 == 0:
                    print(f"{done} of {len(RUN.mutants)}, {time.monotonic() - began:.0f} s", flush=True)
            if mutant is None:
                break
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                _in_fork(mutant, items, corpus, called, more)
            running[child] = mutant, time.monotonic()


def _in_fork(
    mutant: dict[str, str],
    items: list[pytest.Item],
    corpus: list[Asked],
    called: frozenset[str],
    more: tuple[list[Told], list[Told]] | None,
) -> None:
    RUN.in_fork = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, 20 * CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    key = f"{mutant['module']}.{mutant['function']}"
    switch.choose(mutant["module"], mutant["name"])
    try:
        if key in called and not all(_agrees(asked) for asked in corpus):
            os._exit(KILLED)
        chosen = [item for item in items if key in RUN.calls[item.nodeid]]
        for place, item in enumerate(chosen):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=_next(chosen, place))
    except BaseException:
        os._exit(KILLED)
    resource.setrlimit(resource.RLIMIT_CPU, (20 * CPU_S, 20 * CPU_S))
    os._exit(SURVIVED if more is None else _on_histories(more, folds=".state." in mutant["module"]))


def _on_histories(told: tuple[list[Told], list[Told]], *, folds: bool) -> int:
    tested, others = told
    try:
        if any(True for one in tested for _ in _changes(one, folds=folds)):
            return KILLED_LATE
    except Exception:
        return KILLED_LATE
    changes = [change for one in others for change in _changes(one, folds=folds)]
    if any(answer is not None and answer.allow and not former.allow for former, answer in changes):
        return ALLOWS_MORE
    return STRICTER if changes else SURVIVED
