"""A run's figures as Markdown."""

from collections.abc import Iterator

import msgspec

from benchmarks.decide_rate import DecisionRate
from benchmarks.fold_race import FoldResult
from benchmarks.fold_rate import FoldRate
from benchmarks.in_process import PartCosts
from benchmarks.replica_rate import ReplicaRate
from benchmarks.report import Machine, Percentiles, ranged, table
from benchmarks.restore import RestoreResult
from benchmarks.withdrawal import RateResult


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run measured; what was not asked for is left out."""

    plan: str
    date: str
    commit: str
    seconds: float
    machine: Machine
    fold: tuple[FoldResult, ...] = ()
    withdrawal: tuple[RateResult, ...] = ()
    restore: RestoreResult | None = None
    decisions: tuple[DecisionRate, ...] = ()
    folds: tuple[FoldRate, ...] = ()
    replica: tuple[ReplicaRate, ...] = ()
    parts: tuple[PartCosts, ...] = ()


def markdown(results: Results) -> str:
    return "\n\n".join(_sections(results)) + "\n"


def _sections(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"# Benchmarks: {results.plan} run of {results.date}, commit {results.commit}"
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    yield (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB; {machine.system}; Python "
        f"{machine.python}; Apache Kafka {machine.kafka}, one broker on the same machine; {versions}. "
        f"Load of the system before: {machine.load_before}. The whole run took {results.seconds:.0f} s."
    )
    yield "Where a figure has three parts: the median of the runs (the lowest to the highest)."
    if results.fold:
        yield "## Events folded per second"
        yield _fold(results.fold)
        yield "\n".join(f"- {_inputs(one)}" for one in results.fold)
    if results.withdrawal:
        yield "## From an acknowledged withdrawal to the first DENY, over HTTP (ms)"
        yield _withdrawal(results.withdrawal)
    if results.restore is not None:
        yield "## Restore"
        yield _restore(results.restore)
    if results.decisions:
        yield "## Decisions per second, on one core: each of another subject, in random order"
        yield _decisions(results.decisions)
    if results.folds:
        yield "## Folds per second, on one core: an event's Avro bytes to the row's, each of another subject"
        yield _folds(results.folds)
    if results.replica:
        yield "## Checks per second from a replica in LMDB, on one core: each of another subject, no row decoded before"
        yield _replica(results.replica)
    if results.parts:
        yield "## Parts, in one process (processor time, us a call)"
        yield _parts(results.parts)


def _fold(found: tuple[FoldResult, ...]) -> str:
    head = ("rows", "who", "events/s", "the worker's ratio to it", "processor us/event", "peak MB")
    rows = []
    for one in found:
        ratios = ["", *(ranged(ratio, 2) for ratio in one.ratios)]
        for contender, ratio in zip(one.contenders, ratios, strict=True):
            used, peak = contender.processor_us_per_event, contender.peak_mb
            rows.append(
                (
                    one.shape,
                    contender.name,
                    ranged(contender.events_per_s),
                    ratio,
                    "" if used is None else f"{used:.1f}",
                    "" if peak is None else f"{peak:.0f}",
                )
            )
    return table(head, rows)


def _inputs(one: FoldResult) -> str:
    return (
        f"{one.shape}: {one.events:,} events of {one.event_bytes:.0f} bytes, {one.subjects:,} subjects touched; "
        f"rows of {one.row_bytes:.0f} bytes and {one.cells_per_row:.1f} cells in the mean; {one.same_rows:,} rows of "
        "the worker and of Quix Streams were compared and are the same, byte for byte"
    )


def _withdrawal(found: tuple[RateResult, ...]) -> str:
    head = ("withdrawals/s", "what", "samples", "p50", "p99", "max")
    rows = []
    for one in found:
        named = (
            ("denied, one check with min_position", one.denied_by_position_ms),
            ("denied, checks without it", one.denied_by_polling_ms),
            ("acknowledged", one.acknowledged_ms),
            ("the load behind its schedule", one.sent_late_ms),
        )
        rows += [(str(one.rate), name, *_percentiles(values)) for name, values in named]
    return "\n\n".join((table(head, rows), *(_remark(one) for one in found)))


def _remark(one: RateResult) -> str:
    used = [
        f"{who} {milliseconds:.1f} ms"
        for who, milliseconds in (("worker", one.worker_processor_ms), ("query node", one.node_processor_ms))
        if milliseconds is not None
    ]
    return (
        f"At {one.rate}/s: processor time for one withdrawal with its checks: {', '.join(used) or 'not known'}; "
        f"answers in between that denied as STALE or NOT_YET_VISIBLE: {one.doubted}."
    )


def _percentiles(found: Percentiles) -> tuple[str, ...]:
    return (f"{found.samples:,}", f"{found.p50:.1f}", f"{found.p99:.1f}", f"{found.max:.1f}")


def _restore(found: RestoreResult) -> str:
    head = ("rows of one cell", "bytes a row", "rows/s", "memory a row, bytes", "peak MB")
    row = (
        f"{found.rows:,}",
        f"{found.row_bytes:.0f}",
        ranged(found.rows_per_s),
        f"{found.memory_bytes_per_row:.0f}",
        f"{found.peak_mb:.0f}",
    )
    replica = ("a replica cold, s", "warm, s", "file, bytes a row", "memory a row besides, bytes")
    held = (
        f"{found.replica_cold_s:.1f}",
        f"{found.replica_warm_s:.1f}",
        f"{found.replica_file_bytes_per_row:.0f}",
        f"{found.replica_memory_bytes_per_row:.0f}",
    )
    return "\n\n".join((table(head, [row]), table(replica, [held])))


def _replica(found: tuple[ReplicaRate, ...]) -> str:
    head = (
        "rows", "subjects", "checks/s", "p50 us", "p99 us", "us: row found", "row read", "decided",
        "file, bytes a subject",
    )  # fmt: skip
    rows = [
        (
            one.rows,
            f"{one.subjects:,}",
            ranged(one.per_s),
            f"{one.p50_us:.1f}",
            f"{one.p99_us:.1f}",
            f"{one.found_us:.1f}",
            f"{one.expanded_us:.1f}",
            f"{one.decided_us:.1f}",
            f"{one.file_bytes_per_subject:.0f}",
        )
        for one in found
    ]
    return table(head, rows)


def _decisions(found: tuple[DecisionRate, ...]) -> str:
    head = ("rows", "asked", "subjects", "decisions/s", "us a decision")
    rows = [
        (one.rows, one.asked, f"{one.subjects:,}", ranged(one.per_s), f"{1e6 / one.per_s.median:.1f}") for one in found
    ]
    return table(head, rows)


def _folds(found: tuple[FoldRate, ...]) -> str:
    head = (
        "rows", "event bytes", "row bytes", "folds/s, former row decoded", "us", "folds/s, former row as bytes", "us",
        "fastavro alone: event and row read, row written",
    )  # fmt: skip
    rows = [
        (
            one.rows,
            f"{one.event_bytes:.0f}",
            f"{one.row_bytes:.0f}",
            ranged(one.from_decoded_row),
            f"{1e6 / one.from_decoded_row.median:.1f}",
            ranged(one.from_row_bytes),
            f"{1e6 / one.from_row_bytes.median:.1f}",
            ranged(one.fastavro_alone),
        )
        for one in found
    ]
    return table(head, rows)


def _parts(found: tuple[PartCosts, ...]) -> str:
    head = (
        "row", "bytes", "event bytes", "decode event", "decode row", "fold", "encode row", "record to row", "decide",
    )  # fmt: skip
    rows = [
        (
            one.shape,
            str(one.row_bytes),
            str(one.event_bytes),
            f"{one.decode_event_us:.1f}",
            f"{one.decode_row_us:.1f}",
            f"{one.fold_us:.1f}",
            f"{one.encode_row_us:.1f}",
            f"{one.fold_record_us:.1f}",
            f"{one.decide_us:.1f}",
        )
        for one in found
    ]
    return table(head, rows)
