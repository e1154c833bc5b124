"""The command line in a test's own process, and query nodes for it to ask: real ones, and one that is none."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import uvicorn
from click.testing import CliRunner, Result
from contract.in_memory import NOW, Node

from consentry.settings import PREFIX
from streams.cli import main

NOWHERE = "127.0.0.1:1"


def act(kind: str, subject: str = "account:42", **fields: object) -> dict[str, object]:
    """JSON of what a subject did."""
    actor = {"role": "subject", "id": subject}
    return {"type": kind, "subject": subject, "occurred_at": NOW, "actor": actor, "channel": "app", **fields}


PERMISSION = act("PermissionObserved", permission="camera", state="on")
GRANT = act("ConsentGiven", purpose="publish.camera", policy_version=1, expression="separate")


def consentry(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    """A command, with these settings and none of this machine's."""
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith(PREFIX)}
    env |= {PREFIX + name: value for name, value in environment.items()}
    return CliRunner().invoke(main, arguments, input=stdin, env=env)


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
    """A server that is no node of ours: whatever is posted, it says 200 and this; there is nothing to get."""

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
