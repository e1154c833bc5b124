"""A query node, asked over HTTP. Its refusals become our errors; what it cannot say is Unavailable."""

from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from consentry.errors import ConsentryError, InvalidEvent, Problem, Unavailable
from consentry.settings import Settings
from streams.query.problems import ProblemDetails

Answer = TypeVar("Answer")
JSON = {"content-type": "application/json"}


class Node:
    """A connection to the node of the settings; closed by leaving its `with` block."""

    def __init__(self, settings: Settings) -> None:
        url = settings.node_url or f"http://{settings.http_host}:{settings.http_port}"
        headers = {"authorization": f"Bearer {settings.bearer_token}"} if settings.bearer_token else {}
        wait_s = (settings.acknowledge_timeout_ms + settings.visible_timeout_ms) / 1000
        self.url = url
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=wait_s, follow_redirects=False)
        except (httpx.InvalidURL, UnicodeEncodeError) as fault:
            raise ConsentryError(f"{fault}", where="CONSENTRY_NODE_URL, CONSENTRY_BEARER_TOKEN") from fault

    def get(self, path: str, kind: type[Answer]) -> Answer:
        """Raises Unavailable; ConsentryError where the node refuses."""
        return self._answer(self._send("GET", path, None, {}), kind)

    def post(self, path: str, body: bytes, kind: type[Answer], *, key: str | None = None, wait_ms: int = 0) -> Answer:
        """`key` is the Idempotency-Key. Raises as `get`; InvalidEvent where what was sent is refused."""
        headers = JSON if key is None else {**JSON, "idempotency-key": key}
        if wait_ms:
            path = f"{path}?wait={wait_ms}"
        return self._answer(self._send("POST", path, body, headers), kind)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> httpx.Response:
        try:
            return self._http.request(method, path, content=body, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as fault:
            raise Unavailable(
                f"no answer: {fault}",
                where=self.url,
                remedy="is a query node running there (`consentry serve`)? CONSENTRY_NODE_URL says where",
            ) from fault

    def _answer(self, response: httpx.Response, kind: type[Answer]) -> Answer:
        if response.status_code in (200, 201):
            try:
                return msgspec.json.decode(response.content, type=kind)
            except msgspec.DecodeError as fault:
                raise Unavailable(f"an answer that is not of our kind: {fault}", where=self.url) from fault
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> ConsentryError:
        status = response.status_code
        try:
            details = msgspec.json.decode(response.content, type=ProblemDetails)
        except msgspec.DecodeError:
            return Unavailable(f"HTTP {status} without a reason of ours", where=self.url)
        if status >= 500:
            return Unavailable(details.detail, where=self.url, remedy="repeat it: nothing happens twice")
        errors = [Problem(error.detail, where=error.pointer, remedy=error.remedy) for error in details.errors]
        if errors or status in (409, 413, 422):
            return InvalidEvent(errors or [Problem(details.detail)], status=status, code=details.code)
        return ConsentryError(details.detail, where=self.url, remedy=_REMEDY_OF_STATUS.get(status, ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


_REMEDY_OF_STATUS = {
    401: "set CONSENTRY_BEARER_TOKEN to a token of the node's token file; `consentry token create` makes one",
    403: "ask with a token that has the role",
}
