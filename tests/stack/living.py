"""A whole stack for tests of what services use: topics, the reference policy, a worker and a query node."""

import asyncio
import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
from running import WAIT_S, Child, environment, make_topics, publish_policy, settings_for, worker

from consentry.client import ConsentClient
from consentry.intake import CallerRole
from consentry.settings import Secret, Settings
from streams.access import add_token


class Living:
    """Where it is, and with what to ask it."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        """with node_url and bearer_token, as a service has them"""
        self.directory = directory
        self.node = self.start_node()

    @property
    def environment(self) -> dict[str, str]:
        """What somebody else's program is started with; our commands are on its PATH."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**environment(self.settings), "PATH": path}

    def client(self, **how: int) -> ConsentClient:
        return ConsentClient(self.settings, **how)  # type: ignore[arg-type]

    def start_node(self) -> Child:
        """The node, on the same port as before."""
        log = self.directory / f"node-{uuid.uuid4().hex[:6]}.log"
        self.node = Child(self.settings, log, "-m", "streams.cli", "serve")
        self._until_ready()
        return self.node

    def _until_ready(self) -> None:
        wait_until(f"{self.settings.node_url}/readyz", self.node)


def wait_until(url: str, child: Child, *, within_s: float = WAIT_S) -> None:
    """Until `url` is answered with 200."""
    deadline = time.monotonic() + within_s
    while status_of(url) != 200:
        assert child.process.poll() is None, child.output
        assert time.monotonic() < deadline, child.output
        time.sleep(0.05)


def status_of(url: str) -> int:
    try:
        return httpx2.get(url, trust_env=False).status_code
    except httpx2.TransportError:  # it does not listen yet
        return 0


@contextmanager
def living_stack(kafka: str, directory: Path) -> Iterator[Living]:
    tokens = directory / "tokens.yaml"
    token = add_token(tokens, "tests", tuple(CallerRole))
    port = free_port()
    settings = settings_for(kafka, f"living-{uuid.uuid4().hex[:8]}.", token_file=str(tokens), http_port=port)
    asyncio.run(make_topics(settings))
    publish_policy(settings)
    service = msgspec.structs.replace(settings, node_url=f"http://127.0.0.1:{port}", bearer_token=Secret(token))
    with worker(settings, directory):
        living = Living(service, directory)
        try:
            yield living
        finally:
            living.node.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
