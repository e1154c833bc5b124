"""run_query_node: a process that answers. It starts its parts, serves while they catch up, and stops them in order."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from consentry.intake import require_subject_ids
from consentry.replica import ConsentReplica
from consentry.settings import Settings
from streams.access import Access, load_access
from streams.append import LogWriter
from streams.query.api import Api, create_api
from streams.query.ends import LogEnds
from streams.query.server import listen, server_of, url_of
from streams.topics import require_topics

log = logging.getLogger(__name__)

Announce = Callable[[str], None]


def say_on_stderr(url: str) -> None:
    sys.stderr.write(f"listening on {url}\n")
    sys.stderr.flush()


def run_query_node(settings: Settings, *, access: Access | None = None, on_listening: Announce = say_on_stderr) -> int:
    """Serve until SIGTERM or SIGINT; 0 then. `http_port` 0 is a free port; `on_listening` gets the URL.

    Without `access` it is read from `token_file`; without that either, nothing is served. Raises ConsentryError: no
    token file, a port in use, a wrong topic, a log that is not trusted, a Kafka that cannot be reached.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings, access or load_access(settings), on_listening))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # it has no wheel for this platform
        return None
    return uvloop.new_event_loop


async def serve(settings: Settings, access: Access, on_listening: Announce = say_on_stderr) -> None:
    """What `run_query_node` runs, on the caller's loop. Raises ConsentryError."""
    identity = await require_topics(settings)
    require_subject_ids(settings, identity)
    replica = ConsentReplica(settings, identity)
    writer = LogWriter(settings, identity)
    ends = LogEnds(settings)
    listener = listen(settings)
    try:
        await writer.start()
        ends.start()
        api = create_api(settings, replica, writer, access, ends=ends)
        server = server_of(settings, api)
        with _stopped_by_signals(server, api):
            on_listening(url_of(listener))
            await _serve_while_catching_up(server, listener, replica)
    finally:
        listener.close()
        await ends.stop()
        await replica.stop()
        await writer.stop()


async def _serve_while_catching_up(server: uvicorn.Server, listener: socket.socket, replica: ConsentReplica) -> None:
    """Until it is told to stop, or the replica cannot start: a node that catches up says so and allows nothing."""
    starting = asyncio.create_task(replica.start(), name="replica-start")
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        await asyncio.wait({starting, serving}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and starting.exception() is not None:
            log.error("replica.not_started", extra={"error": str(starting.exception())})
            server.should_exit = True
        await serving
    finally:
        starting.cancel()
        serving.cancel()
        outcome = await asyncio.gather(starting, serving, return_exceptions=True)
    for result in outcome:
        if isinstance(result, Exception):
            raise result


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server, api: Api) -> Iterator[None]:
    def stop() -> None:
        api.watching.close()  # else the server would wait for them
        server.should_exit = True

    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
