"""Mutation testing of the fold and of the decision: no mutant that the tests miss may turn a DENY into an ALLOW."""

import pytest
from mutation import report, run


@pytest.mark.deep
def test_no_mutant_that_tests_miss_allows_what_is_denied() -> None:
    allowing = run.main([])
    report.PAGE.write_text(report.page(), encoding="utf-8")
    assert allowing == 0


def test_the_page_tells_what_was_last_measured() -> None:
    assert report.PAGE.read_text(encoding="utf-8") == report.page(), "run: python tests/mutation/report.py"


def test_each_survivor_is_argued_to_be_harmless_and_each_argument_is_for_a_survivor() -> None:
    results, harmless = report.measured()
    assert report.unjudged(results, harmless) == []
    assert report.idle(results, harmless) == []
