"""Who may come in: bearer tokens, of which a file keeps the SHA-256, the caller's name and its roles. Deny by default.

A token is 256 random bits, so a plain hash is enough: there is no password to guess. The file is read again when it
changes; one that cannot be read lets nobody in.
"""

import hashlib
import logging
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import yaml

from consentry.errors import ConsentryError
from consentry.intake import Caller, CallerRole
from consentry.settings import Settings

log = logging.getLogger(__name__)

TOKEN_PREFIX: Final = "consentry_"  # noqa: S105  (what tokens begin with, so that secret scanners find them)
TOKEN_BYTES: Final = 32
MAX_TOKEN_CHARACTERS: Final = 256
MAX_FILE_BYTES: Final = 1_048_576
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_REMEDY = "each entry is {name: app, roles: [producer], sha256: <64 hex digits>}; `consentry token create` makes one"


class Access(Protocol):
    """Whoever knows which caller a bearer token belongs to."""

    def caller_of(self, token: str | None) -> Caller | None:
        """The caller, or None: nobody we know."""
        ...


class NewToken(NamedTuple):
    """A token, to be shown once, and what the file keeps of it."""

    token: str
    sha256: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token of the file."""

    name: str
    roles: tuple[CallerRole, ...]
    sha256: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tokens: tuple[Entry, ...] = ()


def new_token() -> NewToken:
    """A token of 256 bits from the system's source of randomness."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    return NewToken(token, hash_of(token))


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class TokenFile:
    """Access by the tokens of a file."""

    def __init__(self, path: Path) -> None:
        """Raises ConsentryError where the file cannot be read, is not valid, or others may write it."""
        self._path = path
        self._seen = _stamp(path)
        self._callers = _callers_of(path)

    def caller_of(self, token: str | None) -> Caller | None:
        """The caller that `token` belongs to; None for none, an unknown one, or while the file is not valid."""
        self._read_again_if_changed()
        if not token or len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        # looked up by its hash: the time that takes tells nothing of the tokens we know
        return self._callers.get(hash_of(token))

    def _read_again_if_changed(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._callers = _callers_of(self._path)
            log.info("access.read_again", extra={"tokens": len(self._callers)})
        except ConsentryError as fault:
            self._callers = {}
            log.error("access.nobody_is_let_in", extra={"error": str(fault)})


def load_access(settings: Settings) -> Access:
    """Access by CONSENTRY_TOKEN_FILE. Raises ConsentryError where there is none, or it is not valid."""
    if not settings.token_file:
        raise ConsentryError(
            "no token file is given, so nobody could be let in",
            where="token_file",
            remedy="consentry token create --name app --role producer, and set CONSENTRY_TOKEN_FILE",
        )
    return TokenFile(Path(settings.token_file))


def add_token(path: Path, name: str, roles: Collection[CallerRole]) -> str:
    """Adds a token to the file, which is made if need be, and gives it: it is not kept anywhere else.

    Raises ConsentryError where the name, the roles or the file are not valid.
    """
    made = new_token()
    entry = Entry(name=name, roles=tuple(sorted(set(roles))), sha256=made.sha256)
    entries = (*(_entries_of(path) if path.exists() else ()), entry)
    _check(entries, path)
    _write(path, entries)
    return made.token


def _write(path: Path, entries: Collection[Entry]) -> None:
    """All or nothing: a node that reads at the same time sees the former file or this one."""
    text = "# Who may come in. A token itself is nowhere in here, only its SHA-256; remove an entry to lock one out.\n"
    text += yaml.safe_dump(msgspec.to_builtins(_File(tokens=tuple(entries))), sort_keys=False)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as fault:
        raise ConsentryError(f"cannot be written: {fault.strerror}", where=str(path)) from fault


def _callers_of(path: Path) -> dict[str, Caller]:
    entries = _entries_of(path)
    _check(entries, path)
    return {entry.sha256: Caller(entry.name, frozenset(entry.roles)) for entry in entries}


def _entries_of(path: Path) -> tuple[Entry, ...]:
    try:
        mode = path.stat().st_mode
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConsentryError(f"more than {MAX_FILE_BYTES} bytes", where=str(path))
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = msgspec.convert({} if document is None else document, _File).tokens
    except OSError as fault:
        raise ConsentryError(f"cannot be read: {fault.strerror}", where=str(path)) from fault
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as fault:
        raise ConsentryError(f"is no token file: {fault}", where=str(path), remedy=_REMEDY) from fault
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConsentryError(
            "others may write it, and so let themselves in", where=str(path), remedy=f"chmod 600 {path}"
        )
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("access.file_is_readable_by_others", extra={"path": str(path)})
    return entries


def _check(entries: Collection[Entry], path: Path) -> None:
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        fault = ""
        if not _NAME.fullmatch(entry.name):
            fault = "a name is 1 to 63 of A-Z a-z 0-9 . _ -"
        elif not entry.roles:
            fault = "without a role it lets nobody do anything"
        elif not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
            fault = "sha256 is 64 lower-case hex digits"
        elif entry.sha256 in seen:
            fault = "this token stands in the file twice"
        if fault:
            raise ConsentryError(fault, where=f"{path}: tokens[{place}]", remedy=_REMEDY)
        seen.add(entry.sha256)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
