"""What README and docs name is there: files, commands with their flags, events, topics, paths, reasons, packages."""

import ast
import importlib
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from faust.transport.drivers import aiokafka as driver

from consentry import events
from consentry.codec import circumstances, columns, rows
from consentry.codec.framing import registry
from consentry.policy import parse_policy
from consentry.terms import Reason
from streams.cli import main
from streams.query.roles import OPEN_ROUTES, ROLES_OF_ROUTE
from streams.topics import TOPICS
from streams.transport import Consumer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = ROOT / "docs" / "reference"
SUBJECT_EVENTS = {kind.__name__: kind for kind in typing.get_args(events.AnySubjectEvent)}
POLICY_EVENTS = {kind.__name__: kind for kind in typing.get_args(events.AnyPolicyEvent)}


def fields_of(kind: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def table() -> str:
    return "\n".join(line for line in README.splitlines() if line.startswith("| ")).partition("| folder |")[0]


def code_of(text: str) -> Iterator[str]:
    """Inline code, and each block."""
    yield from re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def section_lines(page: str) -> list[str]:
    return (REFERENCE / page).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text)]
    missing = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists_with_its_flags(page: Path) -> None:
    for code in code_of(page.read_text(encoding="utf-8")):
        for line in code.replace("\\\n", " ").splitlines():
            for found in re.findall(r"(?:^|[$(]|&& )\s*consentry ((?:[a-z][a-z-]*|-)[^|&;)]*)", line):
                assert_is_a_command(found)


def assert_is_a_command(text: str) -> None:
    words = shlex.split(text.replace("…", ""), comments=True)
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        names = words.pop(0).split("|")  # `audit replay|explain` names two
        for name in names:
            found = command.get_command(context, name)
            assert found is not None, f"consentry {text}: there is no {name}"
        command = found
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help", "--version"}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"consentry {text}: there is no {word}"


def test_the_table_says_in_these_words_what_this_is() -> None:
    words = " ".join(README.split()).lower()
    assert (
        "which event goes through which topic, which stream processor keeps which table of per-user consent state, "
        "and how other services query it before they collect data"
    ) in words


def test_every_event_in_the_table_is_one_and_every_one_that_is_weighed_is_in_it() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", table())) - {"PartitionOwner", "ConsentTable"}
    named -= {"PolicyFollower"}
    assert named <= SUBJECT_EVENTS.keys() | POLICY_EVENTS.keys()
    weighed = re.search(
        r"What each type does to the row.*?\n\n(.*?)\n\n", "\n".join(section_lines("fold.md")), re.DOTALL
    )
    assert weighed is not None
    lines = [line for line in weighed[1].splitlines() if "uninterpreted" not in line and "nothing but" not in line]
    assert set(re.findall(r"`([A-Z]\w+)`", "\n".join(lines))) <= named


def test_every_topic_in_the_table_is_one() -> None:
    known = {rule.name for rule in TOPICS} | {"consent-intake.<producer>"}
    named = set(re.findall(r"`([a-z]+-[a-z.<>-]+)`", table()))
    assert named <= known
    assert {"consent-events", "consent-state", "policy-revisions", "consent-quarantine"} <= named


def test_every_path_that_is_named_is_a_route() -> None:
    routes = {*OPEN_ROUTES, *ROLES_OF_ROUTE}
    for page in PAGES:
        for route in re.findall(r"`((?:GET|POST) /[^`\s]*)`", page.read_text(encoding="utf-8")):
            assert route in routes, page


def test_every_reason_that_is_named_is_one() -> None:
    names = {reason.name for reason in Reason}
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            for found in re.findall(r"(?:DENY|ALLOW) `([A-Z_]+)`", line):
                assert found in names, page


def test_every_metric_that_is_named_is_measured() -> None:
    source = (ROOT / "streams" / "query" / "metrics.py").read_text(encoding="utf-8")
    for page in PAGES:
        for name in re.findall(r"`(consentry_[a-z_]+)`", page.read_text(encoding="utf-8")):
            assert f'"{name.removesuffix("_total")}"' in source, page


def test_every_class_that_the_table_names_is_where_it_says() -> None:
    for module, name in (
        ("streams.processors", "PartitionOwner"),
        ("streams.tables", "ConsentTable"),
        ("consentry.replica", "ConsentReplica"),
        ("consentry.replica", "PolicyFollower"),
    ):
        assert name in README
        assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_the_readmes_python_is_python_and_what_it_imports_exists(code: str) -> None:
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            module = importlib.import_module(statement.module)
            assert all(hasattr(module, alias.name) for alias in statement.names), statement.module


def test_every_event_type_and_each_of_its_fields_has_its_line() -> None:
    text = "\n".join(section_lines("events.md"))
    lines = {found[1]: line for line in text.splitlines() if (found := re.match(r"\| `(\w+)` \|", line))}
    envelope = fields_of(events.SubjectEvent)
    assert {"type", *envelope} <= lines.keys()
    for name, kind in SUBJECT_EVENTS.items():
        own = fields_of(kind) - envelope
        if issubclass(kind, events.Cells):
            assert "cells" in lines[name]
            own -= fields_of(events.Cells)
        if issubclass(kind, events.Scoped):
            assert "scope" in lines[name]
            own -= fields_of(events.Scoped)
        assert {field for field in own if f"`{field}`" not in lines[name]} == set(), name
    for name, kind in POLICY_EVENTS.items():
        own = fields_of(kind) - fields_of(events.PolicyEvent)
        assert {field for field in own if f"`{field}`" not in lines[name]} == set(), name
    assert {field for field in fields_of(events.Genesis) if f"`{field}`" not in text} == set()


def test_the_fold_says_what_each_type_does_to_the_row() -> None:
    table = "\n".join(line for line in section_lines("fold.md") if line.startswith("| `"))
    assert {name for name in SUBJECT_EVENTS if f"`{name}`" not in table} == set()


def test_the_state_rows_page_gives_every_field_and_every_place() -> None:
    text = "\n".join(section_lines("state-row.md"))
    for record in ("SubjectState", "Watermark"):
        fields = {field["name"] for field in registry().newest[record].parsed["fields"]}
        assert {field for field in fields if f"`{field}`" not in text} == set(), record
    nested = registry().newest["SubjectState"].parsed["fields"][-1]["type"][1]
    assert {field["name"] for field in nested["fields"] if f"`{field['name']}`" not in text} == set()
    groups = (
        rows._ACT, rows._MARK, rows._OPT_OUT, rows._PERMISSION, circumstances._AGE, circumstances._GUARDIANSHIP,
        circumstances._ACCEPTANCE, circumstances._LIFT, circumstances._OBJECTION, circumstances._INVOCATION,
        circumstances._ENDING,
    )  # fmt: skip
    for packed in groups:
        assert f"`{packed.format}`" in text
    terms = (
        columns.STATUSES, columns.ROLES, columns.EXPRESSIONS, columns.PERMISSION_STATES, columns.OPERATIONS,
        columns.AGE_SOURCES, columns.AGE_BANDS,
    )  # fmt: skip
    for words in terms:
        assert " | ".join(str(word).lower() for word in words) in text


def test_every_dependency_has_its_line_with_licence_and_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"the library": project["dependencies"], **project["optional-dependencies"]}
    wanted = {(re.match(r"[\w-]+", line)[0], group) for group, lines in groups.items() for line in lines}  # type: ignore[index]
    lines = [re.findall(r"[^|]+", line) for line in section_lines("dependencies.md") if line.startswith("| `")]
    found = {(name.strip(" `"), group.strip()) for name, _licence, _why, group in (line[:4] for line in lines)}
    assert found == wanted
    assert all(licence.strip() and why.strip() for _name, licence, why, _group in (line[:4] for line in lines))


def test_every_decision_record_is_in_the_list_of_them() -> None:
    decisions = ROOT / "docs" / "decisions"
    text = (decisions / "0001-record-decisions.md").read_text(encoding="utf-8")
    for record in decisions.glob("*.md"):
        assert record.name in text or record.name.startswith("0001"), record


def test_the_record_on_faust_names_exactly_what_is_overridden() -> None:
    text = (ROOT / "docs" / "decisions" / "0002-faust.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    overridden = {name for name, value in vars(Consumer).items() if callable(value) and hasattr(driver.Consumer, name)}
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == {name for name in overridden if not name.startswith("__")}


def test_what_is_pinned_exactly_is_said_in_the_record_on_faust() -> None:
    text = (ROOT / "docs" / "decisions" / "0002-faust.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    pinned = {line for line in lines if "==" in line}
    assert len(pinned) == 3
    assert {pin for pin in pinned if f"`{pin}`" not in text} == set()


def test_nothing_of_the_reference_policy_is_named_in_the_code() -> None:
    policy = parse_policy((ROOT / "examples" / "policies" / "reference-v1.yaml").read_text(encoding="utf-8"))
    words = {policy.id, policy.controller.id, *policy.purposes, *(name for name in policy.data if "_" in name)}
    named = re.compile("|".join(rf"(?<![\w.]){re.escape(word)}(?![\w.])" for word in words))
    code = [path for wing in ("consentry", "streams") for path in (ROOT / wing).rglob("*.py")]
    ours = [path for path in code if not any(parent.is_symlink() for parent in path.parents)]
    assert len(ours) > 100
    found = [(path, match[0]) for path in ours if (match := named.search(path.read_text(encoding="utf-8")))]
    assert found == []
