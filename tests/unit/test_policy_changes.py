"""What a revision changes: a row for each rule, and what must hold for every pair of versions."""

from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from consentry.errors import InvalidPolicy
from consentry.events import RecordedPolicyEvent
from consentry.policy import (
    Change,
    ChangeClass,
    Changes,
    Policies,
    Policy,
    changes_between,
    parse_policy,
    prepare_revision,
)
from consentry.policy.line_changes import cells_of
from consentry.terms import Cell, Operation, Position

HERE = Path(__file__).parent / "cases"
SHOP = (HERE / "shop-policy.yaml").read_text(encoding="utf-8")
ROWS: list[dict[str, Any]] = yaml.safe_load((HERE / "policy-changes.yaml").read_text(encoding="utf-8"))
EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
REFERENCE = [parse_policy((EXAMPLES / f"reference-v{n}.yaml").read_text(encoding="utf-8")) for n in (1, 2)]


def replaced(document: str, old: str, new: str) -> str:
    assert document.count(old) == 1, old
    return document.replace(old, new)


def pair(row: dict[str, Any]) -> tuple[Policy, Policy]:
    """The versions before and after a row's change."""
    before = SHOP
    for old, new in row.get("base", {}).items():
        before = replaced(before, old, new)
    return parse_policy(before), parse_policy(replaced(before, row["old"], row["new"]))


@cache
def with_rows(places: tuple[int, ...]) -> Policy:
    """The shop's policy with these rows' changes, as many as fit together."""
    document, policy = SHOP, parse_policy(SHOP)
    for place in places:
        row = ROWS[place]
        if "base" in row or document.count(row["old"]) != 1:
            continue
        try:
            changed = document.replace(row["old"], row["new"])
            policy = parse_policy(changed)
        except InvalidPolicy:
            continue
        document = changed
    return msgspec.structs.replace(policy, clause_changes={})


versions = st.lists(st.integers(0, len(ROWS) - 1), max_size=5).map(tuple).map(with_rows)


def cells(policy: Policy) -> frozenset[Cell]:
    return frozenset(cell for line in policy.purposes.values() for cell in cells_of(line))


def classes(changes: Changes) -> list[str]:
    return [f"{change.change}{'!' if change.reduces else ''}" for change in changes.changes]


@pytest.mark.parametrize("row", ROWS, ids=[row["rule"] for row in ROWS])
def test_a_rule_is_kept(row: dict[str, Any]) -> None:
    before, after = pair(row)
    found = changes_between(before, after)
    assert sorted(classes(found)) == sorted(row["is"])
    patterns = row.get("material", [])
    expected = {cell for cell in cells(after) if any(fnmatch("/".join(cell), pattern) for pattern in patterns)}
    assert found.material == expected
    assert bool(patterns) == bool(expected)
    assert patterns or not any(change.asks_again for change in found.changes)


def test_each_change_names_its_place_in_words() -> None:
    for row in ROWS:
        for change in changes_between(*pair(row)).changes:
            assert change.what
            top = change.field.split(".")[0]
            assert f"{top}:" in SHOP, change
            if change.purpose and top == "purposes":
                assert change.field.startswith(f"purposes.{change.purpose}")


def test_what_needs_no_consent_asks_nobody_again() -> None:
    before, after = pair({"old": "clause_changes: {}", "new": 'clause_changes: {"4": material}'})
    (found,) = changes_between(before, after).changes
    assert found.asks_again, "repair has optional data, which need consent"
    (found,) = changes_between(
        before, parse_policy(replaced(SHOP, "[name], optional: [mail]}", "[name, mail]}"))
    ).changes
    assert not found.asks_again, "mail is allowed by necessity now"


def test_what_is_new_asks_nobody_again() -> None:
    for row in ROWS:
        if row["rule"].endswith(" new"):
            assert [change.asks_again for change in changes_between(*pair(row)).changes] == [False]


def test_a_change_names_only_what_was_there_before() -> None:
    document = replaced(SHOP, "data: {optional: [health]}", "data: {optional: [health, unused]}")
    found = changes_between(parse_policy(SHOP), parse_policy(replaced(document, ", separate: true", "")))
    assert [(change.field, change.data) for change in found.changes] == [
        ("purposes.study.data", ("unused",)),
        ("purposes.study.separate", ("health",)),
    ]


def test_a_line_is_not_taken_out_of_a_clause_by_the_revision_that_rewrites_it() -> None:
    document = replaced(SHOP, 'letter: {clause: "2"', 'letter: {clause: "7"')
    found = changes_between(
        parse_policy(SHOP), parse_policy(replaced(document, "clause_changes: {}", 'clause_changes: {"2": material}'))
    )
    assert {cell.purpose for cell in found.material} == {"letter"}


def test_the_order_of_names_is_no_change() -> None:
    document = replaced(SHOP, "optional: [mail, log]", "optional: [log, mail]")
    document = replaced(document, "operations: [use, share], data", "operations: [share, use], data")
    assert changes_between(parse_policy(SHOP), parse_policy(document)).changes == ()


def test_the_second_reference_version_has_one_change_of_each_kind() -> None:
    found = changes_between(*REFERENCE)
    by_purpose: dict[str, list[str]] = {}
    for change, name in zip(found.changes, classes(found), strict=True):
        by_purpose.setdefault(change.purpose, []).append(name)
    assert by_purpose == {
        "search.service": ["editorial"],
        "partner.statistics": ["material!"],
        "recommendation.personalised": ["material", "material"],
        "network.playback": ["material!", "material"],
    }
    asked = {(change.purpose, change.data) for change in found.changes if change.asks_again}
    assert asked == {("recommendation.personalised", ("behaviour", "posted_content"))}
    assert Cell("partner.statistics", Operation.SHARE, "crowd_profile", "trendlab") in found.material
    assert Cell("partner.statistics", Operation.SHARE, "crowd_profile", "statco") not in found.material


@given(versions)
def test_a_version_beside_itself_changes_nothing(policy: Policy) -> None:
    found = changes_between(policy, policy)
    assert (found.changes, found.material, found.reduces) == ((), frozenset(), False)


@given(versions, versions)
def test_every_cell_that_was_not_there_is_material(before: Policy, after: Policy) -> None:
    assert cells(after) - cells(before) <= changes_between(before, after).material <= cells(after)


@given(versions, versions)
def test_going_back_to_an_old_text_revives_nothing(before: Policy, after: Policy) -> None:
    """Whatever is more than words is material on the way there or on the way back."""
    there, back = changes_between(before, after), changes_between(after, before)
    for change in there.changes:
        if change.purpose and change.change is not ChangeClass.EDITORIAL:
            touched = {cell for cell in cells(before) | cells(after) if _touches(change, cell)}
            assert touched <= there.material | back.material, change


def _touches(change: Change, cell: Cell) -> bool:
    return (
        cell.purpose == change.purpose
        and cell.operation in change.operations
        and cell.data in change.data
        and cell.recipient in (change.recipients or ("",))
    )


@given(versions, versions)
def test_whatever_is_other_is_told(before: Policy, after: Policy) -> None:
    unsaid = ("text", "version", "announced_at", "effective_at")
    names = [name for name in Policy.__struct_fields__ if name not in unsaid]
    same = all(getattr(before, name) == getattr(after, name) for name in names)
    assert (changes_between(before, after).changes == ()) == same


def test_each_field_of_a_document_has_its_line_in_the_reference() -> None:
    page = (EXAMPLES.parents[1] / "docs/reference/policy-changes.md").read_text(encoding="utf-8")
    tables = page[page.index("## The rules") : page.index("## How to write a revision")]
    document = yaml.safe_load(SHOP)
    names = {*document, "announced_at"}
    for table in ("purposes", "exemptions", "data"):
        names |= {name for entry in document[table].values() for name in entry}
    assert {name for name in names if f"`{name}`" not in tables} == {"purposes"}


# the versions that were published


def published(*documents: str) -> Policies:
    policies = Policies()
    for place, document in enumerate(documents):
        revision = prepare_revision(document, "1. Shop\n", policies, 0, event_id=UUID(int=place))
        policies = policies.after(RecordedPolicyEvent(Position(1, 0, place + 1), 0, revision))
    return policies


def numbered(version: int, document: str = SHOP) -> str:
    """The version takes effect on this day of January 2026."""
    document = replaced(document, "version: 1\n", f"version: {version}\n")
    return replaced(document, "2026-01-01", f"2026-01-{version:02}")


DAY = 86_400_000
NEW_YEAR = parse_policy(SHOP).effective_at
MORE_DATA = replaced(SHOP, "optional: [mail, log]", "optional: [mail, log, unused]")
LESS_NOTICE = replaced(SHOP, "notice_period: P7D", "notice_period: P6D")
LETTER = Cell("letter", Operation.USE, "unused")


def test_the_first_version_changes_and_reduces_nothing() -> None:
    policies = published(SHOP)
    (changes,) = policies.changes
    assert (changes.former, changes.version, changes.changes, changes.reduces) == (0, 1, (), False)
    assert policies.reductions(NEW_YEAR + DAY) == ()


def test_each_version_knows_what_it_changes_in_the_one_before() -> None:
    policies = published(SHOP, numbered(2, MORE_DATA), numbered(3))
    assert [(each.former, each.version) for each in policies.changes] == [(0, 1), (1, 2), (2, 3)]
    assert policies.changes[1] == changes_between(policies.revisions[0].policy, policies.revisions[1].policy)
    assert [classes(each) for each in policies.changes] == [[], ["material"], ["narrowing"]]


def test_a_reduction_counts_from_its_time_of_effect_on() -> None:
    policies = published(SHOP, numbered(2, LESS_NOTICE), numbered(3, MORE_DATA), numbered(4, LESS_NOTICE))
    moments = [NEW_YEAR, NEW_YEAR + DAY - 1, NEW_YEAR + DAY, NEW_YEAR + 3 * DAY - 1, NEW_YEAR + 3 * DAY]
    assert [policies.reductions(at) for at in moments] == [(), (), (2,), (2,), (2, 4)]


def test_a_change_counts_for_grants_under_an_earlier_version_until_the_end() -> None:
    policies = published(SHOP, numbered(2, MORE_DATA), numbered(3), numbered(4, MORE_DATA), numbered(5, MORE_DATA))
    found = [policies.material_since(LETTER, version, 5) for version in (1, 2, 3, 4, 5)]
    assert found == [True, True, True, False, False]
    assert not policies.material_since(LETTER._replace(data="mail"), 1, 5)


def test_a_change_counts_only_up_to_the_version_asked_for() -> None:
    policies = published(SHOP, numbered(2), numbered(3, MORE_DATA))
    assert [policies.material_since(LETTER, 1, upto) for upto in (1, 2, 3)] == [False, False, True]
    assert not policies.material_since(LETTER, 3, 2)


def test_a_revision_that_follows_nothing_changes_nothing() -> None:
    policies = published(SHOP)
    stray = prepare_revision(SHOP, "1. Shop\n", Policies(), 0, event_id=UUID(int=9))
    ignored = policies.after(RecordedPolicyEvent(Position(1, 0, 5), 0, stray))
    assert (len(ignored.changes), ignored.ignored) == (1, (Position(1, 0, 5),))
