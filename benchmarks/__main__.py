"""`python -m benchmarks`: starts a Kafka of its own, measures, prints a table, keeps it beside JSON, cleans up."""

import argparse
import asyncio
import datetime
import logging
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from benchmarks.cluster import TooSlow
from benchmarks.decide_rate import DecisionRate, measure_decisions
from benchmarks.fold_race import FoldResult, race
from benchmarks.fold_rate import FoldRate, measure_folds
from benchmarks.in_process import PartCosts, measure
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.replica_rate import ReplicaRate, measure_replica
from benchmarks.report import Say, commit, machine
from benchmarks.restore import RestoreResult, restore
from benchmarks.tables import Results, markdown
from benchmarks.withdrawal import RateResult, withdrawal
from streams.broker import KAFKA_VERSION, LocalKafka

RESULTS = Path(__file__).parent / "results"
PARTS = ("core", "parts", "replica", "fold", "restore", "withdrawal")
HEAP_MB = 1_024
SUSTAINED = ("-XX:+UseSerialGC", "-Xshare:auto")
"""the broker's virtual machine may compile as well as it can: it runs for minutes here"""


def main() -> int:
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    logging.basicConfig(level=logging.ERROR)
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:6.0f} s  {line}\n")
        sys.stderr.flush()

    before = machine(KAFKA_VERSION)
    head = commit()
    found = Found()
    complete = True
    try:
        _measure(plan, arguments.only, found, say)
    except TooSlow as fault:  # what was measured until then is still worth its time
        complete = False
        say(f"cut short: {fault}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        say("stopped")
        return 130
    results = Results(
        plan=plan.name if complete else f"{plan.name}, cut short",
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=head,
        seconds=round(time.monotonic() - started, 1),
        machine=before,
        fold=tuple(found.fold),
        withdrawal=tuple(found.withdrawal),
        restore=found.restore,
        decisions=tuple(found.decisions),
        folds=tuple(found.folds),
        replica=tuple(found.replica),
        parts=tuple(found.parts),
    )
    text = markdown(results)
    sys.stdout.write(text)
    if arguments.out is not None:
        _keep(arguments.out, results, text, say)
    return 0 if complete else 1


def _measure(plan: Plan, only: list[str], found: "Found", say: Say) -> None:
    if "core" in only:
        found.decisions = measure_decisions(plan.decisions, say)
        found.folds = measure_folds(plan.folds, say)
    if "parts" in only:
        found.parts = measure(plan.loops, say)
    if "replica" in only:
        found.replica = measure_replica(plan.replica_subjects, say)
    if not set(only) - {"core", "parts", "replica"}:
        return  # these need no Kafka
    with (
        LocalKafka.start(heap_mb=HEAP_MB, jvm_options=SUSTAINED, on_progress=say) as kafka,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_on_kafka(kafka.bootstrap, plan, only, found, say))


class Found:
    """What there is so far."""

    def __init__(self) -> None:
        self.decisions: list[DecisionRate] = []
        self.folds: list[FoldRate] = []
        self.parts: list[PartCosts] = []
        self.replica: list[ReplicaRate] = []
        self.fold: list[FoldResult] = []
        self.withdrawal: list[RateResult] = []
        self.restore: RestoreResult | None = None


async def _on_kafka(bootstrap: str, plan: Plan, only: list[str], found: Found, say: Say) -> None:
    """Raises TooSlow when the plan's time is over; SIGTERM, as Ctrl-C, stops what was started too."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with asyncio.timeout(plan.limit_s):
            await _in_order(bootstrap, plan, only, found, say)
    except TimeoutError as fault:
        raise TooSlow(f"it took more than {plan.limit_s} s") from fault


async def _in_order(bootstrap: str, plan: Plan, only: list[str], found: Found, say: Say) -> None:
    """The withdrawals last: a broker that has just started is still compiling itself."""
    if "fold" in only:
        for one in plan.foldings:
            found.fold.append(
                await race(bootstrap, one.shape, one.events, plan.runs, say, exactly_once=one.exactly_once)
            )
    if "restore" in only:
        found.restore = await restore(bootstrap, plan.restored_rows, plan.runs, say)
    if "withdrawal" in only:
        found.withdrawal = await withdrawal(bootstrap, plan.withdrawal_seconds, say)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and one run: shows that it works, no more")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated (default: all)")
    parser.add_argument("--out", type=Path, help="where to keep the results (benchmarks/results, if not quick)")
    arguments = parser.parse_args()
    arguments.only = arguments.only or list(PARTS)
    if arguments.out is None and not arguments.quick:
        arguments.out = RESULTS
    return arguments


def _keep(directory: Path, results: Results, text: str, say: Say) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{results.date[:10]}-{results.commit.rstrip('+').replace(' ', '-')}"
    json_path, table_path = directory / f"{name}.json", directory / f"{name}.md"
    json_path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    table_path.write_text(text, encoding="utf-8")
    say(f"kept in {json_path} and {table_path}")


if __name__ == "__main__":
    sys.exit(main())
