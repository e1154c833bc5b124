"""docs/reference/clauses.md: every clause has its line, and every line names what there is."""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from casebook import CHAPTERS, cases_of, every_case
from oracle.test_agreement import DEEP, FAST, SLOW
from stack.test_cases_then import CASES as THEN
from stack.test_cases_then import OF_THE_NEWSLETTER
from unit.test_newsletter_policy import CASES as NEWSLETTER

from consentry.decision.duties import OBLIGATIONS_OF
from consentry.policy import ALLOWING, Policy, parse_policy
from consentry.policy.wording import clauses_of
from consentry.terms import Reason

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/reference/clauses.md"
POLICIES = PROJECT / "examples/policies"
_ROW = re.compile(r"\| (P|P-\d|\d[0-9a-z.]*) \| (.+) \| (.+) \| (.+) \|")
_NAME = re.compile(r"`([^`]+)`")


class Line(NamedTuple):
    """A clause as the page tells it."""

    demands: str
    code: tuple[str, ...]
    held: str

    @property
    def chapters(self) -> set[str]:
        return {name.removeprefix("cases/") for name in _NAME.findall(self.held) if name.startswith("cases/")}

    @property
    def tests(self) -> list[str]:
        return [name for name in _NAME.findall(self.held) if name.startswith("tests/")]


@cache
def lines() -> dict[str, Line]:
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    found = {clause: Line(demands, tuple(_NAME.findall(code)), held) for clause, demands, code, held in rows}
    assert len(found) == len(rows), "a clause has two lines"
    return found


@cache
def wording() -> dict[str, str]:
    return clauses_of((POLICIES / "privacy-policy.txt").read_text(encoding="utf-8"))


@cache
def policy() -> Policy:
    return parse_policy((POLICIES / "reference-v1.yaml").read_text(encoding="utf-8"))


def test_each_clause_of_the_text_has_a_line_in_the_order_of_the_text() -> None:
    assert list(lines()) == list(wording())


def test_each_clause_is_decided_and_tested_or_it_is_said_why_not() -> None:
    for clause, line in lines().items():
        if line.code:
            assert line.chapters or line.tests, clause
        else:
            assert re.sub(r"[`,. –]", "", _NAME.sub("", line.held)), clause


@pytest.mark.parametrize("place", sorted({place for line in lines().values() for place in line.code}))
def test_the_code_that_a_line_names_exists(place: str) -> None:
    module, _, name = place.rpartition(".")
    assert hasattr(importlib.import_module(module), name), place


@pytest.mark.parametrize("test", sorted({test for line in lines().values() for test in line.tests}))
def test_the_test_that_a_line_names_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in set(_tests_of(PROJECT / path)), test


def test_a_clause_names_the_chapters_that_hold_cases_of_it_and_no_others() -> None:
    chapters: dict[str, set[str]] = {clause: set() for clause in lines()}
    for case in every_case():
        for clause in case.clauses:
            assert clause in chapters, f"{case.chapter}: {case.name}: the text has no clause {clause}"
            chapters[clause].add(case.chapter)
    assert {clause: line.chapters for clause, line in lines().items()} == chapters


def test_the_page_says_how_many_cases_are_told_and_where() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:`cases/)?([\w-]+)`? \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    said = {name: (int(told.replace(",", "")), int(over_http.replace(",", ""))) for name, told, over_http in rows}
    every = list(every_case())
    at_their_moments = {case.title for case in THEN}
    over_http = Counter(case.chapter for case in every if not case.hangs_on_the_clock or case.title in at_their_moments)
    counts = {chapter: (len(cases_of(chapter)), over_http[chapter]) for chapter in CHAPTERS}
    counts["newsletter"] = (len(NEWSLETTER), len(OF_THE_NEWSLETTER))
    told, told_over_http = map(sum, zip(*counts.values(), strict=True))
    assert said == {**counts, "all": (told, told_over_http)}


def test_the_page_says_how_many_histories_the_oracle_judges() -> None:
    rows = re.findall(r"^\| `make (\w+)` \| ([\d,]*\d)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [("test", f"{FAST:,}"), ("slow", f"{SLOW:,}"), ("deep", f"{DEEP:,}")]


def test_each_clause_that_an_answer_names_has_a_line() -> None:
    assert {case.then["clause"] for case in every_case()} <= lines().keys()
    assert policy().clauses <= lines().keys()


def test_each_reason_to_deny_names_a_clause() -> None:
    assert policy().clause_of.keys() == set(Reason) - ALLOWING


def test_each_purpose_is_both_allowed_and_denied_by_a_case() -> None:
    allowed = {case.when["purpose"] for case in every_case() if case.then["reason"] in ALLOWING}
    denied = {case.when["purpose"] for case in every_case() if case.then["reason"] not in ALLOWING}
    assert sorted(policy().purposes.keys() - allowed) == []
    assert sorted(policy().purposes.keys() - denied) == []


def test_each_reason_stands_in_its_page_with_its_obligations() -> None:
    page = (PROJECT / "docs/reference/reasons.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `([A-Z_]+)` \| (ALLOW|DENY) \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert sorted(reason for reason, _, _ in rows) == sorted(Reason)
    assert {Reason(reason) for reason, said, _ in rows if said == "ALLOW"} == ALLOWING
    duties = {Reason(reason): tuple(_NAME.findall(duties)) for reason, _, duties in rows}
    assert duties == {reason: OBLIGATIONS_OF.get(reason, ()) for reason in Reason}


def _tests_of(path: Path) -> Iterator[str]:
    """Tests, and the invariants of what is run step by step; not what helps them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.name.startswith("test_") or "invariant()" in map(ast.unparse, node.decorator_list)
        ):
            yield node.name
