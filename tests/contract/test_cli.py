"""The command line as programs and people meet it: exit codes, what goes where, help, reference pages."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from contract.commanding import NOWHERE, consentry
from contract.reference import PAGE_OF, PAGES, commands

from consentry.errors import (
    ConsentryError,
    InvalidEvent,
    InvalidPolicy,
    NotFresh,
    Problem,
    Unavailable,
    UndecodableRecord,
    UntrustedLog,
)
from consentry.terms import Reason
from streams.cli.frame import Exit, LazyGroup, exit_of
from streams.settings_options import described_settings
from streams.wording import REASON_WORDS

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
REFERENCE = POLICIES / "reference-v1.yaml"


# help and reference


@pytest.mark.parametrize("path", [path for path, _ in commands()])
def test_each_command_explains_itself_with_an_example(path: str) -> None:
    result = consentry(*path.split()[1:], "--help")
    assert result.exit_code == Exit.DONE
    assert "  consentry " in result.stdout.split("Options:")[0].replace(f"Usage: {path}", "")


@pytest.mark.parametrize("page", PAGE_OF)
def test_each_reference_page_says_what_the_code_says(page: str) -> None:
    written = (PAGES / page).read_text(encoding="utf-8")
    assert written == PAGE_OF[page](), "run: python tests/contract/reference.py"


def test_each_command_has_its_line_in_the_reference() -> None:
    page = (PAGES / "cli.md").read_text(encoding="utf-8")
    assert [path for path, _ in commands() if f"## `{path}`\n" not in page] == []


def test_each_setting_has_its_line_in_the_reference() -> None:
    page = (PAGES / "settings.md").read_text(encoding="utf-8")
    assert [one.variable for one in described_settings() if f"| `{one.variable}` |" not in page] == []


def test_each_setting_says_what_it_is_for() -> None:
    assert [one.name for one in described_settings() if not one.says] == []


def test_each_command_takes_one_positional_at_most() -> None:
    for path, command in commands():
        positional = [one for one in command.params if isinstance(one, click.Argument)]
        assert len(positional) <= 1, path


def test_no_secret_is_a_flag() -> None:
    secret = {one.flag for one in described_settings() if one.secret}
    flags = {name for _, command in commands() for one in command.params for name in one.opts}
    assert flags & secret == set()


def test_each_reason_has_words_for_a_person() -> None:
    assert REASON_WORDS.keys() == set(Reason)


def test_help_loads_none_of_what_is_heavy() -> None:
    code = (
        "import sys\nfrom streams.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'aiokafka', 'faust', 'fastapi', 'httpx', 'fastavro', 'uvicorn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# exit codes and errors


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (InvalidEvent([Problem("no")]), 1),
        (InvalidPolicy("no"), 1),
        (UntrustedLog("no"), 1),
        (Unavailable("no"), 3),
        (NotFresh("no"), 3),
        (UndecodableRecord("no"), 3),
        (ConsentryError("no"), 2),
    ],
)
def test_each_kind_of_error_has_its_exit_code(fault: ConsentryError, code: int) -> None:
    assert exit_of(fault) == code


def test_an_error_says_what_where_and_what_to_try_without_a_traceback() -> None:
    result = consentry("topics", "check")
    assert result.exit_code == Exit.WRONG_USE
    assert result.stderr.startswith("error: CONSENTRY_BOOTSTRAP_SERVERS: no Kafka is named\n  try: ")
    assert "Traceback" not in result.output


def test_an_unknown_variable_is_wrong_use() -> None:
    result = consentry("settings", BOOTSTRAP="x")
    assert result.exit_code == Exit.WRONG_USE
    assert "CONSENTRY_BOOTSTRAP is not a setting" in result.stderr


def test_an_unknown_flag_is_wrong_use() -> None:
    assert consentry("topics", "check", "--all").exit_code == Exit.WRONG_USE


@pytest.mark.parametrize("command", [("topics", "check"), ("topics", "create"), ("watch",), ("quarantine", "list")])
def test_a_kafka_that_does_not_answer_is_unknown(command: tuple[str, ...]) -> None:
    result = consentry(*command, "--bootstrap-servers", NOWHERE)
    assert result.exit_code == Exit.UNKNOWN
    assert NOWHERE in result.stderr
    assert result.stdout == ""


def test_a_fault_of_ours_is_never_taken_for_a_deny() -> None:
    group = LazyGroup("ours", modules={"break": f"{__name__}:breaks"})
    result = CliRunner().invoke(group, ["break"])
    assert result.exit_code == Exit.UNKNOWN
    assert "Traceback" in result.stderr


@click.command()
def breaks() -> None:
    raise ZeroDivisionError


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    group = LazyGroup("ours", modules={"wait": f"{__name__}:waits"})
    result = CliRunner().invoke(group, ["wait"])
    assert result.exit_code == Exit.INTERRUPTED
    assert result.stderr == "interrupted\n"


@click.command()
def waits() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["worker", "serve"])
def test_an_unknown_log_level_is_wrong_use(command: str) -> None:
    result = consentry(command, "--bootstrap-servers", NOWHERE, "--log-level", "loud")
    assert result.exit_code == Exit.WRONG_USE
    assert "'loud' is no level" in result.stderr


# settings


def test_a_flag_wins_over_its_variable() -> None:
    result = consentry("topics", "check", "--bootstrap-servers", NOWHERE, BOOTSTRAP_SERVERS="127.0.0.1:2")
    assert NOWHERE in result.stderr
    assert "127.0.0.1:2" not in result.stderr


def test_settings_show_no_secret() -> None:
    result = consentry("settings", "--json", SUBJECT_PEPPER="hidden", BEARER_TOKEN="hidden")
    shown = {one["variable"]: one["value"] for one in json.loads(result.stdout)}
    assert "hidden" not in result.output
    assert shown["CONSENTRY_SUBJECT_PEPPER"] == "***"


# policies and tokens


def test_a_valid_policy_is_said_to_be_valid() -> None:
    text = str(POLICIES / "privacy-policy.txt")
    result = consentry("policy", "validate", str(REFERENCE), "--text", text, "--json")
    assert result.exit_code == Exit.DONE
    assert json.loads(result.stdout)["version"] == 1


def test_a_policy_that_is_not_valid_is_refused_with_its_line() -> None:
    broken = REFERENCE.read_text(encoding="utf-8").replace("basis: necessity", "basis: habit", 1)
    result = consentry("policy", "validate", "-", stdin=broken)
    assert result.exit_code == Exit.NO
    assert "line" in result.stderr
    assert "basis" in result.stderr


def test_a_token_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = consentry("token", "create", "--name", "app", "--role", "asker", "--token-file", str(file))
    assert made.exit_code == Exit.DONE
    token = made.stdout.strip()
    assert token
    assert token not in file.read_text(encoding="utf-8")
    assert token not in made.stderr


def test_a_token_needs_a_file_to_be_kept_in() -> None:
    result = consentry("token", "create", "--name", "app", "--role", "asker")
    assert result.exit_code == Exit.WRONG_USE
    assert "--token-file" in result.stderr
