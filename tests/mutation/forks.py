"""Each mutant in a process of its own: a limit on the time of a core it may take, and what came of it.

What comes of a mutant is one line of a file, written at once: a run that is interrupted goes on from there.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Any

Mutant = dict[str, str]
Begin = Callable[[str, float], None]
"""says what is tried now, and how long it took the original"""
Try = Callable[[Mutant, list[str], Begin], "Verdict"]

AT_LEAST_S, TIMES = 6.0, 10.0
"""What takes so much longer than the original did runs for ever: it is seen."""

ROOM = 2 << 30
"""bytes that a mutant may take beyond what the original holds"""
IDLE_S, IDLE_CPU_S = 600, 0.5
"""A process that takes less than half a second of a core in ten minutes waits for ever."""
SAID_EACH_S = 30.0


class Killed(BaseException):
    """A test has failed; nothing that a test runs takes it for its own."""


class Verdict(IntEnum):
    """What came of a mutant, as its process's exit code."""

    KILLED = 10
    KILLED_LATE = 11
    SURVIVED = 12
    STRICTER = 13
    ALLOWS_MORE = 14
    WAITS = 15

    @property
    def told(self) -> str:
        return "timed out" if self is Verdict.WAITS else self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Work:
    """What is to be run."""

    mutants: list[Mutant]
    results: Path
    killers: Path
    histories: int
    jobs: int


@dataclass
class Running:
    mutant: Mutant
    told: int
    """the end of a pipe that tells what is tried"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def work_from(environment: Mapping[str, str]) -> Work:
    return Work(
        json.loads(Path(environment["MUTANTS"]).read_text(encoding="utf-8")),
        Path(environment["MUTATION_RESULTS"]),
        Path(environment["MUTATION_KILLERS"]),
        int(environment["MUTATION_HISTORIES"]),
        int(environment["MUTATION_JOBS"]),
    )


def function_of(mutant: Mutant) -> str:
    return f"{mutant['module']}.{mutant['function']}"


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """What is known already, without a line that was not written to its end."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    path.write_text("".join(_line(each) for each in found), encoding="utf-8")
    return found


def _line(result: dict[str, Any]) -> str:
    return json.dumps(result, ensure_ascii=False) + "\n"


@dataclass
class Progress:
    """How far it is, on stderr."""

    total: int
    done: int = 0
    found: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def count(self, result: str) -> None:
        self.done += 1
        self.found[result] += 1
        now = time.monotonic()
        if now - self.said < SAID_EACH_S and self.done < self.total:
            return
        self.said = now
        rate = self.done / (now - self.began)
        left = (self.total - self.done) / rate / 60
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.found.items()))
        say(f"{self.done} of {self.total} ({60 * rate:.0f} a minute, {left:.0f} min left): {counts}")


class Forks:
    """Runs `attempt` in a fork for each mutant, so many at a time."""

    def __init__(self, work: Work, attempt: Try, killers: int) -> None:
        self._work = work
        self._attempt = attempt
        self._most_killers = killers
        self._killers: dict[str, list[str]] = {}
        self._running: dict[int, Running] = {}
        if work.killers.exists():
            self._killers = json.loads(work.killers.read_text(encoding="utf-8"))

    def control(self) -> dict[str, Any]:
        """What comes of nothing mutated."""
        self._fork({"file": "", "module": "", "name": "", "function": ""})
        return self._ended()

    def run_all(self) -> None:
        """Each mutant that has no result yet, in a random order: so the rate tells the time that is left."""
        known = {(line["file"], line["name"]) for line in _whole_lines(self._work.results)}
        left = [each for each in self._work.mutants if (each["file"], each["name"]) not in known]
        say(f"{len(left)} mutants" + (f", {len(self._work.mutants) - len(left)} measured before" if known else ""))
        random.Random(0).shuffle(left)
        progress = Progress(len(left))
        again: list[Mutant] = []
        with self._work.results.open("a", encoding="utf-8") as results:
            for mutant in [*left, None]:
                while self._running and (mutant is None or len(self._running) >= self._work.jobs):
                    line = self._ended()
                    if not line["result"]:
                        again.append(line)
                        continue
                    self._keep(line, results, progress)
                if mutant is not None:
                    self._fork(mutant)
            for mutant in again:  # ended by something from without, most likely: memory, a signal. Alone now.
                self._fork(mutant)
                line = self._ended()
                if not line["result"]:
                    raise RuntimeError(f"not measured, the process ended with {line['code']}: {mutant}")
                self._keep(line, results, progress)

    def _keep(self, line: dict[str, Any], results: Any, progress: Progress) -> None:
        results.write(_line(line))
        results.flush()
        progress.count(line["result"])
        if line["result"] == Verdict.KILLED.told and line["by"]:
            others = [name for name in self._killers.get(function_of(line), []) if name != line["by"]]
            self._killers[function_of(line)] = [line["by"], *others][: self._most_killers]
            if progress.done % 100 == 0:
                self._work.killers.write_text(json.dumps(self._killers), encoding="utf-8")

    def _fork(self, mutant: Mutant) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._in_fork(mutant, writing)
        os.close(writing)
        self._running[child] = Running(mutant, reading)

    def _ended(self) -> dict[str, Any]:
        """The next that ends. Its result is empty where it ended by nothing that a mutant does."""
        child, status, usage = os.wait4(-1, 0)
        running = self._running.pop(child)
        with os.fdopen(running.told, "rb") as told:
            tried = told.read().decode()
        code = os.waitstatus_to_exitcode(status)
        result = "timed out" if code == -signal.SIGXCPU else ""
        if code in list(Verdict):
            result = Verdict(code).told
        return {**running.mutant, "result": result, "cpu_s": round(usage.ru_utime, 2), "code": code, "by": tried}

    def _in_fork(self, mutant: Mutant, writing: int) -> None:
        """Never returns."""
        tried = ""

        def begin(name: str, took: float) -> None:
            nonlocal tried
            tried = name
            _limit(AT_LEAST_S + TIMES * took)

        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            _guard()
            code = self._attempt(mutant, self._killers.get(function_of(mutant), []), begin)
        except BaseException:  # whatever it raises, a test would have seen it
            code = Verdict.KILLED
        os.write(writing, tried.encode()[:4_000])
        os._exit(code)


def _limit(cpu_s: float) -> None:
    """From now on; the time of a core, not of a clock: another process that is busy kills no mutant."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + cpu_s) + 1, most))


def _guard() -> None:
    """Against what takes all memory, and against what waits for ever and takes no time of a core."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who interrupts the run has killed nothing
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, held + ROOM))
    last = time.process_time()

    def look(_signal: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.process_time() - last < IDLE_CPU_S:
            os._exit(Verdict.WAITS)
        last = time.process_time()

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, IDLE_S, IDLE_S)
