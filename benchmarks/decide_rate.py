"""B3: full decisions a second on one core, each of another subject, asked in random order. Nothing is remembered.

Every subject has its own decoded row, acts and ids, as `decode_row` makes them; the words of the vocabulary, and so the
blocks of cells, are shared. The pool is made in portions, whose making is not timed, so that memory stays bounded: a
portion (50,000 rows) is still far larger than a processor's caches.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator

import cedarpy
import msgspec

from benchmarks.inputs import SEED, subject_name
from benchmarks.report import Say, Spread, spread_of
from benchmarks.subjects import ADULTS, AT, EXEMPT, MINOR, NOW, POLICIES, REDUCED, Question, Sort
from consentry.decision import Request, View, decide
from consentry.policy import Policies
from consentry.state.row import SubjectState
from consentry.terms import ActorRole

PORTION = 50_000
CEDAR_RULE = """permit(principal, action, resource) when {
  context.cells.contains(context.cell) && context.now < context.valid_until
};"""
"""the least of what decide answers: is the cell among those granted, and has the grant not ended"""


class DecisionRate(msgspec.Struct, frozen=True, kw_only=True):
    rows: str
    asked: str
    subjects: int
    per_s: Spread
    """of the portions"""


def measure_decisions(subjects: int, say: Say) -> list[DecisionRate]:
    found = []
    for sort in ADULTS:
        say(f"decide: {sort.name}")
        found.append(_rate_of(sort, subjects, POLICIES[1]))
    for sort, versions in ((MINOR, 1), (EXEMPT, 1), (REDUCED, 2)):
        say(f"decide: {sort.name}")
        found.append(_rate_of(sort, max(PORTION // 10, subjects // 20), POLICIES[versions]))
    say("decide: Cedar")
    found.append(_cedar_rate(max(1_000, subjects // 50)))
    return found


def _rate_of(sort: Sort, subjects: int, policies: Policies) -> DecisionRate:
    chance = random.Random(SEED)
    rates = []
    for first in range(0, subjects, PORTION):
        asked = list(_questions(sort, first, min(PORTION, subjects - first), chance))
        chance.shuffle(asked)
        if not first:
            _check(asked, policies)
        pairs = [(view, question.request) for view, question in asked]
        rates.append(len(pairs) / _timed(lambda: _decide_all(pairs, policies)))  # noqa: B023  (called at once)
    return DecisionRate(rows=sort.name, asked=sort.asked, subjects=subjects, per_s=spread_of(rates))


def _decide_all(pairs: list[tuple[View, Request]], policies: Policies) -> None:
    for view, request in pairs:
        decide(view, policies, request, NOW)


def _check(asked: list[tuple[View, Question]], policies: Policies) -> None:
    """A figure for another answer than the one meant would be none."""
    for view, question in asked:
        answer = decide(view, policies, question.request, NOW)
        assert answer.reason is question.reason, (answer, question)


def _timed(call: Callable[[], None]) -> float:
    """Processor seconds; what the interpreter's collector would walk is only what the benchmark holds."""
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        call()
        return time.process_time() - started
    finally:
        gc.enable()


def _questions(sort: Sort, first: int, count: int, chance: random.Random) -> Iterator[tuple[View, Question]]:
    for number in range(first, first + count):
        row = row_of(sort.row, subject_name(number), chance)
        question = chance.choice(sort.questions)
        request = msgspec.structs.replace(question.request, subject=row.subject)
        yield View(row, row.position, 5), Question(request, question.reason)


def row_of(model: SubjectState, subject: str, chance: random.Random) -> SubjectState:
    """The model's row as this subject's own: its acts by itself, and every act with an id of its own."""
    acts = tuple(
        [
            msgspec.structs.replace(
                act,
                event_id=chance.randbytes(16),
                actor_id=subject if act.actor_role is ActorRole.SUBJECT else act.actor_id,
            )
            for act in model.acts
        ]
    )
    return msgspec.structs.replace(model, subject=subject, acts=acts)


def _cedar_rate(count: int) -> DecisionRate:
    """The peer: Cedar, its policy and entities parsed once, one rule over a context that holds the ten cells."""
    rules = cedarpy.PolicySet.from_str(CEDAR_RULE)
    entities = cedarpy.Entities.from_json_str("[]")
    chance = random.Random(SEED)
    cells = [
        f"{act.block.purpose}/{operation}/{datum}"
        for act in ADULTS[1].row.acts
        for operation in act.block.operations
        for datum in act.block.data
    ]
    requests = [
        {
            "principal": f'Subject::"{subject_name(number)}"',
            "action": 'Action::"collect"',
            "resource": 'Data::"any"',
            "context": {"cells": cells, "cell": chance.choice(cells), "now": NOW, "valid_until": NOW + AT},
        }
        for number in range(count)
    ]
    assert all(cedarpy.is_authorized(request, rules, entities).allowed for request in requests[:100])

    def ask_all() -> None:
        for request in requests:
            cedarpy.is_authorized(request, rules, entities)

    rates = [count / _timed(ask_all) for _ in range(3)]
    return DecisionRate(
        rows="10 cells, in its context", asked="Cedar (cedarpy): one rule", subjects=count, per_s=spread_of(rates)
    )
