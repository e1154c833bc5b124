"""docker-compose.yml: each of our services runs as written there, as a child process on the tests' Kafka.

No engine is needed: what a container adds (a network, a file mount, a port) is put in by hand; the command and the
environment are the file's. Kafka's own settings are compared with those of the broker that all tests run on.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
import yaml

from consentry.intake import CallerRole
from streams.access import add_token
from streams.broker.local import choose_ports
from streams.broker.properties import server_properties

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
PORT = 8480
WAIT_S = 90


class Service:
    """One service of the file, outside a container."""

    def __init__(self, name: str, outside: dict[str, str]) -> None:
        self.name = name
        self.definition: dict[str, Any] = COMPOSE["services"][name]
        declared = {key: interpolated(str(value)) for key, value in self.definition["environment"].items()}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CONSENTRY_")}
        self.environment = kept | declared | outside
        self.arguments = [sys.executable, "-m", "streams.cli", *self.definition["command"]]

    @contextmanager
    def running(self, log_path: Path, root: Path) -> Iterator["subprocess.Popen[bytes]"]:
        with log_path.open("wb") as log:
            process = subprocess.Popen(self.arguments, env=self.environment, cwd=root, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def is_healthy(self) -> bool:
        """Its health check, as the engine would run it inside the container."""
        kind, program, *rest = self.definition["healthcheck"]["test"]
        assert kind == "CMD"
        inside = {"consentry": ["-m", "streams.cli"], "python": []}[program]
        port = self.environment.get("CONSENTRY_HTTP_PORT", "")
        check = [sys.executable, *inside, *(word.replace(str(PORT), port) for word in rest)]
        return subprocess.run(check, env=self.environment, capture_output=True, check=False).returncode == 0

    def wait_until_healthy(self, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
        deadline = time.monotonic() + WAIT_S
        while not self.is_healthy():
            assert process.poll() is None, f"{self.name} ended:\n{log_path.read_text()}"
            assert time.monotonic() < deadline, f"{self.name} is not healthy:\n{log_path.read_text()}"
            time.sleep(0.2)


def interpolated(text: str) -> str:
    """${NAME:-default} as compose reads it where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def event(kind: str, **fields: object) -> dict[str, object]:
    subject = "account:compose"
    actor = {"role": "subject", "id": subject}
    occurred_at = time.time_ns() // 1_000_000
    told = {"event_id": str(uuid.uuid4()), "type": kind, "subject": subject, "actor": actor, "channel": "app"}
    return {**told, "occurred_at": occurred_at, **fields}


CAMERA = {"purpose": "publish.camera", "operations": ["collect"], "data": ["camera_image"]}
GRANT = {"policy_version": 1, "expression": "separate", "notice": {"hash": "0" * 64, "language": "en"}}
QUESTION = {
    "subject": {"type": "account", "id": "compose"},
    "action": {"name": "collect"},
    "resource": {"type": "purpose", "id": "publish.camera"},
}


def reason(client: httpx.Client, position: str | None = None) -> str:
    context: dict[str, object] = {"data": ["camera_image"], "active": True}
    if position is not None:
        context["min_position"] = position
    deadline = time.monotonic() + WAIT_S
    while True:  # the second worker may join just now: until partitions have changed hands, nothing is allowed
        answer = client.post("/access/v1/evaluation", json={**QUESTION, "context": context})
        assert answer.status_code == 200, answer.text
        found = str(answer.json()["context"]["reason"])
        if found not in {"NOT_YET_VISIBLE", "STALE"}:
            return found
        assert time.monotonic() < deadline, answer.text


def tell(client: httpx.Client, body: dict[str, object]) -> str:
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["position"])


def test_the_services_of_the_compose_file_play_the_story(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    tokens, (ports,) = tmp_path / "tokens.yaml", choose_ports(1)
    token = add_token(tokens, "compose", [CallerRole.ASKER, CallerRole.PRODUCER])
    network = {"CONSENTRY_BOOTSTRAP_SERVERS": kafka, "CONSENTRY_TOPIC_PREFIX": topic_prefix}
    mounts = {"CONSENTRY_TOKEN_FILE": str(tokens), "CONSENTRY_HTTP_PORT": str(ports.client)}
    topics = Service("topics", network)
    policies = ROOT / "examples" / "policies"
    publish = ["policy", "publish", str(policies / "reference-v1.yaml"), "--text", str(policies / "privacy-policy.txt")]
    for arguments in (topics.arguments, [*topics.arguments[:3], *publish]):
        done = subprocess.run(arguments, env=topics.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    started, root = [], tmp_path / "root"
    root.mkdir()
    with ExitStack() as stack:
        for name in ("worker-1", "worker-2", "query"):
            service = Service(name, network | (mounts if name == "query" else {}))
            log_path = tmp_path / f"{name}.log"
            started.append((service, stack.enter_context(service.running(log_path, root)), log_path))
        for service, process, log_path in started:
            service.wait_until_healthy(process, log_path)
        address, headers = f"http://127.0.0.1:{ports.client}", {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=WAIT_S) as client:
            on = tell(client, event("PermissionObserved", permission="camera", state="on"))
            assert reason(client, on) == "NO_CONSENT"
            given = tell(client, event("ConsentGiven", **CAMERA, **GRANT))
            assert reason(client, given) == "CONSENT"
            withdrawn = tell(client, event("ConsentWithdrawn", purpose="publish.camera", reason="changed my mind"))
            assert reason(client, withdrawn) == "WITHDRAWN"
        for _, process, _ in started:
            process.terminate()
        for service, process, log_path in started:
            assert process.wait(WAIT_S) == 0, f"{service.name}:\n{log_path.read_text()}"
    assert all(COMPOSE["services"][service.name]["read_only"] for service, _, _ in started)
    assert not list(root.iterdir()), "a container's root is read-only: nothing may be written there"


def test_every_service_of_ours_in_the_compose_file_is_started_by_the_test_above() -> None:
    ours = {name for name, service in COMPOSE["services"].items() if "build" in service}
    assert ours == {"topics", "worker-1", "worker-2", "query"}


def test_the_image_starts_the_command_that_the_compose_file_completes() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)[-1]) == ["consentry"]
    assert re.search(r"^USER (?!0|root)", dockerfile, re.MULTILINE)


def test_kafka_in_the_compose_file_has_the_settings_that_the_tests_run_on() -> None:
    text = server_properties(0, choose_ports(1), PurePosixPath("/"), {})
    ours = {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}
    declared = COMPOSE["services"]["kafka"]["environment"]
    of_compose = {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for name, value in declared.items()}
    shared = {name for name in of_compose.keys() & ours.keys() if "listener" not in name and "log.dirs" not in name}
    assert {name: of_compose[name] for name in shared - {"controller.quorum.voters"}} == {
        name: ours[name] for name in shared - {"controller.quorum.voters"}
    }
    assert {"auto.create.topics.enable", "transaction.state.log.min.isr", "min.insync.replicas"} <= shared


def test_compose_itself_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose on this machine")
    config = [docker, "compose", "config", "--quiet"]
    done = subprocess.run(config, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
