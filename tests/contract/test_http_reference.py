"""docs/reference/http.md and reasons.md say what the code says, and their examples are answered."""

import re
from pathlib import Path

import pytest
from contract.in_memory import Node

from consentry.authzen import AnswerContext, CheckContext
from consentry.policy import ALLOWING
from consentry.terms import Reason
from streams.query.roles import EVERY_ROLE, OPEN_ROUTES, ROLES_OF_ROUTE

ROOT = Path(__file__).parents[2]
HTTP = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
REASONS = (ROOT / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```http\n(\S+) (\S+)\n(.*?)```", HTTP, re.DOTALL)


def rows_of(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def test_each_route_has_its_line_with_the_roles_that_may() -> None:
    documented = {cells[0].strip("`"): cells[1] for cells in rows_of(HTTP) if cells[0].startswith(("`GET", "`POST"))}
    in_the_code = {
        route: "any" if roles == EVERY_ROLE else ", ".join(sorted(roles)) for route, roles in ROLES_OF_ROUTE.items()
    }
    assert documented == {**in_the_code, **dict.fromkeys(OPEN_ROUTES, "no token")}


def test_each_field_of_a_check_and_of_its_answer_has_its_line() -> None:
    documented = {cells[0].strip("`") for cells in rows_of(HTTP)}
    assert {*CheckContext.__struct_fields__, *AnswerContext.__struct_fields__} <= documented


def test_each_problem_code_has_its_line() -> None:
    documented = {cells[1].strip("`") for cells in rows_of(HTTP) if len(cells) == 3 and cells[1].startswith("`")}
    sources = [*(ROOT / "streams" / "query").glob("*.py"), *(ROOT / "consentry" / "intake").glob("*.py")]
    found: set[str] = set()
    for source in sources:
        text = source.read_text(encoding="utf-8")
        found.update(re.findall(r'code(?:: str)? ?= ?"([A-Z_]+)"', text))
        found.update(re.findall(r'\d{3}: "([A-Z_]+)"', text))
        found.update(re.findall(r'_conflict\([^)]*"([A-Z_]+)"\)', text))
    assert found >= {"MALFORMED", "INVALID_EVENT", "NOT_FOUND", "EVENT_ID_CONFLICT"}
    assert documented == found | {"REFUSED"}


def test_each_reason_has_its_line_and_its_decision() -> None:
    documented = {cells[1].strip("`"): cells[2] for cells in rows_of(REASONS)[2:]}
    assert documented == {reason: "ALLOW" if reason in ALLOWING else "DENY" for reason in Reason}


@pytest.mark.parametrize(("method", "path", "body"), EXAMPLES)
async def test_each_example_is_answered(method: str, path: str, body: str) -> None:
    answer = await Node().send(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 201), answer.text


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 8
