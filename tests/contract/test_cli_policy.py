"""`consentry policy diff` and `validate --against`: what a revision changes, told to people and to programs."""

import json
from pathlib import Path

import pytest
from contract.commanding import NOWHERE, consentry

from streams.cli.frame import Exit

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
FIRST, SECOND = str(POLICIES / "reference-v1.yaml"), str(POLICIES / "reference-v2.yaml")
FIRST_TEXT, SECOND_TEXT = str(POLICIES / "privacy-policy.txt"), str(POLICIES / "privacy-policy-v2.txt")
KEYS = ["policy", "former", "version", "effective_at", "reduces", "material_cells", "changes"]
KEYS_OF_A_CHANGE = [
    "purpose", "operations", "data", "recipients", "class", "reduces", "asks_again", "clause", "field", "what", "says",
]  # fmt: skip


def second(old: str, new: str) -> str:
    document = Path(SECOND).read_text(encoding="utf-8")
    assert document.count(old) == 1
    return document.replace(old, new)


def against_first(*more: str, stdin: str | None = None, command: str = "diff") -> list[str]:
    """Lines of the answer, or of the refusal."""
    document = SECOND if stdin is None else "-"
    result = consentry("policy", command, document, "--against", FIRST, *more, stdin=stdin)
    return [str(result.exit_code), *result.output.splitlines()]


def block(lines: list[str], purpose: str) -> str:
    start = next(place for place, line in enumerate(lines) if line.startswith(purpose))
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return "\n".join(lines[start:end])


def test_each_change_of_the_second_version_is_told_with_whom_it_asks() -> None:
    lines = against_first()
    assert lines[:2] == ["0", "newsfeed-app: version 2 beside version 1"]
    assert "It reduces rights: it needs express acceptance." in lines
    assert "editorial: the wording of clause 1.4 is other\n    asks nobody" in block(lines, "search.service")
    recommendation = block(lines, "recommendation.personalised  (clause 1.2.a)")
    assert "asks again: everybody who agreed to collect, store and use behaviour and posted_content;" in recommendation
    statistics = block(lines, "partner.statistics")
    # a crowd profile can be made anonymous, and then goes to the new recipient without any consent
    assert "reduces a right: the recipient trendlab (third party) is new\n    needs express acceptance" in statistics
    playback = block(lines, "network.playback")
    assert "material, reduces a right: the data category hardware_model is new" in playback
    assert "needs express acceptance: binds who came before it only once they accept version 2" in playback


def test_what_narrows_binds_at_once_and_asks_nobody() -> None:
    narrower = second("third_party: [statco, softco, trendlab]", "third_party: [statco]")
    assert "softco (third party) is gone\n    binds at once, asks nobody" in "\n".join(against_first(stdin=narrower))


def test_what_concerns_every_purpose_stands_first() -> None:
    elsewhere = second("storage_location: CN", "storage_location: SG")
    lines = against_first(stdin=elsewhere)
    whole = block(lines, "The policy as a whole")
    assert "asks again: everybody who agreed to anything; they agreed to another place" in whole
    assert lines.index("The policy as a whole") < lines.index("recommendation.personalised  (clause 1.2.a)")


def test_a_document_beside_itself_has_no_changes() -> None:
    result = consentry("policy", "diff", FIRST, "--against", FIRST)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (Exit.DONE, "Nothing is other but number and dates.")


def test_programs_read_stable_keys() -> None:
    found = json.loads(consentry("policy", "diff", SECOND, "--against", FIRST, "--json").stdout)
    assert list(found) == KEYS
    assert [list(change) for change in found["changes"]] == [KEYS_OF_A_CHANGE] * 6
    assert (found["former"], found["version"], found["reduces"], found["material_cells"]) == (1, 2, True, 16)
    assert {change["class"] for change in found["changes"]} == {"editorial", "material"}
    assert [len(change["says"]) for change in found["changes"]] == [1] * 6


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (SECOND, "--to", "2", "--against", FIRST),
        (SECOND, "--against", FIRST, "--from", "1"),
    ],
)
def test_two_documents_are_compared_and_no_more(arguments: tuple[str, ...]) -> None:
    assert consentry("policy", "diff", *arguments).exit_code == Exit.WRONG_USE


def test_two_policies_are_not_compared() -> None:
    other = second("policy: newsfeed-app", "policy: other")
    assert against_first(stdin=other)[0] == str(Exit.WRONG_USE)


def test_published_versions_need_kafka() -> None:
    result = consentry("policy", "diff", "--to", "2", BOOTSTRAP_SERVERS=NOWHERE)
    assert result.exit_code == Exit.UNKNOWN


def test_a_preview_needs_kafka_but_no_kafka_to_refuse_a_document() -> None:
    assert consentry("policy", "preview", SECOND, BOOTSTRAP_SERVERS=NOWHERE).exit_code == Exit.UNKNOWN
    refused = consentry(
        "policy", "preview", "-", stdin=second("version: 2\n", "version: two\n"), BOOTSTRAP_SERVERS=NOWHERE
    )
    assert (refused.exit_code, refused.stdout) == (Exit.NO, "")
    assert "line 14, version: " in refused.stderr


# validate --against


def test_the_second_version_follows_the_first() -> None:
    lines = against_first("--text", SECOND_TEXT, "--against-text", FIRST_TEXT, command="validate")
    assert lines[:2] == ["0", "newsfeed-app version 2 is valid"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 2\n", "version: 3\n", "version: version 3 follows 1, expected 2"),
        ("policy: newsfeed-app", "policy: other", "policy: this log holds the policy newsfeed-app"),
        ("effective_at: 2026-06-15", "effective_at: 2026-06-07", "effective_at: notice of 518400000 ms"),
        ("  1.2.a: material ", "  #", "clause_changes: the wording of 1.2.a changed"),
        (
            "  1.2.a: material ",
            "  P-1: editorial\n  1.2.a: material ",
            "clause_changes.P-1: P-1 is said to have changed",
        ),
    ],
)
def test_a_version_that_does_not_follow_is_refused_with_line_and_field(old: str, new: str, says: str) -> None:
    document = second(old, new)
    texts = ("--text", SECOND_TEXT, "--against-text", FIRST_TEXT)
    lines = against_first(*texts, stdin=document, command="validate")
    assert lines[0] == str(Exit.NO)
    assert lines[1].startswith("error: line ")
    assert says in lines[1]


def test_all_that_does_not_follow_is_told_at_once() -> None:
    document = second("version: 2\n", "version: 3\n").replace("effective_at: 2026-06-15", "effective_at: 2026-06-07")
    document = document.replace("  1.2.a: material ", "  P-1: editorial\n  #")
    texts = ("--text", SECOND_TEXT, "--against-text", FIRST_TEXT)
    lines = [line for line in against_first(*texts, stdin=document, command="validate") if line.startswith("error: ")]
    fields = [line.split(": ")[1].partition(", ")[2] for line in lines]
    assert fields == ["version", "effective_at", "clause_changes", "clause_changes.P-1"]


def test_every_fault_of_a_document_is_told_with_its_line_and_field() -> None:
    document = second("version: 2\n", "version: two\n").replace("basis: necessity", "basis: habit")
    habits = document.count("basis: habit")
    result = consentry("policy", "validate", "-", stdin=document)
    told = [line for line in result.stderr.splitlines() if line.startswith("error: line ")]
    assert (result.exit_code, result.stdout, len(told)) == (Exit.NO, "", 1 + habits)
    assert len({line.split(":")[1] for line in told}) == 1 + habits


def test_a_clause_that_the_wording_does_not_show_is_told_with_its_line(tmp_path: Path) -> None:
    shorter = tmp_path / "shorter.txt"
    shorter.write_text(Path(FIRST_TEXT).read_text(encoding="utf-8").replace("6.6 Notifying", "Notifying"), "utf-8")
    result = consentry("policy", "validate", FIRST, "--text", str(shorter))
    line = 1 + Path(FIRST).read_text(encoding="utf-8").splitlines().index('  SERVICE_DISCONTINUED: "6.6"')
    told = f"note: line {line}, clause_of.SERVICE_DISCONTINUED: the wording does not show clause 6.6\n"
    assert (result.exit_code, result.stderr) == (Exit.DONE, told)
    found = json.loads(consentry("policy", "validate", FIRST, "--text", str(shorter), "--json").stdout)
    assert found["not_in_text"] == ["6.6"]
    assert found["unfound"] == [{"clause": "6.6", "where": f"line {line}, clause_of.SERVICE_DISCONTINUED"}]


def test_without_announcement_the_notice_is_left_to_publishing() -> None:
    silent = second("announced_at: 2026-06-01T00:00:00Z\neffective_at: 2026-06-15", "effective_at: 2026-01-09")
    assert against_first(stdin=silent, command="validate")[0] == str(Exit.DONE)
    no_later = silent.replace("effective_at: 2026-01-09", "effective_at: 2026-01-08")
    refusal = against_first(stdin=no_later, command="validate")
    assert "effective_at: it takes effect before version 1 does" in refusal[1]


def test_one_wording_alone_is_compared_with_nothing() -> None:
    result = consentry("policy", "validate", SECOND, "--against", FIRST, "--against-text", FIRST_TEXT)
    assert result.exit_code == Exit.WRONG_USE
    assert "wordings were not compared" in "\n".join(against_first(command="validate"))
