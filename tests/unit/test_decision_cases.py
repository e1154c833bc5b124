"""The policy's clauses as tables: given these events, when this is asked, then that is answered."""

from typing import Any

import pytest
from unit.story import START, ask, chapter, event_id, events_of, first_version, milliseconds, row_of

from consentry.decision import Decision
from consentry.policy import ALLOWING

CHAPTERS = ("preamble", "browsing", "withdrawal", "freshness", "order")
CASES = [pytest.param(case, id=f"{name}: {case['name']}") for name in CHAPTERS for case in chapter(name)]


@pytest.mark.parametrize("case", CASES)
def test_a_clause_is_kept(case: dict[str, Any]) -> None:
    history = events_of(case.get("given", []))
    request = dict(case["when"])
    last = history[-1].recorded_at if history else START
    now = START + milliseconds(request.pop("at")) if "at" in request else last + 1_000
    staleness = request.pop("staleness", 100)
    answer = ask(row_of(history), first_version(), request, now, staleness)
    expected = case["then"]
    assert answer.reason == expected["reason"]
    assert answer.allow == (answer.reason in ALLOWING)
    assert answer.clause == expected["clause"]
    for name, value in _parts(answer, history).items():
        if name in expected:
            assert value == _resolved(name, expected[name]), name


def _parts(answer: Decision, history: list[Any]) -> dict[str, Any]:
    return {
        "status": answer.status,
        "basis": answer.basis,
        "evidence": list(answer.evidence),
        "obligations": list(answer.obligations),
        "may_ask": answer.prompt.may_ask,
        "ask_after": answer.prompt.ask_after,
        "expires_at": answer.expires_at,
        "tightened": None if answer.tightened_position is None else answer.tightened_position.offset - 1,
        "results": [result.reason for result in answer.results],
    }


def _resolved(name: str, value: Any) -> Any:
    """Events are named by their place in `given`, times by how long after the start they are."""
    if name == "evidence":
        return [str(event_id(place)) for place in value]
    if name in ("ask_after", "expires_at") and value is not None:
        return START + milliseconds(value)
    return value
