"""One call to a node: a deadline over all of it, retries within it, and only an answer to this very request."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self
from uuid import UUID

import httpx2

from consentry.answers import Doubt
from consentry.client.reading import Doubtful
from consentry.errors import ConsentryError

MAX_ANSWER_BYTES = 16_777_216
CONNECTIONS = 100
KEEP_ALIVE_S = 30.0
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 25, 1_000
"""before a retry: a random part of this, doubled each time"""
WORTH_REPEATING = frozenset({429, 502, 503, 504})
_REQUEST_ID = "x-request-id"


class Reply(NamedTuple):
    """What came back, whole."""

    status: int
    body: bytes
    retry_after_ms: int


class Sender:
    """Connections to one node, or to what stands before several. For one event loop."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        attempts: int,
        jitter: Callable[[], float],
        new_id: Callable[[], UUID],
        tls: ssl.SSLContext | None,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:
        base = checked_address(url)
        if attempts < 1:
            raise ConsentryError("a call is tried once at the least", where="attempts")
        self._attempts = attempts
        self._jitter = jitter
        self._new_id = new_id
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._http = httpx2.AsyncClient(
            base_url=base,
            headers=headers,
            follow_redirects=False,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S
            ),
            transport=transport,
            trust_env=False,  # settings alone read the environment
            verify=base.scheme == "https" if tls is None else tls,  # loading authorities takes 20 ms
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        deadline_ms: int,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """A reply below 500, or the last one that was not. Whatever is sent must be safe to repeat. Raises Doubtful."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + deadline_ms / 1000
        # a dead address must leave time for another try
        timeout = httpx2.Timeout(None, connect=deadline_ms / 1000 / self._attempts)
        last: Reply | Doubtful | None = None
        try:
            async with asyncio.timeout_at(until_s):
                for attempt in range(self._attempts):
                    request = self._http.build_request(
                        method, path, content=content, params=params, headers=headers, timeout=timeout
                    )
                    try:
                        last = await self._once(request)
                    except httpx2.TransportError as fault:
                        last = Doubtful(Doubt.UNREACHABLE, f"{type(fault).__name__}: {fault}")
                    pause_s = self._pause_s(last, attempt)
                    if pause_s is None or loop.time() + pause_s >= until_s:
                        break
                    await asyncio.sleep(pause_s)
        except TimeoutError as fault:
            raise Doubtful(Doubt.TIMEOUT, f"no answer within {deadline_ms} ms") from fault
        except httpx2.HTTPError as fault:
            raise Doubtful(Doubt.UNREADABLE, f"{type(fault).__name__}: {fault}") from fault
        if isinstance(last, Doubtful):
            raise last
        assert last is not None  # there is at least one attempt
        return last

    def _pause_s(self, last: Reply | Doubtful, attempt: int) -> float | None:
        """How long to wait before the next try; None: there is none."""
        if attempt + 1 >= self._attempts:
            return None
        asked_ms = 0
        if isinstance(last, Reply):
            if last.status not in WORTH_REPEATING:
                return None
            asked_ms = last.retry_after_ms
        longest_ms: int = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << attempt)
        return max(asked_ms, self._jitter() * longest_ms) / 1000

    async def _once(self, request: httpx2.Request) -> Reply:
        request_id = str(self._new_id())
        request.headers[_REQUEST_ID] = request_id
        response = await self._http.send(request, stream=True)
        try:
            if response.is_success and response.headers.get(_REQUEST_ID) != request_id:
                # its body is not read: so the connection, on which the next answer may be another's too, is closed
                raise Doubtful(
                    Doubt.MISMATCHED,
                    "the answer's X-Request-ID is not the one that was sent: does a cache or a proxy stand between?",
                )
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise Doubtful(Doubt.UNREADABLE, f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        finally:
            await response.aclose()
        return Reply(response.status_code, bytes(body), _retry_after_ms(response.headers.get("retry-after", "")))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def checked_address(url: str) -> httpx2.URL:
    """Raises ConsentryError where `url` is no address of a node."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as fault:
        raise ConsentryError(f"{url[:80]!r} is no address of a node: {fault}") from fault
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConsentryError(f"{url[:80]!r} is no address of a node", remedy="it reads like http://127.0.0.1:8480")
    return parsed


def _retry_after_ms(text: str) -> int:
    """Of a Retry-After in seconds; one that is a date is left to the pause of our own."""
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 6 else 0
