"""B2: from the acknowledgement of a withdrawal over HTTP to the first check that denies.

Withdrawals are sent at a constant rate, each at its own time whatever became of those before it; how late one was sent
is measured too. Half of them are followed by one check that names the position it must have seen (`min_position`); the
other half by a check every 2 ms without one, until it denies. Worker, query node, broker and load share the machine.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec

from benchmarks.children import Child
from benchmarks.cluster import forget, load_log, make_topics, settings_of, topics_of
from benchmarks.http_client import Connection, Pool
from benchmarks.inputs import ONE, grant, subject_name, wall_clock
from benchmarks.report import Percentiles, Say, percentiles_of
from consentry.authzen import EVALUATION_PATH
from consentry.intake import CallerRole
from consentry.settings import Settings
from consentry.terms import Operation
from streams.access import add_token
from streams.policies import publish_revision

POLICIES = Path(__file__).parent.parent / "examples" / "policies"
PURPOSE, DATUM = "interaction.follow", "followed_accounts"
START_TIMEOUT_S = 60.0
DENIED_TIMEOUT_S = 10.0
DOUBTS = ("STALE", "NOT_YET_VISIBLE")
"""these deny too, but for what is not known: the withdrawal counts as seen when it is the reason"""
POLL_S = 0.002
READY_POLL_S = 0.1
CONNECTIONS = 64
WARM_UP = 100


class RateResult(msgspec.Struct, frozen=True, kw_only=True):
    """ms, at one rate of withdrawals a second."""

    rate: int
    acknowledged_ms: Percentiles
    """from the time it was due to 201"""
    denied_by_position_ms: Percentiles
    """from 201 to the answer of one check with min_position"""
    denied_by_polling_ms: Percentiles
    """from 201 to the first check without min_position that denies"""
    sent_late_ms: Percentiles
    """by how much the load itself was behind its schedule"""
    doubted: int
    """answers in between that denied as STALE or NOT_YET_VISIBLE"""
    worker_processor_ms: float | None
    """for one withdrawal, heartbeats included"""
    node_processor_ms: float | None
    """for one withdrawal, and the checks that follow it"""


class Sample(msgspec.Struct, frozen=True):
    late_ms: float
    acknowledged_ms: float
    denied_ms: float
    by_position: bool
    doubted: int


class _Acknowledged(msgspec.Struct):
    position: str


class _Context(msgspec.Struct):
    reason: str


class _Answer(msgspec.Struct):
    decision: bool
    context: _Context


_acknowledged = msgspec.json.Decoder(_Acknowledged).decode
_answer = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


async def withdrawal(bootstrap: str, seconds: dict[int, int], say: Say) -> list[RateResult]:
    """Measure at each rate for so many seconds."""
    settings = settings_of(bootstrap, "http")
    subjects = [subject_name(number) for number in range(WARM_UP + sum(rate * s for rate, s in seconds.items()))]
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as directory:
        tokens = Path(directory) / "tokens.yaml"
        token = add_token(tokens, "bench", [CallerRole.PRODUCER, CallerRole.ASKER])
        served = msgspec.structs.replace(settings, token_file=str(tokens), http_port=0)
        await _prepare(served, subjects, say)
        async with _serving(served, token) as stack:
            results = []
            pool = stack.pool
            left = iter(subjects)
            for rate, duration in {WARM_UP: 1, **seconds}.items():
                batch = [next(left) for _ in range(rate * duration)]
                await _check_that_all_allow(pool, batch)
                await pool.warm(min(CONNECTIONS, rate))
                before = stack.processor_ms()
                samples = await _at_rate(pool, batch, rate)
                if rate == WARM_UP:
                    continue
                used = [_each(a, b, len(batch)) for a, b in zip(before, stack.processor_ms(), strict=True)]
                results.append(_result(rate, samples, *used))
                say(_line(results[-1]))
    forget(settings, topics=topics_of(settings))
    return results


class Stack:
    """What answers, and the connections to it."""

    def __init__(self, pool: Pool, worker: Child, node: Child) -> None:
        self.pool = pool
        self._children = (worker, node)

    def processor_ms(self) -> list[float | None]:
        """Used so far by the worker and by the node."""
        used = [child.processor_seconds() for child in self._children]
        return [None if seconds is None else seconds * 1000 for seconds in used]


def _each(before: float | None, after: float | None, count: int) -> float | None:
    return None if before is None or after is None else (after - before) / count


async def _prepare(settings: Settings, subjects: list[str], say: Say) -> None:
    """Topics, the reference policy, and for each subject a grant that can be withdrawn."""
    await make_topics(settings)
    document = (POLICIES / "reference-v1.yaml").read_text(encoding="utf-8")
    text = (POLICIES / "privacy-policy.txt").read_text(encoding="utf-8")
    await publish_revision(settings, document, text, now=wall_clock(), event_id=uuid4(), producer="bench")
    say(f"withdrawals: {len(subjects):,} subjects agree")
    await load_log(
        settings,
        (
            msgspec.structs.replace(
                grant(ONE, subject, 0, UUID(int=number, version=4), wall_clock()),
                purpose=PURPOSE,
                operations=(Operation.COLLECT,),
                data=(DATUM,),
            )
            for number, subject in enumerate(subjects)
        ),
    )


@asynccontextmanager
async def _serving(settings: Settings, token: str) -> AsyncIterator[Stack]:
    """A worker and a query node, ready to answer."""
    with Child(settings, "benchmarks.fold_worker") as worker, Child(settings, "benchmarks.query_node") as node:
        await worker.wait_for("began", START_TIMEOUT_S)
        url = urlsplit((await node.wait_for("listening", START_TIMEOUT_S)).text)
        pool = Pool(url.hostname or "", url.port or 0, {"authorization": f"Bearer {token}"})
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            connection = await pool.take()
            while (await connection.get(b"/readyz")).status != 200:
                worker.require_alive()
                node.require_alive()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the query node is not ready\n{node.log_end()}\n{worker.log_end()}")
                await asyncio.sleep(READY_POLL_S)
            pool.give(connection)
            yield Stack(pool, worker, node)
        finally:
            pool.close()


async def _check_that_all_allow(pool: Pool, subjects: list[str]) -> None:
    """Or the DENY that is waited for would prove nothing."""
    connection = await pool.take()
    for subject in subjects:
        deadline = time.monotonic() + DENIED_TIMEOUT_S
        while not (answer := await _evaluate(connection, _question(subject))).decision:
            if time.monotonic() > deadline:
                raise AssertionError(f"denied before it was withdrawn: {answer.context.reason}")
            await asyncio.sleep(READY_POLL_S)
    pool.give(connection)


async def _at_rate(pool: Pool, subjects: list[str], rate: int) -> list[Sample]:
    """One withdrawal each 1/rate s, none of them waiting for another."""
    begin = time.perf_counter() + 0.1
    tasks = []
    for number, subject in enumerate(subjects):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_withdraw(pool, subject, due, by_position=number % 2 == 0)))
    return await asyncio.gather(*tasks)


async def _withdraw(pool: Pool, subject: str, due: float, *, by_position: bool) -> Sample:
    late = time.perf_counter() - due
    connection = await pool.take()
    answer = await connection.post(b"/v1/events", _withdrawal_of(subject))
    acknowledged = time.perf_counter()
    if answer.status != 201:
        raise AssertionError(f"not acknowledged: {answer.status} {answer.body!r}")
    question = _question(subject, _acknowledged(answer.body).position if by_position else None)
    doubted = 0
    while (found := await _evaluate(connection, question)).context.reason != "WITHDRAWN":
        if found.decision and by_position:
            raise AssertionError("allowed at a position after the withdrawal")
        if not found.decision and found.context.reason not in DOUBTS:
            raise AssertionError(f"denied for another reason: {found.context.reason}")
        if time.perf_counter() - acknowledged > DENIED_TIMEOUT_S:
            raise AssertionError("a withdrawal was not seen")
        doubted += not found.decision
        await asyncio.sleep(POLL_S)
    denied = time.perf_counter()
    pool.give(connection)
    return Sample(late * 1e3, (acknowledged - due) * 1e3, (denied - acknowledged) * 1e3, by_position, doubted)


async def _evaluate(connection: Connection, question: bytes) -> _Answer:
    answer = await connection.post(EVALUATION_PATH.encode(), question)
    if answer.status != 200:
        raise AssertionError(f"no answer: {answer.status} {answer.body!r}")
    return _answer(answer.body)


def _withdrawal_of(subject: str) -> bytes:
    return _encode(
        {
            "type": "ConsentWithdrawn",
            "event_id": str(uuid4()),
            "subject": subject,
            "occurred_at": wall_clock(),
            "actor": {"role": "subject", "id": subject},
            "channel": "app",
            "purpose": PURPOSE,
        }
    )


def _question(subject: str, min_position: str | None = None) -> bytes:
    kind, _, name = subject.partition(":")
    context = {"data": DATUM} if min_position is None else {"data": DATUM, "min_position": min_position}
    return _encode(
        {
            "subject": {"type": kind, "id": name},
            "action": {"name": "collect"},
            "resource": {"type": "purpose", "id": PURPOSE},
            "context": context,
        }
    )


def _result(rate: int, samples: list[Sample], worker_ms: float | None, node_ms: float | None) -> RateResult:
    return RateResult(
        rate=rate,
        acknowledged_ms=percentiles_of([sample.acknowledged_ms for sample in samples]),
        denied_by_position_ms=percentiles_of([sample.denied_ms for sample in samples if sample.by_position]),
        denied_by_polling_ms=percentiles_of([sample.denied_ms for sample in samples if not sample.by_position]),
        sent_late_ms=percentiles_of([sample.late_ms for sample in samples]),
        doubted=sum(sample.doubted for sample in samples),
        worker_processor_ms=worker_ms,
        node_processor_ms=node_ms,
    )


def _line(found: RateResult) -> str:
    one, many = found.denied_by_position_ms, found.denied_by_polling_ms
    return (
        f"withdrawals: {found.rate}/s: denied after p50 {one.p50:.1f} p99 {one.p99:.1f} ms by position, "
        f"p50 {many.p50:.1f} p99 {many.p99:.1f} ms by polling; acknowledged p50 {found.acknowledged_ms.p50:.1f} ms"
    )
