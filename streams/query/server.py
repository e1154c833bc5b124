"""The HTTP server: uvicorn with our limits, a socket of ours, and no signal handlers of its own."""

import asyncio
import contextlib
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from consentry.errors import ConsentryError
from consentry.settings import Settings

BACKLOG = 1_024


class Config(uvicorn.Config):
    """What uvicorn has no name for."""

    request_timeout_s: float = 10.0


class Protocol(HttpToolsProtocol):
    """Closes a connection that keeps us waiting for the head of a request: uvicorn itself would wait for ever.

    Looked at once every request_timeout: a connection without a request at two looks in a row has had its time.
    """

    _look: TimerHandle | None = None
    _seen: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        assert isinstance(self.config, Config)
        self._seen = self.cycle
        self._look = self.loop.call_later(self.config.request_timeout_s, self._close_if_nothing_came)

    def _close_if_nothing_came(self) -> None:
        cycle = self.cycle
        waits_for_a_head = cycle is None or cycle.response_complete
        if waits_for_a_head and cycle is self._seen:
            self.transport.close()
        else:
            self._look_later()


class Server(uvicorn.Server):
    """uvicorn raises the signal that stopped it once more, and that would end us before our parts are stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(settings: Settings, app: Callable[..., object]) -> Server:
    """Not yet started; `serve(sockets=[...])` serves until `should_exit`."""
    config = Config(
        app,
        loop="none",
        http=Protocol,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections + 1,  # uvicorn counts the one that asks
        timeout_graceful_shutdown=max(1, settings.shutdown_timeout_ms // 1000),
    )
    config.request_timeout_s = settings.request_timeout_ms / 1000
    return Server(config)


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say. Raises ConsentryError when it cannot."""
    host, port = settings.http_host, settings.http_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:
        raise ConsentryError(
            f"cannot listen on {host} port {port}: {fault.strerror or fault}",
            where="http_host, http_port",
            remedy="another CONSENTRY_HTTP_PORT; 0 takes a free one",
        ) from fault


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
