"""The command line as programs and people meet it: exit codes, what goes where, help, reference pages."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
import uvicorn
from click.testing import CliRunner, Result
from contract.in_memory import NOW, Node
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
from consentry.settings import PREFIX
from consentry.terms import Reason
from streams.cli import main
from streams.cli.frame import Exit, LazyGroup, exit_of
from streams.cli.submissions import batches_of
from streams.settings_options import described_settings
from streams.wording import REASON_WORDS

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
REFERENCE = POLICIES / "reference-v1.yaml"
NOWHERE = "127.0.0.1:1"
CHECK = ("check", "account:42", "--operation", "collect", "--purpose", "publish.camera", "--data", "camera_image")


def act(kind: str, subject: str = "account:42", **fields: object) -> dict[str, object]:
    """JSON of what a subject did."""
    actor = {"role": "subject", "id": subject}
    return {"type": kind, "subject": subject, "occurred_at": NOW, "actor": actor, "channel": "app", **fields}


PERMISSION = act("PermissionObserved", permission="camera", state="on")
GRANT = act("ConsentGiven", purpose="publish.camera", policy_version=1, expression="separate")


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def consentry(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, env={f"{PREFIX}{k}": v for k, v in environment.items()})


@contextmanager
def served(node: Node) -> Iterator[str]:
    """The node's real API on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(node.api, port=0, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that is no node of ours: whatever is asked, it says 200 and this."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


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


# a query node is asked


def test_a_check_that_allows_exits_0_and_one_that_denies_1() -> None:
    node = Node()
    with served(node) as url:
        assert consentry(*CHECK, "--active", NODE_URL=url, BEARER_TOKEN="all").exit_code == Exit.NO
        for event in (PERMISSION, GRANT):
            sent = consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
            assert sent.exit_code == Exit.DONE, sent.stderr
        allowed = consentry(*CHECK, "--active", NODE_URL=url, BEARER_TOKEN="all")
    assert allowed.exit_code == Exit.DONE
    assert allowed.stdout.startswith("ALLOW  CONSENT  clause 1.3.1.b")


def test_an_explained_deny_says_why_and_by_which_clause() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, "--active", "--explain", NODE_URL=url, BEARER_TOKEN="all")
    assert "You may not collect camera_image of account:42 for publish.camera" in result.stdout
    assert "clause P-4 of version 1" in result.stdout


def test_json_of_a_check_is_the_nodes_own_answer() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, "--json", NODE_URL=url, BEARER_TOKEN="all")
    answer = json.loads(result.stdout)
    assert answer["decision"] is False
    assert {"reason", "clause", "position", "results"} <= answer["context"].keys()


@pytest.mark.parametrize("url", [f"http://{NOWHERE}", "nonsense://x", "http://"])
def test_a_node_that_does_not_answer_is_unknown_and_no_deny(url: str) -> None:
    result = consentry(*CHECK, NODE_URL=url)
    assert result.exit_code in (Exit.UNKNOWN, Exit.WRONG_USE)
    assert result.stdout == ""


@pytest.mark.parametrize("body", [b"", b"true", b'{"decision": true}', b'{"decision": "yes", "context": {}}'])
def test_an_answer_that_is_not_ours_is_unknown_and_no_allow(body: bytes) -> None:
    with answering(body) as url:
        result = consentry(*CHECK, NODE_URL=url)
    assert result.exit_code == Exit.UNKNOWN
    assert result.stdout == ""


def test_a_token_that_nobody_knows_is_wrong_use_and_says_which_variable() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, NODE_URL=url, BEARER_TOKEN="unknown")
    assert result.exit_code == Exit.WRONG_USE
    assert "CONSENTRY_BEARER_TOKEN" in result.stderr


def test_the_state_of_a_subject_is_shown() -> None:
    with served(Node()) as url:
        consentry("publish", "-", stdin=json.dumps(GRANT), NODE_URL=url, BEARER_TOKEN="all")
        shown = consentry("state", "account:42", NODE_URL=url, BEARER_TOKEN="all")
    assert shown.exit_code == Exit.DONE
    assert "given" in shown.stdout


# publishing


def test_an_event_is_made_from_arguments() -> None:
    node = Node()
    with served(node) as url:
        sent = consentry(
            *("publish", "--type", "ConsentWithdrawn", "--subject", "account:42", "--occurred-at", str(NOW)),
            *("--field", "purpose=publish.camera", "--field", "data=camera_image", "--wait", "1000", "--json"),
            NODE_URL=url,
            BEARER_TOKEN="all",
        )
    assert sent.exit_code == Exit.DONE, sent.stderr
    assert json.loads(sent.stdout)["effect"] == "applied"
    (recorded,) = node.log.appended
    assert (recorded.event.purpose, recorded.event.data) == ("publish.camera", ("camera_image",))


@pytest.mark.parametrize("whole", [True, False], ids=["a list", "one a line"])
def test_a_file_of_events_is_published_in_its_order(whole: bool) -> None:
    node = Node()
    events = [act("ConsentWithdrawn", f"account:{number}") for number in range(7)]
    text = json.dumps(events, indent=1) if whole else "\n".join(json.dumps(event) for event in events)
    with served(node) as url:
        sent = consentry("publish", "-", stdin=text, NODE_URL=url, BEARER_TOKEN="all", MAX_BATCH="3")
    assert sent.exit_code == Exit.DONE, sent.stderr
    assert [recorded.event.subject for recorded in node.log.appended] == [event["subject"] for event in events]
    assert len(sent.stdout.splitlines()) == 7


def test_a_file_repeated_under_one_key_is_taken_in_once() -> None:
    node = Node()
    text = "\n".join(json.dumps(act("ConsentWithdrawn", f"account:{n}")) for n in range(5))
    with served(node) as url:
        for _ in range(2):
            sent = consentry(
                *("publish", "-", "--idempotency-key", "a-key"),
                stdin=text,
                NODE_URL=url,
                BEARER_TOKEN="all",
                MAX_BATCH="2",
            )
            assert sent.exit_code == Exit.DONE, sent.stderr
    assert len({recorded.event.event_id for recorded in node.log.appended}) == 5


def test_a_refused_event_is_named_by_its_place_in_the_file() -> None:
    events = [act("ConsentWithdrawn", f"account:{number}") for number in range(4)]
    events[3]["subject"] = "nobody"
    text = "\n".join(json.dumps(event) for event in events)
    node = Node()
    with served(node) as url:
        sent = consentry("publish", "-", stdin=text, NODE_URL=url, BEARER_TOKEN="all", MAX_BATCH="2")
    assert sent.exit_code == Exit.NO
    assert "error: event 4, subject: " in sent.stderr
    assert len(node.log.appended) == 2


def test_an_act_that_the_caller_may_not_send_names_the_field() -> None:
    event = {**act("ConsentWithdrawn"), "actor": {"role": "subject", "id": "account:43"}}
    with served(Node()) as url:
        sent = consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
    assert sent.exit_code == Exit.NO
    assert "error: event 1, actor/id: " in sent.stderr


def test_an_outcome_that_is_not_known_says_how_to_repeat() -> None:
    node = Node()
    node.log.acknowledges = False
    event = json.dumps(act("ConsentWithdrawn"))
    with served(node) as url:
        sent = consentry("publish", "-", "--idempotency-key", "k", stdin=event, NODE_URL=url, BEARER_TOKEN="all")
    assert sent.exit_code == Exit.UNKNOWN
    assert "--idempotency-key k" in sent.stderr


@pytest.mark.parametrize("text", ["no json", "[1,", '{"a": 1}\nno json'])
def test_a_file_that_is_no_json_is_wrong_use(text: str) -> None:
    assert consentry("publish", "-", stdin=text, NODE_URL=f"http://{NOWHERE}").exit_code == Exit.WRONG_USE


def test_a_field_that_the_type_does_not_have_is_named_with_those_it_has() -> None:
    result = consentry(
        *("publish", "--type", "ConsentWithdrawn", "--subject", "account:42", "--field", "scene=x"),
        NODE_URL=f"http://{NOWHERE}",
    )
    assert result.exit_code == Exit.WRONG_USE
    assert "its own are purpose, operations, data, recipients, reason" in result.stderr


def test_parts_of_a_file_keep_within_both_limits() -> None:
    events = [b'"' + b"x" * size + b'"' for size in (1, 1, 1, 50, 1, 1)]
    batches = list(batches_of(events, max_events=2, max_bytes=20))
    assert [len(batch.events) for batch in batches] == [2, 1, 1, 2]
    assert [batch.first for batch in batches] == [1, 3, 4, 5]
    assert [batch.number for batch in batches] == [0, 1, 2, 3]
