"""A pytest plugin that asks, of each mutant, whether the tests see it. Run by `run.py`, in a copy of the tree.

The tests are gathered once and run once unmutated: which functions each calls, and how long it takes, is noted. Then
each mutant lives in a fork, which runs what calls the mutated function until something fails: first what killed other
mutants of that function, then the questions on which product and oracle agree, then the tests, the quickest first.
What none of them saw goes through the histories of the slow agreement test: another answer than the original's is one
that this test sees. On as many other histories again, what no test saw must allow nothing that the original denies.

Before any mutant a fork goes through all of it with nothing mutated: it has to see nothing.
"""

import gc
import os
import time

import mutation_switch as switch
import pytest
from hypothesis import HealthCheck, Phase, settings
from mutation import answers, forks
from mutation.forks import Verdict

COMPARED, SLOW = 300, 5_000
"""histories of the agreement tests that `make test` and `make slow` run"""
EXAMPLES = 60
"""of a property: drawn alike for each mutant, and not shrunk"""
LONGEST_S = 4.0
"""a test that takes longer, unmutated, is left out"""
KILLERS = 12
"""of one function: what is tried first"""


Trying = answers.Asked | pytest.Item


class Trial:
    """All that a mutant is asked, and what the original took for it."""

    def __init__(self, session: pytest.Session, histories: int) -> None:
        self.failed: set[str] = set()
        self.forked = False
        self.calls: dict[str, answers.Calls] = {}
        self.took: dict[str, float] = {}
        self.items: list[pytest.Item] = []
        self.questions: list[answers.Asked] = []
        self.tested: list[answers.Told] = []
        self.others: list[answers.Told] = []
        self.histories_s = 0.0
        self._items = _repeatable(session.items)
        self._histories = histories

    def run_unmutated(self) -> None:
        for place, item in enumerate(self._items):
            answers.called()
            began = time.process_time()
            _run(self._items, place)
            self.took[item.nodeid] = time.process_time() - began
            self.calls[item.nodeid] = answers.called()
        if self.failed:
            raise pytest.UsageError(f"unmutated, these fail: {sorted(self.failed)}")
        slow = [item.nodeid for item in self._items if self.took[item.nodeid] > LONGEST_S]
        quick = [item for item in self._items if self.took[item.nodeid] <= LONGEST_S]
        self.items = sorted(quick, key=lambda item: self.took[item.nodeid])
        forks.say(f"{len(self.items)} tests, {sum(self.took.values()):.0f} s unmutated; left out as too slow: {slow}")
        began = time.process_time()
        self.questions = answers.asked(range(COMPARED))
        self.calls |= {one.name: one.calls for one in self.questions}
        self.took |= {one.name: 0.0 for one in self.questions}
        self.tested = answers.told(range(COMPARED, min(SLOW, COMPARED + self._histories)))
        self.others = answers.told(range(SLOW, SLOW + self._histories))
        self.histories_s = time.process_time() - began
        told = len(self.tested) + len(self.others)
        forks.say(f"{len(self.questions)} questions, and those of {told} histories, {self.histories_s:.0f} s unmutated")

    def verdict(self, function: str, killers: list[str], begin: forks.Begin) -> Verdict:
        """In a fork, where the mutant is chosen. `function` is empty where nothing is mutated: then all is asked."""
        asked = self._asked(function, killers)
        for place, one in enumerate(asked):
            begin(_name(one), self.took[_name(one)])
            if isinstance(one, answers.Asked):
                if not answers.agrees(one):
                    return Verdict.KILLED
            else:
                later = next((each for each in asked[place + 1 :] if isinstance(each, pytest.Item)), None)
                one.config.hook.pytest_runtest_protocol(item=one, nextitem=later)
        begin("", self.histories_s)
        if next(answers.changes(self.tested, function), None) is not None:
            return Verdict.KILLED_LATE
        found = list(answers.changes(self.others, function))
        if any(one.allowing for one in found):
            return Verdict.ALLOWS_MORE
        return Verdict.STRICTER if found else Verdict.SURVIVED

    def _asked(self, function: str, killers: list[str]) -> list[Trying]:
        every: list[Trying] = [*self.questions, *self.items]
        chosen = [one for one in every if not function or function in self.calls[_name(one)]]
        rank = {name: place for place, name in enumerate(killers)}
        return sorted(chosen, key=lambda one: rank.get(_name(one), len(rank)))


def _name(one: Trying) -> str:
    return one.name if isinstance(one, answers.Asked) else one.nodeid


def _run(items: list[pytest.Item], place: int) -> None:
    later = items[place + 1] if place + 1 < len(items) else None
    items[place].config.hook.pytest_runtest_protocol(item=items[place], nextitem=later)


_trial: Trial | None = None


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
    if report.failed and _trial is not None:
        if _trial.forked:
            raise forks.Killed(report.nodeid)
        _trial.failed.add(report.nodeid)


def pytest_runtestloop(session: pytest.Session) -> bool:
    global _trial
    work = forks.work_from(os.environ)
    trial = _trial = Trial(session, work.histories)
    trial.run_unmutated()
    gc.collect()
    gc.freeze()

    def of_mutant(mutant: forks.Mutant, killers: list[str], begin: forks.Begin) -> Verdict:
        trial.forked = True
        switch.choose(mutant["module"], mutant["name"])
        return trial.verdict(forks.function_of(mutant), killers, begin)

    def of_nothing(_mutant: forks.Mutant, _killers: list[str], begin: forks.Begin) -> Verdict:
        trial.forked = True
        return trial.verdict("", [], begin)

    control = forks.Forks(work, of_nothing, KILLERS).control()
    if control["result"] != Verdict.SURVIVED.told:
        raise pytest.UsageError(f"unmutated, in a fork: {control}")
    forks.say(f"nothing mutated, and nothing seen: {control['cpu_s']:.0f} s")
    forks.Forks(work, of_mutant, KILLERS).run_all()
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
