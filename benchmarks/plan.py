"""How much is measured: in about 13 minutes on two idle cores, or quickly, which only shows that it works."""

import msgspec
from msgspec.structs import replace

from benchmarks.inputs import FORTY, FORTY_IN_TEN, ONE, TEN, Shape


class Folding(msgspec.Struct, frozen=True, kw_only=True):
    shape: Shape
    events: int
    exactly_once: bool = False
    """let Quix Streams run a second time, with its transactions"""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, and when all of it is cut short."""

    name: str
    runs: int
    foldings: tuple[Folding, ...]
    withdrawal_seconds: dict[int, int]
    """rate a second -> for how long"""
    restored_rows: int
    loops: int
    decisions: int
    """different subjects that are asked about, for each size of row"""
    folds: int
    replica_subjects: int
    limit_s: int


FULL = Plan(
    name="full",
    runs=3,
    foldings=(
        Folding(shape=ONE, events=240_000),
        Folding(shape=TEN, events=200_000, exactly_once=True),
        Folding(shape=FORTY, events=200_000),
        Folding(shape=replace(FORTY_IN_TEN, subjects=12_000), events=180_000),
    ),
    withdrawal_seconds={1: 30, 50: 20, 300: 10},
    restored_rows=1_000_000,
    loops=5_000,
    decisions=1_000_000,
    folds=30_000,
    replica_subjects=200_000,
    limit_s=1_200,
)
QUICK = Plan(
    name="quick",
    runs=1,
    foldings=(
        Folding(shape=ONE, events=20_000),
        Folding(shape=replace(FORTY_IN_TEN, subjects=1_000), events=20_000, exactly_once=True),
    ),
    withdrawal_seconds={1: 3, 50: 3, 300: 2},
    restored_rows=50_000,
    loops=500,
    decisions=20_000,
    folds=3_000,
    replica_subjects=10_000,
    limit_s=300,
)
