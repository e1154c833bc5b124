"""Sending answers over ASGI, the same way on every path: never cached, with the caller's request id."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from streams.query import problems
from streams.query.body import Headers, header
from streams.query.problems import Refusal

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

MAX_REQUEST_ID_BYTES = 1_024
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", problems.MEDIA_TYPE.encode())
NO_STORE = (b"cache-control", b"no-store")
_encoder = msgspec.json.Encoder()


def request_id_of(headers: Headers) -> Fields:
    """The header that echoes the caller's X-Request-ID; none where it sent none."""
    value = header(headers, b"x-request-id")
    return [] if value is None else [(b"x-request-id", value[:MAX_REQUEST_ID_BYTES])]


async def send_bytes(send: Send, status: int, body: bytes, fields: Fields) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", str(len(body)).encode()), NO_STORE, *fields],
        }
    )
    await send({"type": "http.response.body", "body": body})


def encode(answer: object) -> bytes:
    return _encoder.encode(answer)


async def send_json(send: Send, status: int, body: bytes, fields: Fields) -> None:
    await send_bytes(send, status, body, [_JSON, *fields])


async def send_refusal(send: Send, refusal: Refusal, fields: Fields) -> None:
    body = encode(problems.details_of(refusal))
    more = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send_bytes(send, refusal.status, body, [_PROBLEM, *more, *fields])


def broken(route: str) -> Refusal:
    """What a caller hears of a fault of ours: nothing of its inside, and no ALLOW. The log has the rest."""
    log.exception("request.broke", extra={"route": route})
    return Refusal("the request could not be answered", status=500, code="INTERNAL", remedy="repeat it later")
