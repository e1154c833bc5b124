"""The command line on a real Kafka, each command a process of its own: from topics to a release from quarantine."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from consentry.settings import PREFIX

pytestmark = pytest.mark.stack

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
WAIT_S = 60.0
Environment = dict[str, str]


@pytest.fixture
def environment(kafka: str, topic_prefix: str, tmp_path: Path) -> Environment:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {
        "BOOTSTRAP_SERVERS": kafka,
        "TOPIC_PREFIX": topic_prefix,
        "PARTITIONS": "2",
        "REPLICATION_FACTOR": "1",
        "INTAKE_PRODUCERS": "web",
        "TOKEN_FILE": str(tmp_path / "tokens"),
    }
    return kept | {PREFIX + name: value for name, value in own.items()}


def consentry(environment: Environment, *arguments: str, expect: int = 0, stdin: str = "") -> str:
    """A command to its end; what it printed on standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == expect, f"{arguments} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@contextmanager
def running(environment: Environment, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs for long; what it prints goes to `log`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "streams.cli", *arguments], env=environment, stdout=file, stderr=file
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def eventually(holds: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)


def prepared(environment: Environment) -> None:
    """Topics, and the reference policy."""
    consentry(environment, "topics", "create")
    text = str(POLICIES / "privacy-policy.txt")
    consentry(environment, "policy", "publish", str(POLICIES / "reference-v1.yaml"), "--text", text)


def test_topics_are_created_and_checked(environment: Environment) -> None:
    consentry(environment, "topics", "check", expect=1)
    made = json.loads(consentry(environment, "topics", "create", "--json"))
    assert len(made["made"]) == 7
    assert json.loads(consentry(environment, "topics", "check", "--json")) == {"ok": True, "findings": []}


def test_a_worker_refuses_a_missing_topic_with_what_to_do(environment: Environment) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode != 0
    assert "consentry topics create" in done.stderr


def test_watch_ends_with_130_on_ctrl_c(environment: Environment, tmp_path: Path) -> None:
    prepared(environment)
    log = tmp_path / "watch.log"
    with running(environment, log, "watch") as watch:
        eventually(lambda: "watching" in log.read_text(), log)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(WAIT_S) == 130
    assert "Traceback" not in log.read_text()


def test_a_grant_a_withdrawal_a_quarantine_and_its_release(environment: Environment, tmp_path: Path) -> None:
    prepared(environment)
    roles = [part for role in ("asker", "producer", "operator", "auditor") for part in ("--role", role)]
    token = consentry(environment, "token", "create", "--name", "tester", *roles).strip()
    environment |= {f"{PREFIX}BEARER_TOKEN": token}
    worker_log, node_log, watch_log = tmp_path / "worker.log", tmp_path / "node.log", tmp_path / "watch.log"
    with (
        running(environment, worker_log, "worker"),
        running(environment, node_log, "serve", "--http-port", "0"),
        running(environment, watch_log, "watch", "--subject", "account:42", "--json") as watch,
    ):
        eventually(lambda: re.search(r"listening on http://\S+", node_log.read_text()), node_log)
        address = re.search(r"listening on (http://\S+)", node_log.read_text())
        assert address is not None
        environment |= {f"{PREFIX}NODE_URL": address[1]}
        eventually(lambda: "watching" in watch_log.read_text(), watch_log)
        eventually(lambda: is_ready(address[1]), worker_log)
        story(environment)
        eventually(lambda: "withdrawn by subject" in watch_log.read_text(), watch_log)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(WAIT_S) == 130
    last = json.loads(next(line for line in watch_log.read_text().splitlines() if "withdrawn" in line))
    assert last["position"] == last["tightened_position"]


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/readyz", timeout=WAIT_S).status_code == 200


def story(environment: Environment) -> None:
    def publish(kind: str, *fields: str) -> dict[str, str]:
        named = [part for field in fields for part in ("--field", field)]
        one = ("publish", "--type", kind, "--subject", "account:42", *named, "--wait", "2000", "--json")
        published: dict[str, str] = json.loads(consentry(environment, *one))
        return published

    camera = ("--operation", "collect", "--purpose", "publish.camera", "--data", "camera_image", "--active")
    ask = ("check", "account:42", *camera, "--explain")

    publish("PermissionObserved", "permission=camera", "state=on")
    given = publish("ConsentGiven", "purpose=publish.camera", "policy_version=1", "expression=separate")
    assert given["effect"] == "applied"
    explained = consentry(environment, *ask, "--min-position", given["position"])
    assert "the person agreed to it" in explained
    assert "of version 1 of the policy, under “Posting of information”, says: “When you use" in explained
    assert f"event {given['event_id']} (given by subject), recorded at {given['position']} on " in explained
    assert "\nThe passing of time alone does not change this answer.\n" in explained
    assert "given" in consentry(environment, "state", "account:42")
    withdrawn = publish("ConsentWithdrawn", "purpose=publish.camera")
    explained = consentry(environment, *ask, "--min-position", withdrawn["position"], expect=1)
    assert "the person withdrew" in explained
    assert "\nWhat follows for you: Stop what you are doing with these data for this purpose.\n" in explained

    replay = ("audit", "replay", "--subject", "account:42", *camera, "--json")
    before = json.loads(consentry(environment, *replay, "--position", given["position"]))
    after = json.loads(consentry(environment, *replay))
    assert [found["decision"]["context"]["reason"] for found in (before, after)] == ["CONSENT", "WITHDRAWN"]
    assert (len(before["steps"]), before["left_out"], len(after["steps"])) == (2, 0, 3)

    publish("AgeAsserted", "source=declared", "age_band=minor")
    publish("GuardianLinked", "guardian=account:41", "relation=mother")
    state = consentry(environment, "state", "account:42")
    assert "age             minor, declared\nguardian        account:41, not verified\n" in state

    grant_of_nothing = {
        "type": "ConsentGiven",
        "subject": "account:7",
        "occurred_at": 1_790_000_000_000,
        "actor": {"role": "subject", "id": "account:7"},
        "channel": "api",
        "purpose": "no-such-purpose",
        "policy_version": 1,
        "expression": "separate",
    }
    consentry(environment, "publish", "-", "--intake", "web", stdin=json.dumps(grant_of_nothing))
    source = one_in_quarantine(environment)
    assert "account:7" in consentry(environment, "quarantine", "show", source)
    reason = ("--disposition", "no_effect", "--reason", "a test", "--approver", "another")
    consentry(environment, "quarantine", "release", source, *reason)
    eventually_none_stands(environment)


def one_in_quarantine(environment: Environment) -> str:
    deadline = time.monotonic() + WAIT_S
    while True:
        standing = json.loads(consentry(environment, "quarantine", "list", "--standing", "--json"))
        if standing:
            assert [one["subject"] for one in standing] == ["account:7"]
            source: str = standing[0]["source"]
            return source
        assert time.monotonic() < deadline


def eventually_none_stands(environment: Environment) -> None:
    deadline = time.monotonic() + WAIT_S
    while json.loads(consentry(environment, "quarantine", "list", "--standing", "--json")):
        assert time.monotonic() < deadline
    (released,) = json.loads(consentry(environment, "quarantine", "list", "--json"))
    assert released["standing"] is False
