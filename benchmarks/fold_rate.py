"""B3: folds a second on one core, from a record's Avro bytes to the Avro bytes of its subject's next row.

Each fold is of another subject, drawn from a million, in random order: its row exists and has all its cells, and the
event is one of the acts that follow (benchmarks/inputs.py). It is `fold_record`, the path of the worker, without Kafka:
the event decoded and its key compared, folded, and the new row encoded. Once with the former row at hand, decoded, as a
worker has it; once with its bytes alone, as it comes out of a store. The floor does no more than Avro: fastavro decodes
the same event and row and encodes the row again.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec

from benchmarks.decide_rate import row_of
from benchmarks.inputs import FORTY, FORTY_IN_TEN, ONE, POOL, SEED, TEN, Shape, act_of, grant, subject_name
from benchmarks.report import Say, Spread, spread_of
from consentry.codec import decode_row, encode_event, encode_row
from consentry.codec.framing import read, schema_of, write
from consentry.events import Genesis, Recorded
from consentry.folding import RawRecord, fold_record
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import Position, SubjectIds

TEN_IN_FIVE = Shape(name="10 cells in 5 acts", operations=2, data=1, acts=5)
SHAPES = (ONE, TEN, TEN_IN_FIVE, FORTY, FORTY_IN_TEN)
PORTION = 10_000
GENESIS = Genesis(log_id=UUID(int=1), epoch=1, partitions=1, subject_ids=SubjectIds.PLAIN)
AT = 1_790_000_000_000


class FoldRate(msgspec.Struct, frozen=True, kw_only=True):
    """A second; of the portions, each run all three ways in turn."""

    rows: str
    folds: int
    event_bytes: float
    row_bytes: float
    from_decoded_row: Spread
    from_row_bytes: Spread
    fastavro_alone: Spread


class _Item(msgspec.Struct, frozen=True):
    record: RawRecord
    row: bytes
    decoded: SubjectState


def measure_folds(folds: int, say: Say) -> list[FoldRate]:
    found = []
    for shape in SHAPES:
        say(f"fold: {shape.name}")
        found.append(_rate_of(shape, folds))
    return found


def _rate_of(shape: Shape, folds: int) -> FoldRate:
    chance = random.Random(SEED)
    numbers = chance.sample(range(POOL), folds)
    model = _model(shape)
    decoded: list[float] = []
    from_bytes: list[float] = []
    floor: list[float] = []
    event_bytes = row_bytes = 0
    for first in range(0, folds, PORTION):
        items = list(_items(shape, model, numbers[first : first + PORTION], chance))
        chance.shuffle(items)
        event_bytes += sum(len(item.record.value or b"") for item in items)
        row_bytes += sum(len(item.row) for item in items)
        for rates, way in ((decoded, _from_decoded), (from_bytes, _from_bytes), (floor, _avro_alone)):
            rates.append(len(items) / _timed(way, items))
    return FoldRate(
        rows=shape.name,
        folds=folds,
        event_bytes=event_bytes / folds,
        row_bytes=row_bytes / folds,
        from_decoded_row=spread_of(decoded),
        from_row_bytes=spread_of(from_bytes),
        fastavro_alone=spread_of(floor),
    )


def _model(shape: Shape) -> SubjectState:
    """A row with all its cells."""
    subject = subject_name(0)
    state = SubjectState.unknown(subject, 1, 0)
    for number in range(shape.acts):
        event = grant(shape, subject, number, UUID(int=number + 1, version=4), AT + number)
        state = fold(state, Recorded(Position(1, 0, number + 1), AT + number, event))
    return state


def _items(shape: Shape, model: SubjectState, numbers: list[int], chance: random.Random) -> Iterator[_Item]:
    offset, at = model.position.offset + 1, AT + 1_000
    for number in numbers:
        subject = subject_name(number)
        value = encode_event(act_of(shape, subject, shape.acts, chance, at))
        record = RawRecord("consent-events", 0, offset, at, subject.encode(), value)
        row = encode_row(row_of(model, subject, chance))
        yield _Item(record, row, decode_row(row))


def _from_decoded(item: _Item) -> None:
    folded = fold_record(item.record, GENESIS, lambda _: item.decoded)
    assert folded.state is not None, folded
    assert folded.quarantined is None, folded
    encode_row(folded.state)


def _from_bytes(item: _Item) -> None:
    folded = fold_record(item.record, GENESIS, lambda _: decode_row(item.row))
    assert folded.state is not None, folded
    assert folded.quarantined is None, folded
    encode_row(folded.state)


def _avro_alone(item: _Item) -> None:
    value = item.record.value or b""
    read(schema_of(value), value)
    write("SubjectState", read(schema_of(item.row), item.row))


def _timed(way: Callable[[_Item], None], items: list[_Item]) -> float:
    """Processor seconds."""
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        for item in items:
            way(item)
        return time.process_time() - started
    finally:
        gc.enable()
