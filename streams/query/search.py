"""The search API, OpenID AuthZEN 1.0: for whom, for which purpose, which action a check would be allowed.

What is found is what a check with the same context allows, now; a page is bounded in what it looks at, so it may hold
little or nothing and still not be the last.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from consentry.authzen import (
    SEARCH_ACTION_PATH,
    SEARCH_RESOURCE_PATH,
    SEARCH_SUBJECT_PATH,
    Action,
    ActionsFound,
    Kind,
    NextPage,
    Page,
    Resource,
    ResourcesFound,
    Subject,
    SubjectsFound,
)
from consentry.errors import Problem
from consentry.policy import Policy
from consentry.settings import Settings
from consentry.terms import Operation
from streams.access import Access
from streams.query.answering import Answering, Search
from streams.query.authzen import CheckRoute
from streams.query.body import decode
from streams.query.metrics import Metrics
from streams.query.problems import unreadable
from streams.query.question import Received

AT_A_TIME = 50
"""candidates that are looked at before others get their turn"""
SOMEBODY = "x"
"""stands for any id while a question is read that names none"""
Given = msgspec.Raw | msgspec.UnsetType
Found = TypeVar("Found", Subject, Resource, Action)


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    context: Given = msgspec.UNSET
    at: Given = msgspec.UNSET
    page: Page | None = None


class _ForSubjects(_Asked, frozen=True, kw_only=True):
    subject: Kind
    action: Action
    resource: Resource


class _ForResources(_Asked, frozen=True, kw_only=True):
    subject: Subject
    action: Action
    resource: Kind


class _ForActions(_Asked, frozen=True, kw_only=True):
    subject: Subject
    resource: Resource


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins, and of which search."""

    search: str
    after: str


_for_subjects = msgspec.json.Decoder(_ForSubjects)
_for_resources = msgspec.json.Decoder(_ForResources)
_for_actions = msgspec.json.Decoder(_ForActions)
_token = msgspec.json.Decoder(_Token)


class _Pages(Generic[Found]):
    """One page of one search."""

    def __init__(self, asked: _Asked, key: object, max_results: int) -> None:
        """`key`: all that the search says. Raises Refusal (400) where the token is of another search."""
        self._search = hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]
        page = asked.page or Page()
        self.limit = min(page.limit or max_results, max_results)
        self.after = self._after(page.token) if page.token else ""
        self.results: list[Found] = []
        self.ended = False

    def _after(self, text: str) -> str:
        try:
            token = _token.decode(base64.urlsafe_b64decode(text.encode()))
        except (msgspec.DecodeError, UnicodeError, binascii.Error):
            token = None
        if token is None or token.search != self._search:
            raise unreadable(
                Problem(
                    "is no page of this search",
                    where="/page/token",
                    remedy="repeat the request with the next_token of its answer, and change nothing else",
                )
            )
        return token.after

    @property
    def full(self) -> bool:
        return len(self.results) >= self.limit

    def next(self) -> NextPage:
        token = "" if self.ended else base64.urlsafe_b64encode(msgspec.json.encode((self._search, self.after))).decode()
        return NextPage(next_token=token, count=len(self.results))

    def take(self, names: Iterable[str], allowed: Callable[[str], bool], make: Callable[[str], Found]) -> int:
        """Look at candidates until the page is full. How many were looked at."""
        looked_at = 0
        for name in names:
            if self.full:
                break
            looked_at += 1
            self.after = name
            if allowed(name):
                self.results.append(make(name))
        return looked_at


class SearchRoute(CheckRoute):
    """What the three have in common."""

    def __init__(self, settings: Settings, access: Access, answering: Answering, metrics: Metrics) -> None:
        super().__init__(settings, access, answering, metrics)
        self._seconds = metrics.search_seconds

    async def _among(
        self, page: _Pages[Found], names: Iterable[str], allowed: Callable[[str], bool], make: Callable[[str], Found]
    ) -> None:
        """Candidates by name, all of them known at once."""
        rest = sorted(name for name in names if name > page.after)
        for begin in range(0, len(rest), AT_A_TIME):
            page.take(rest[begin : begin + AT_A_TIME], allowed, make)
            if page.full:
                break
            await asyncio.sleep(0)
        page.ended = not rest or page.after == rest[-1]


class SubjectSearchRoute(SearchRoute):
    """For whom may this be done? Of those who are known here; what needs no consent may be done for others too."""

    path = SEARCH_SUBJECT_PATH

    async def _answer(self, body: bytes) -> SubjectsFound:
        asked = decode(_for_subjects, body)
        page: _Pages[Subject] = _Pages(
            asked, _said(asked, asked.subject, asked.action, asked.resource), self._settings.max_batch
        )
        kind = asked.subject.type
        question = Received(
            subject=Subject(kind, SOMEBODY),
            action=asked.action,
            resource=asked.resource,
            context=asked.context,
            at=asked.at,
        )
        search = await self._answering.search(question, of_one_subject=False)
        if search.subject_type is None:
            page.ended = True
        else:
            await self._among_subjects(page, search, kind)
        return SubjectsFound(results=tuple(page.results), page=page.next(), context=search.context)

    async def _among_subjects(self, page: _Pages[Subject], search: Search, kind: str) -> None:
        prefix, rest = f"{search.subject_type}:", self._settings.search_subjects
        page.after = page.after or prefix
        while rest > 0 and not page.full:
            wanted = min(AT_A_TIME, rest)
            names = self._answering.subjects_after(page.after, wanted)
            of_kind = [name for name in names if name.startswith(prefix)]
            rest -= page.take(of_kind, search.allows_subject, lambda name: Subject(kind, name[len(prefix) :]))
            if not page.full and len(of_kind) < wanted:
                page.ended = True
                return
            await asyncio.sleep(0)


class ResourceSearchRoute(SearchRoute):
    """For which purposes may this be done?"""

    path = SEARCH_RESOURCE_PATH

    async def _answer(self, body: bytes) -> ResourcesFound:
        asked = decode(_for_resources, body)
        page: _Pages[Resource] = _Pages(
            asked, _said(asked, asked.subject, asked.action, asked.resource), self._settings.max_batch
        )
        kind = asked.resource.type
        question = Received(
            subject=asked.subject,
            action=asked.action,
            resource=Resource(kind, SOMEBODY),
            context=asked.context,
            at=asked.at,
        )
        search = await self._answering.search(question)
        names = search.policy.purposes if search.policy is not None else ()
        await self._among(page, names, search.allows_purpose, lambda name: Resource(kind, name))
        return ResourcesFound(results=tuple(page.results), page=page.next(), context=search.context)


class ActionSearchRoute(SearchRoute):
    """What may be done for this purpose? By a gateway's words for it, and by ours."""

    path = SEARCH_ACTION_PATH

    async def _answer(self, body: bytes) -> ActionsFound:
        asked = decode(_for_actions, body)
        page: _Pages[Action] = _Pages(asked, _said(asked, asked.subject, asked.resource), self._settings.max_batch)
        question = Received(
            subject=asked.subject,
            action=Action(Operation.USE),
            resource=asked.resource,
            context=asked.context,
            at=asked.at,
        )
        search = await self._answering.search(question)
        operations = _operations(search.policy)
        await self._among(page, operations, lambda name: search.allows_operation(operations[name]), Action)
        return ActionsFound(results=tuple(page.results), page=page.next(), context=search.context)


def _operations(policy: Policy | None) -> dict[str, Operation]:
    """Each word for an operation that a check understands."""
    theirs = {} if policy is None else dict(policy.authzen.actions)
    return {operation.value: operation for operation in Operation} | theirs


def _said(asked: _Asked, *parts: object) -> object:
    return (type(asked).__name__, *parts, None if asked.context is msgspec.UNSET else asked.context)
