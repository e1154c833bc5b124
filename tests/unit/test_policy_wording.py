"""Clauses are found in the wording itself, untidy as it is."""

from hypothesis import given
from hypothesis import strategies as st
from unit.story import DOCUMENT, TEXT

from consentry.policy import clause_hashes, clauses_of, missing_clauses, parse_policy, unfound_clauses

CLAUSES = clauses_of(TEXT)


def test_the_items_before_the_first_heading_are_numbered_with_a_p() -> None:
    assert [clause for clause in CLAUSES if clause.startswith("P")] == ["P", "P-1", "P-2", "P-3", "P-4", "P-5"]
    assert CLAUSES["P-1"].startswith("We will collect and use your information")
    assert CLAUSES["P-5"].startswith("This Privacy Policy applies")


def test_the_table_of_contents_is_no_clause() -> None:
    assert "Contact Us" in CLAUSES["P"]


def test_each_chapter_is_found() -> None:
    assert [clause for clause in CLAUSES if clause.isdigit()] == [str(number) for number in range(1, 10)]


def test_each_clause_that_the_document_names_is_found() -> None:
    assert missing_clauses(parse_policy(DOCUMENT), TEXT) == ()


def test_a_letter_inside_a_line_opens_its_clause() -> None:
    assert CLAUSES["1.2.c"].endswith("corresponding to your IP address.")
    assert CLAUSES["1.2.d"].startswith("The above information we collect and use is de-identified")


def test_a_letter_that_runs_into_the_next_and_stands_again_is_one_clause() -> None:
    assert CLAUSES["3.1.3.a"].endswith("in order to help them improve")
    assert CLAUSES["3.1.3.b"].startswith("Ad Statistics:")
    assert "Advertising Statistics: We may share" in CLAUSES["3.1.3.b"]


def test_a_stray_number_at_the_end_of_a_line_opens_nothing() -> None:
    assert CLAUSES["5.g"].endswith("is based on a link from 6.")
    assert CLAUSES["6"].startswith("Management of your personal information")


def test_a_missing_heading_is_no_hindrance() -> None:
    assert "3.1" not in CLAUSES
    assert CLAUSES["3.1.1"] == "Sharing principles"


def test_a_paragraph_without_a_number_belongs_to_the_clause_before_it() -> None:
    assert "Geographic location information: GPS information" in CLAUSES["1.2.a"]


def test_a_number_that_does_not_rise_opens_nothing() -> None:
    assert clauses_of("3. Three\n\n1. is only a number\n\n4. Four\n") == {"3": "Three 1. is only a number", "4": "Four"}


def test_a_clause_that_is_not_in_the_text_is_missing() -> None:
    assert missing_clauses(parse_policy(DOCUMENT), TEXT.replace("6.6 Notifying", "Notifying")) == ("6.6",)


def test_a_clause_that_is_not_in_the_text_is_told_wherever_the_document_names_it() -> None:
    shorter = TEXT.replace("6.6 Notifying", "Notifying").replace("\n1.4 ", "\n1 4 ")
    unfound = unfound_clauses(DOCUMENT, shorter)
    assert [(each.clause, each.where.partition(", ")[2]) for each in unfound] == [
        ("6.6", "clause_of.SERVICE_DISCONTINUED"),
        ("1.4", "purposes.search.service.clause"),
    ]
    for each in unfound:
        line = DOCUMENT.splitlines()[int(each.where.split(",")[0].removeprefix("line ")) - 1]
        assert each.clause in line
    assert {each.clause for each in unfound} == set(missing_clauses(parse_policy(DOCUMENT), shorter))


def test_the_clauses_of_exemptions_are_looked_for_too() -> None:
    document = DOCUMENT.replace("clause: 1.9.a", "clause: 1.9.z").replace("leaving: 3.4.b", "leaving: 3.4.z")
    found = [(each.clause, each.where.partition(", ")[2]) for each in unfound_clauses(document, TEXT)]
    assert found == [("1.9.z", "exemptions.a.clause"), ("3.4.z", "exemptions.b.leaving")]


@given(st.text(alphabet=st.sampled_from("ab 1.2\nl\u00a0-\tX"), max_size=200))
def test_each_word_of_a_text_is_in_exactly_one_clause(text: str) -> None:
    marks = len(text.split())
    kept = sum(len(wording.split()) for wording in clauses_of(text).values())
    assert kept <= marks
    letters = [letter for wording in clauses_of(text).values() for letter in wording if letter == "X"]
    assert len(letters) == text.count("X")


def test_white_space_alone_changes_no_hash() -> None:
    assert clause_hashes(TEXT.replace("\n\n", "\n \n\n").replace(", ", ",  ")) == clause_hashes(TEXT)


def test_a_word_changed_changes_the_hash_of_its_clause_alone() -> None:
    old, new = clause_hashes(TEXT), clause_hashes(TEXT.replace("programs", "software"))
    assert [clause for clause in old if old[clause] != new[clause]] == ["1.6.2.b"]
