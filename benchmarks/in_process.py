"""B4: what the parts cost in one process, without Kafka: decode, fold, encode, decide. The best of five rounds."""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec

from benchmarks.inputs import FORTY, FORTY_IN_TEN, ONE, TEN, Shape, grant, subject_name
from benchmarks.report import Say
from consentry.codec import decode_event, decode_row, encode_event, encode_row
from consentry.decision import Request, View, decide
from consentry.events import Genesis, PolicyRevised, Recorded, RecordedPolicyEvent
from consentry.folding import RawRecord, fold_record
from consentry.policy import Policies, parse_policy
from consentry.state.fold import fold
from consentry.state.row import CellBlock, SubjectState
from consentry.terms import Operation, Position, Reason, SubjectIds

ROUNDS = 5
POLICY = Path(__file__).parent.parent / "examples" / "policies" / "reference-v1.yaml"
GENESIS = Genesis(log_id=UUID(int=1), epoch=1, partitions=1, subject_ids=SubjectIds.PLAIN)
AT = 1_790_000_000_000
ASKED_PURPOSE, ASKED_DATUM = "interaction.follow", "followed_accounts"


class PartCosts(msgspec.Struct, frozen=True, kw_only=True):
    """us for one call, at rows of one shape."""

    shape: str
    decode_event_us: float
    fold_us: float
    encode_row_us: float
    decode_row_us: float
    fold_record_us: float
    """a record's bytes to a new row of a subject that has one: decode event and row, fold, encode the row"""
    decide_us: float
    row_bytes: int
    event_bytes: int


def measure(loops: int, say: Say) -> list[PartCosts]:
    found = []
    for shape in (ONE, TEN, FORTY, FORTY_IN_TEN):
        say(f"in process: {shape.name}")
        found.append(_costs(shape, loops))
    return found


def _costs(shape: Shape, loops: int) -> PartCosts:
    state = _row(shape)
    row = encode_row(state)
    position = Position(1, 0, state.position.offset + 1)
    event = grant(shape, state.subject, 0, UUID(int=77, version=4), AT + 1_000)
    value = encode_event(event)
    recorded = Recorded(position, AT + 1_000, event)
    record = RawRecord("consent-events", 0, position.offset, AT + 1_000, state.subject.encode(), value)

    def whole() -> None:
        folded = fold_record(record, GENESIS, lambda _: decode_row(row))
        assert folded.state is not None
        encode_row(folded.state)

    return PartCosts(
        shape=shape.name,
        decode_event_us=_best(lambda: decode_event(value), loops),
        fold_us=_best(lambda: fold(state, recorded), loops),
        encode_row_us=_best(lambda: encode_row(state), loops),
        decode_row_us=_best(lambda: decode_row(row), loops),
        fold_record_us=_best(whole, loops),
        decide_us=_best(_question(state), loops),
        row_bytes=len(row),
        event_bytes=len(value),
    )


def _row(shape: Shape) -> SubjectState:
    """A subject's row once it has all its cells."""
    subject = subject_name(1)
    state = SubjectState.unknown(subject, 1, 0)
    for number in range(shape.acts):
        event = grant(shape, subject, number, UUID(int=number + 1, version=4), AT + number)
        state = fold(state, Recorded(Position(1, 0, number + 1), AT + number, event))
    return state


def _question(state: SubjectState) -> Callable[[], object]:
    """A check that allows: the row's last grant is made to be about a cell of the reference policy."""
    block = CellBlock(ASKED_PURPOSE, (Operation.COLLECT,), (ASKED_DATUM,))
    asked = msgspec.structs.replace(state.acts[-1], block=block)
    row = msgspec.structs.replace(state, acts=(*state.acts[:-1], asked))
    request = Request(subject=state.subject, operation=Operation.COLLECT, purpose=ASKED_PURPOSE, data=(ASKED_DATUM,))
    view = View(row=row, position=row.position, staleness_ms=5)
    policies = _policies()
    answer = decide(view, policies, request, AT + 10_000)
    assert answer.reason is Reason.CONSENT, answer
    return lambda: decide(view, policies, request, AT + 10_000)


def _policies() -> Policies:
    document = POLICY.read_text(encoding="utf-8")
    parsed = parse_policy(document)
    revised = PolicyRevised(
        event_id=UUID(int=5, version=4),
        policy=parsed.id,
        occurred_at=parsed.effective_at,
        version=parsed.version,
        effective_at=parsed.effective_at,
        document=document,
        text="",
        text_hash="",
    )
    return Policies().after(RecordedPolicyEvent(Position(1, 0, 1), parsed.effective_at, revised))


def _best(call: Callable[[], object], loops: int) -> float:
    """us a call: the best round, since what slows a round down is never the code."""
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            started = time.process_time()
            for _ in range(loops):
                call()
            best = min(best, time.process_time() - started)
    finally:
        gc.enable()
    return best * 1e6 / loops
