"""What was measured, on which machine, as JSON and as a table."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

Say = Callable[[str], None]

PACKAGES = (
    "aiokafka", "cedarpy", "confluent-kafka", "fastavro", "faust-streaming", "lmdb", "msgspec", "quixstreams",
    "rocksdict", "uvicorn", "uvloop",
)  # fmt: skip


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs of one thing."""

    median: float
    low: float
    high: float
    runs: tuple[float, ...]


def spread_of(runs: Sequence[float]) -> Spread:
    return Spread(median=statistics.median(runs), low=min(runs), high=max(runs), runs=tuple(runs))


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of single measurements, ms."""

    samples: int
    p50: float
    p99: float
    max: float


def percentiles_of(values: Sequence[float]) -> Percentiles:
    """By rank: p99 is a value that 99 % do not exceed."""
    ranked = sorted(values)
    last = len(ranked) - 1
    return Percentiles(
        samples=len(ranked),
        p50=ranked[min(last, len(ranked) // 2)],
        p99=ranked[min(last, -(-len(ranked) * 99 // 100) - 1)],
        max=ranked[last],
    )


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of two machines are not to be compared; ratios may be."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    kafka: str
    load_before: float
    """of the system, one minute; well above 0 means that something else ran too"""


def machine(kafka: str) -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=platform.platform(),
        python=sys.version.split()[0],
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
        kafka=kafka,
        load_before=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def commit() -> str:
    """Of the tree that was measured; with `+` where it had changes."""
    git = ("git", "-C", str(Path(__file__).parent.parent))
    head = subprocess.run((*git, "rev-parse", "--short=12", "HEAD"), capture_output=True, text=True, check=False)
    if head.returncode:
        return "not a git checkout"
    changed = subprocess.run((*git, "status", "--porcelain", "-uno"), capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first to the right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ranged(spread: Spread, digits: int = 0) -> str:
    """The median, and the lowest and highest run."""
    return f"{spread.median:,.{digits}f} ({spread.low:,.{digits}f} to {spread.high:,.{digits}f})"
