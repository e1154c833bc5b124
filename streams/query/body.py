"""A request's body, within its limits: they are checked before anything is parsed."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, TypeVar

import msgspec

from consentry.errors import Problem
from consentry.settings import Settings
from streams.query.problems import Refusal, problem_of, unreadable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = Iterable[tuple[bytes, bytes]]
T = TypeVar("T")

# Strings go first, so that a bracket inside one does not count.
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)
_TOKENS = re.compile(rb'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class Gone(Exception):
    """The caller hung up before its request was complete."""


def header(headers: Headers, name: bytes) -> bytes | None:
    """The value of the first header of that name (in lower case, as ASGI has them)."""
    for key, value in headers:
        if key == name:
            return value
    return None


def check_media_type(headers: Headers) -> None:
    """Raises Refusal unless the body is said to be JSON: no page in a browser can say so unasked.

    400 and not 415: AuthZEN's certification asks for it, and one answer on every path is enough.
    """
    media_type = (header(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise Refusal(
            "the body must be application/json",
            status=400,
            code="NOT_JSON",
            remedy="send `Content-Type: application/json`",
        )


def prefers_text(accept: Sequence[str]) -> bool:
    """Whether text/plain is what the caller would rather have than JSON, by its Accept headers (RFC 9110, 12.5.1)."""
    weights = {"text/plain": 0.0, "application/json": 0.0}
    for part in ",".join(accept).lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        if media_range in weights:
            weights[media_range] = max(weights[media_range], weight)
    return weights["text/plain"] > weights["application/json"]


def _weight(text: str) -> float:
    return float(text) if _QUALITY.fullmatch(text) else 0.0


async def read_body(headers: Headers, receive: Receive, settings: Settings) -> bytes:
    """The whole body. Raises Refusal: 413 when it is too large, 408 when it does not arrive in time."""
    limit = settings.max_body_bytes
    announced = header(headers, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
    else:
        try:
            async with asyncio.timeout(settings.request_timeout_ms / 1000):
                body = await _rest_of(message, receive, limit)
        except TimeoutError:
            raise Refusal(
                f"the body did not arrive within {settings.request_timeout_ms} ms", status=408, code="TIMEOUT"
            ) from None
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _rest_of(message: Message, receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        part = message.get("body", b"")
        size += len(part)
        if size > limit:  # a chunked body announces no length
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    raise Gone


def _too_large(limit: int) -> Refusal:
    return Refusal(
        f"the body is larger than {limit} bytes", status=413, code="BODY_TOO_LARGE", remedy="send less at a time"
    )


def check_depth(body: bytes, limit: int) -> None:
    """Raises Refusal when the JSON nests more deeply than `limit`."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return  # it cannot
    depth = 0
    for token in _TOKENS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise unreadable(Problem(f"the JSON nests more than {limit} deep"))
        elif first in b"]}":
            depth -= 1


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes | msgspec.Raw, *, under: str = "") -> T:
    """The typed value. Raises Refusal (400) naming the field that does not fit."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as fault:
        raise unreadable(problem_of(fault, under=under)) from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise unreadable(Problem(f"the body is not JSON: {fault}", where=under)) from fault
