"""B1: events folded per second from a log that is already there: the worker, Quix Streams, a bare read; in turn.

A run is timed from its first record in hand to everything durable: for the worker, the broker's time of the watermark
that completes the last partition; for Quix Streams, its group's offsets committed, which it does after its changelog.
Starting, joining the group and restoring (of nothing) are not part of it.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.answers import compare
from benchmarks.children import Child
from benchmarks.cluster import (
    STATE,
    forget,
    load_log,
    log_ends,
    make_topics,
    read_all,
    settings_of,
    topics_of,
    wait_until_committed,
    watermarks_reached_at,
)
from benchmarks.inputs import Shape, acts
from benchmarks.report import Say, Spread, spread_of
from consentry.codec import decode_row
from consentry.events import Genesis
from consentry.replica.rows import WATERMARK_KEY
from consentry.settings import Settings

START_TIMEOUT_S = 90.0
RUN_TIMEOUT_S = 240.0
ROWS_SAMPLED = 2_000


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One who folds, or only reads, and what that came to."""

    name: str
    events_per_s: Spread
    processor_us_per_event: float | None
    peak_mb: float | None


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    shape: str
    events: int
    subjects: int
    cells_per_row: float
    row_bytes: float
    event_bytes: float
    contenders: tuple[Contender, ...]
    ratios: tuple[Spread, ...]
    """of the worker to each of the others, run by run"""
    same_rows: int
    """rows that the worker and Quix Streams came to, equal byte for byte"""


class Run(msgspec.Struct, frozen=True):
    events_per_s: float
    processor_us: float | None
    peak_bytes: int | None


class Race:
    """One log of one shape, and everybody who runs over it."""

    def __init__(self, settings: Settings, identity: Genesis, events: int, ends: dict[int, int]) -> None:
        self._settings = settings
        self._identity = identity
        self._events = events
        self._ends = ends
        self._number = 0

    async def worker(self) -> Run:
        """From an empty consent-state: it is made anew, or the worker would go on from its watermarks."""
        group = f"{self._settings.topic_prefix}consentry-workers"
        if self._number:
            forget(self._settings, topics=[self._settings.topic(STATE)], groups=[group])
            await make_topics(self._settings)
        self._number += 1
        with Child(self._settings, "benchmarks.fold_worker") as child:
            began = (await child.wait_for("began", START_TIMEOUT_S)).at
            before = child.processor_seconds()
            await wait_until_committed(self._settings, group, self._ends, RUN_TIMEOUT_S)
            ended = await watermarks_reached_at(self._settings, self._ends)
            return self._run(began, ended, before, child)

    async def quix(self, guarantee: str, keep: Callable[[dict[bytes, bytes]], None] | None = None) -> Run:
        group = f"{self._settings.topic_prefix}quix-{self._number}-{guarantee}"
        with _directory() as state_dir:
            identity = (str(self._identity.log_id), str(self._identity.epoch))
            arguments = (group, guarantee, state_dir, *identity, str(self._events))
            with Child(self._settings, "benchmarks.fold_quix", *arguments) as child:
                began = (await child.wait_for("began", START_TIMEOUT_S)).at
                before = child.processor_seconds()
                ended = await wait_until_committed(self._settings, group, self._ends, RUN_TIMEOUT_S)
                run = self._run(began, ended, before, child)
        changelog = next(name for name in topics_of(self._settings) if f"{group}--" in name)
        if keep is not None:
            keep({_subject_of(key): row for key, row in (await read_all(self._settings, changelog)).items()})
        forget(self._settings, topics=[changelog], groups=[group])
        return run

    async def read(self) -> Run:
        with Child(self._settings, "benchmarks.fold_read") as child:
            began = (await child.wait_for("began", START_TIMEOUT_S)).at
            before = child.processor_seconds()
            ended = (await child.wait_for("ended", RUN_TIMEOUT_S)).at
            return self._run(began, ended, before, child)

    async def rows(self) -> dict[bytes, bytes]:
        rows = await read_all(self._settings, self._settings.topic(STATE))
        rows.pop(WATERMARK_KEY, None)
        return rows

    def _run(self, began: int, ended: int, processor_before: float | None, child: Child) -> Run:
        after = child.processor_seconds()
        used = None
        if processor_before is not None and after is not None:
            used = (after - processor_before) * 1e6 / self._events
        return Run(self._events * 1000 / max(1, ended - began), used, child.peak_bytes())


async def race(
    bootstrap: str, shape: Shape, events: int, runs: int, say: Say, *, exactly_once: bool = False
) -> FoldResult:
    """Load a log, and let them run over it, one after another, `runs` times."""
    settings = settings_of(bootstrap, "fold")
    identity = await make_topics(settings)
    say(f"{shape.name}: loading {events:,} events")
    event_bytes = await load_log(settings, acts(shape, events))
    contest = Race(settings, identity, events, await log_ends(settings))
    theirs: dict[bytes, bytes] = {}
    turns: dict[str, Callable[[], Coroutine[None, None, Run]]] = {
        "consentry worker": contest.worker,
        "quix streams": lambda: contest.quix("at-least-once", None if theirs else theirs.update),
    }
    if exactly_once:
        turns["quix streams, exactly once"] = lambda: contest.quix("exactly-once")
    turns["aiokafka, read only"] = contest.read
    done: dict[str, list[Run]] = {name: [] for name in turns}
    same = 0
    rows: dict[bytes, bytes] = {}
    for number in range(runs):
        for name, turn in turns.items():
            run = await turn()
            done[name].append(run)
            say(f"{shape.name}: run {number + 1}, {name}: {run.events_per_s:,.0f} events/s")
        if not number:
            rows = await contest.rows()
            same = compare(rows, theirs)
            say(f"{shape.name}: {same:,} rows of both are the same, byte for byte")
    forget(settings, topics=topics_of(settings))
    return _result(shape, events, rows, same, event_bytes, done)


def _result(
    shape: Shape, events: int, rows: dict[bytes, bytes], same: int, event_bytes: float, done: dict[str, list[Run]]
) -> FoldResult:
    sample = random.Random(0).sample(sorted(rows), min(len(rows), ROWS_SAMPLED))
    cells = [sum(act.block.size for act in decode_row(rows[key]).acts) for key in sample]
    ours, *others = done.values()
    return FoldResult(
        shape=shape.name,
        events=events,
        subjects=len(rows),
        cells_per_row=sum(cells) / len(cells),
        row_bytes=sum(len(rows[key]) for key in sample) / len(sample),
        event_bytes=event_bytes,
        contenders=tuple(_contender(name, runs) for name, runs in done.items()),
        ratios=tuple(
            spread_of([a.events_per_s / b.events_per_s for a, b in zip(ours, other, strict=True)]) for other in others
        ),
        same_rows=same,
    )


def _contender(name: str, runs: list[Run]) -> Contender:
    used = [run.processor_us for run in runs if run.processor_us is not None]
    peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
    return Contender(
        name=name,
        events_per_s=spread_of([run.events_per_s for run in runs]),
        processor_us_per_event=spread_of(used).median if used else None,
        peak_mb=max(peaks) / 2**20 if peaks else None,
    )


def _subject_of(changelog_key: bytes) -> bytes:
    """Quix Streams joins the record's key and the key within its state: `<subject>|"row"`."""
    return changelog_key.rpartition(b"|")[0]


@contextmanager
def _directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="consentry-bench-quix-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
