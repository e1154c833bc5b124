"""A policy document is typed whole, and what is wrong with it is said with line, field and remedy."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.story import DOCUMENT, PROJECT, chapter

from consentry.errors import InvalidPolicy
from consentry.policy import ALLOWING, RecipientRole, parse_policy
from consentry.policy.fields import MAX_FAULTS, root_of
from consentry.terms import AgeBand, Basis, Form, Operation, Reason

POLICY = parse_policy(DOCUMENT)
SMALL = (PROJECT / "tests/unit/cases/clinic-policy.yaml").read_text(encoding="utf-8")
HOUR = 3_600_000


def line_of(part: str, document: str = DOCUMENT) -> int:
    return document[: document.index(part)].count("\n") + 1


def test_the_reference_policy_is_read_whole() -> None:
    assert (POLICY.id, POLICY.version, POLICY.language, POLICY.jurisdiction) == ("newsfeed-app", 1, "en", "CN")
    assert POLICY.controller.contact == "privacy@newsfeed.example"
    assert (POLICY.announced_at, POLICY.effective_at) == (1_767_225_600_000, 1_767_830_400_000)
    assert (POLICY.guardian_required_below, POLICY.sensitive_below, POLICY.unknown_age) == (18, 14, AgeBand.ADULT)
    assert (POLICY.prompt_cooldown_ms, POLICY.notice_period_ms) == (48 * HOUR, 168 * HOUR)
    assert (POLICY.freshness.consent_ms, POLICY.freshness.exemption_ms) == (2_000, HOUR)
    assert POLICY.freshness.necessity_ms == 24 * HOUR
    assert (POLICY.time_zone, POLICY.storage_location, POLICY.text) == ("Asia/Shanghai", "CN", "privacy-policy.txt")
    assert POLICY.transfer_mechanisms == ("security_assessment", "standard_contract", "certification")
    assert (POLICY.subject_types, POLICY.authzen.subject_types["device"]) == (("account", "device"), "device")
    assert POLICY.clause_of[Reason.WITHDRAWN] == "6.2.1"
    assert (len(POLICY.data), len(POLICY.purposes), len(POLICY.exemptions)) == (38, 38, 11)
    assert POLICY.retention_after_end_ms == 0
    assert POLICY.strict_purpose_change


def test_a_purpose_has_each_part_of_its_line() -> None:
    nearby = POLICY.purposes["recommendation.nearby"]
    assert (nearby.clause, nearby.basis, nearby.permission) == ("1.2.b", Basis.CONSENT, "location")
    assert (nearby.active, nearby.opt_out, nearby.separate, nearby.protects_minors) == (True, True, False, False)
    assert nearby.operations == (Operation.COLLECT, Operation.STORE, Operation.USE)
    assert nearby.optional == ("gps_precise", "wlan_access_point", "bluetooth_signal", "base_station")
    assert nearby.only_separately == {"gps_precise"}
    statistics = POLICY.purposes["partner.statistics"]
    assert statistics.form is Form.DEIDENTIFIED
    assert statistics.role_of == {
        "newsfeed-labs": RecipientRole.AFFILIATE,
        "statco": RecipientRole.THIRD_PARTY,
        "softco": RecipientRole.THIRD_PARTY,
    }


def test_necessity_alone_is_enough_for_necessary_data_only() -> None:
    assert POLICY.purposes["account.registration"].without_consent == {"phone", "password"}
    assert POLICY.purposes["account.identity"].without_consent == frozenset()


def test_a_separate_purpose_needs_separate_consent_for_all_its_data() -> None:
    assert POLICY.purposes["partner.login"].only_separately == {"nickname", "avatar", "account_balance", "partner_ids"}


def test_sensitive_data_are_never_covered_by_necessity_alone() -> None:
    assert parse_policy(SMALL).purposes["treatment"].without_consent == {"name"}


def test_an_exemption_has_each_part_of_its_line() -> None:
    public, other = POLICY.exemptions["e"], POLICY.exemptions["k"]
    assert (public.clause, public.leaving, public.voided_by_objection, public.guardian) == (
        "1.9.e",
        "3.4.e",
        True,
        True,
    )
    assert (other.leaving, other.guardian, other.after_closure) == (None, False, True)


FAULTS = chapter("policy-faults")


def faults_of(document: str) -> list[InvalidPolicy]:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(document)
    return [caught.value, *caught.value.others]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["changed"][:60].strip() for fault in FAULTS])
def test_a_fault_is_named_with_its_field_and_line(fault: dict[str, Any]) -> None:
    part = fault["part"]
    assert part in DOCUMENT
    document = DOCUMENT.replace(part, fault["changed"], 1)
    found = faults_of(document)
    (told,) = [each for each in found if each.where.endswith(fault["field"])]
    assert fault["words"] in str(told)
    first = line_of(part)
    assert told.where.split(",")[0] in {f"line {first}", f"line {first + 1}"}
    # one fault brings no others with it, but where a name that was taken away is missed elsewhere
    assert [each.where.partition(", ")[2] for each in found if each is not told] == fault.get("also", [])


@pytest.mark.parametrize(
    "field",
    ["policy", "version", "effective_at", "purposes", "data", "clause_of", "unknown_age", "notice_period"],
)
def test_a_missing_field_is_named(field: str) -> None:
    start = DOCUMENT.index(f"\n{field}:") + 1
    rest = DOCUMENT[start + len(field) :]
    renamed = f"{DOCUMENT[:start]}announced_by{rest}"
    named = [fault.where.partition(", ")[2] for fault in faults_of(renamed)]
    assert sorted(named) == sorted([field, "announced_by"])
    lines = DOCUMENT.splitlines(keepends=True)
    first = next(place for place, line in enumerate(lines) if line.startswith(f"{field}:"))
    last = first + 1
    while last < len(lines) and lines[last].startswith((" ", "\n", "#")):
        last += 1
    assert [fault.what for fault in faults_of("".join(lines[:first] + lines[last:]))] == [f"{field} is missing"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "empty"),
        ("- a list", "a mapping belongs here"),
        ("policy: [", "not YAML"),
        ("policy: a\n---\npolicy: b", "not YAML"),
        ("policy: &x a\nlanguage: *x", "anchors and aliases"),
        ("[" * 5_000, "nested deeper"),
        ("policy: \x00", "not YAML"),
        ("? [a, b]\n: c", "a single value belongs here"),
        ("<<: {policy: a}", "is not text to YAML"),
        ("policy: a\n" * 200_000, "characters"),
    ],
)
def test_what_is_no_plain_yaml_document_is_refused(document: str, words: str) -> None:
    with pytest.raises(InvalidPolicy, match=words):
        parse_policy(document)


@settings(deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.text(max_size=3))
def test_a_damaged_document_is_read_or_refused_and_nothing_else(place: int, damage: str) -> None:
    damaged = SMALL[:place] + damage + SMALL[place + 1 :]
    try:
        policy = parse_policy(damaged)
    except InvalidPolicy:
        return
    assert policy.purposes


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("P2W", 1_209_600_000), ("P7D", 604_800_000), ("P1DT2H3M4S", 93_784_000), ("PT0S", 0), ("P0D", 0)],
)
def test_a_duration_is_iso_8601(text: str, milliseconds: int) -> None:
    assert root_of(text).duration() == milliseconds


@pytest.mark.parametrize("text", ["P", "PT", "P1DT", "1D", "P1Y", "PT1.5S", "P-1D", "p1d", "P1W1D"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicy, match="not a duration"):
        root_of(text).duration()


SEVERAL = (
    ("version: 1\n", "version: one\n", "version"),
    ("sensitive_below: 14", "sensitive_below: 19", "sensitive_below"),
    ("  phone: {dpv: TelephoneNumber}", "  phone: {dpv: TelephoneNumber, sensitve: true}", "data.phone.sensitve"),
    ("opt_out: true, data: {optional: [behaviour", "opt_out: maybe, data: {optional: [behavior",
     "purposes.recommendation.personalised.opt_out"),
)  # fmt: skip


def test_all_faults_are_told_at_once_in_the_order_of_the_document() -> None:
    document = DOCUMENT
    for old, new, _ in SEVERAL:
        assert document.count(old) == 1
        document = document.replace(old, new)
    fields = [fault.where.partition(", ")[2] for fault in faults_of(document)]
    misspelt = "purposes.recommendation.personalised.data.optional[0]"
    assert sorted(fields) == sorted([*(field for *_, field in SEVERAL), misspelt])
    lines = [int(fault.where.split(",")[0].removeprefix("line ")) for fault in faults_of(document)]
    assert lines == sorted(lines)
    assert len(set(lines)) == 4


def test_a_table_that_cannot_be_read_is_one_fault_and_not_one_for_each_name() -> None:
    lines = DOCUMENT.splitlines(keepends=True)
    start = next(place for place, line in enumerate(lines) if line.startswith("data:"))
    end = next(place for place, line in enumerate(lines) if line.startswith("purposes:"))
    (fault,) = faults_of("".join([*lines[:start], "data: none\n", *lines[end:]]))
    assert (fault.where, fault.what) == (f"line {start + 1}, data", "a mapping belongs here")


def test_no_more_faults_are_told_than_a_person_reads() -> None:
    for count, told in ((MAX_FAULTS, MAX_FAULTS), (MAX_FAULTS + 1, MAX_FAULTS + 1), (MAX_FAULTS + 2, MAX_FAULTS + 1)):
        unknown = "".join(f"unknown_{number}: 1\n" for number in range(count))
        found = faults_of(DOCUMENT + "\n" + unknown)
        assert len(found) == told
        assert (found[-1].what == "there are more faults than are told at once") is (count > MAX_FAULTS)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in ALLOWING])
def test_a_reason_to_deny_without_a_clause_is_a_fault(reason: Reason) -> None:
    """Each decision names its clause."""
    start = DOCUMENT.index(f"\n  {reason}: ")
    (fault,) = faults_of(DOCUMENT[:start] + DOCUMENT[DOCUMENT.index("\n", start + 1) :])
    assert fault.where.endswith(", clause_of")
    assert fault.what == f"no clause is named for {reason}"


CERTIFICATION = (PROJECT / "examples/policies/certification-v1.yaml").read_text(encoding="utf-8")


def test_a_gateways_resource_type_may_say_what_it_is_about() -> None:
    assert parse_policy(CERTIFICATION).authzen.data == {"record": ("content",)}
    assert POLICY.authzen.data == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{record: [contents]}", "contents is not in the table of data"),
        ("{file: [content]}", "file is no resource type"),
        ("{purpose: [content]}", "purpose is no resource type"),
        ("[content]", "a mapping belongs here"),
        ("{record: content}", "a list belongs here"),
    ],
)
def test_what_a_resource_type_is_about_is_checked(data: str, words: str) -> None:
    with pytest.raises(InvalidPolicy, match=words) as refused:
        parse_policy(CERTIFICATION.replace("{record: [content]}", data))
    assert "authzen.data" in str(refused.value)


def test_what_a_resource_type_is_about_is_never_said_of_our_own_words() -> None:
    document = CERTIFICATION.replace("{record: purpose}", "{record: purpose, purpose: purpose}")
    with pytest.raises(InvalidPolicy, match="purpose is no resource type"):
        parse_policy(document.replace("{record: [content]}", "{purpose: [content]}"))
