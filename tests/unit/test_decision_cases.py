"""The policy's clauses as tables: given these events, when this is asked, then that is answered."""

from typing import Any

import pytest
from casebook import Case, every_case, milliseconds
from unit.story import START, answer_to, history_of

from consentry.decision import Decision
from consentry.policy import ALLOWING
from consentry.terms import Reason, Status

CASES = [pytest.param(case, id=case.title) for case in every_case()]
KNOWN = {"reason", "clause", "status", "basis", "evidence", "obligations", "may_ask", "ask_after", "expires_at"}
KNOWN |= {"tightened", "results", "policy_version"}


@pytest.mark.parametrize("case", CASES)
def test_a_clause_is_kept(case: Case) -> None:
    answer = answer_to(case, history_of(case))
    assert (answer.reason, answer.clause) == (case.then["reason"], case.then["clause"])
    assert answer.allow == (answer.reason in ALLOWING)
    found = _parts(answer)
    for name in case.then.keys() & found.keys():
        assert found[name] == _resolved(case, name), name


def test_every_reason_is_answered_in_a_case() -> None:
    answered = {case.values[0].then["reason"] for case in CASES}
    assert answered == set(Reason)


def test_every_status_is_answered_in_a_case() -> None:
    answered = {case.values[0].then.get("status", "unknown") for case in CASES}
    assert answered == set(Status)


def test_no_case_expects_what_no_answer_has() -> None:
    assert set().union(*(case.values[0].then for case in CASES)) <= KNOWN


def test_no_two_cases_have_one_name() -> None:
    names = [case.id for case in CASES]
    assert len(set(names)) == len(names)


def _parts(answer: Decision) -> dict[str, Any]:
    return {
        "status": answer.status,
        "basis": answer.basis,
        "evidence": sorted(answer.evidence),
        "obligations": list(answer.obligations),
        "may_ask": answer.prompt.may_ask,
        "ask_after": answer.prompt.ask_after,
        "expires_at": answer.expires_at,
        "tightened": None if answer.tightened_position is None else answer.tightened_position.offset - 1,
        "results": [result.reason for result in answer.results],
        "policy_version": answer.policy_version,
    }


def _resolved(case: Case, name: str) -> Any:
    """Events are named by their place in `given`, times by how long after the start they are."""
    value = case.then[name]
    if name == "evidence":
        return sorted(str(case.event_id(place)) for place in value)
    if name in ("ask_after", "expires_at") and value is not None:
        return START + milliseconds(value)
    return value
