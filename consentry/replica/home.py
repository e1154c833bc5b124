"""Home: where a host keeps a copy, which of its files is the current one, and whose turn it is to feed it.

    <replica_dir>/<topic prefix>-<layout>/feeder.lock    held by the process that feeds
                                          current        the name of the directory below, and the boot it was fed in
                                          <name>/        one LMDB environment

A copy that cannot be trusted is not mended but left, and a new one becomes the current one. Whoever reads notices.
"""

import asyncio
import logging
import os
import shutil
import sys
import tempfile
import threading
import uuid
import weakref
from pathlib import Path
from typing import Final

import lmdb

from consentry.errors import ConsentryError, Unavailable
from consentry.events import Genesis
from consentry.replica.compact import layout
from consentry.replica.freshness import clock_name, monotonic_ms
from consentry.replica.head import Snapshot
from consentry.replica.store import DAMAGED, UNREADABLE, Store
from consentry.settings import Settings

try:
    import fcntl
except ImportError:  # not a POSIX system: a directory cannot be shared there
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

INTERPRETERS: Final = ("python", "pypy")
LOOK: Final = "consentry.replica.look"
LOOK_EVERY_MS: Final = 200
"""how soon a reader notices that another copy is the current one"""


class Home:
    """One process's access to a host's copy; `open_home` shares it between all that want it. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = settings.replica_max_bytes
        self._clock_tolerance_ms = settings.clock_tolerance_ms
        self.private = not settings.replica_dir
        self.root = Path() if self.private else root_of(settings)
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._current = ""
        self._stamp: tuple[int, int] | None = None
        self._looked_at = -LOOK_EVERY_MS
        self._lock_file: int | None = None
        self.users = 0
        _homes.add(self)
        self.trouble = ""
        """why there is nothing to read, as far as this process knows"""
        if not self.private:
            if fcntl is None:
                raise ConsentryError(
                    "processes cannot share a replica here", where="replica_dir", remedy="leave it empty"
                )
            try:
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as fault:
                raise ConsentryError(f"{self.root}: {fault.strerror}", where="replica_dir") from fault

    # reading

    def snapshot(self) -> Snapshot | None:
        """What is known now; None where there is no copy, or none that can be read."""
        store = self._store_to_read()
        if store is None:
            return None
        try:
            return store.snapshot()
        except UNREADABLE as fault:
            self._unreadable(store, fault)
            return None

    def read(self, key: bytes) -> tuple[Snapshot | None, bytes | None]:
        """The row under a key in its compact form, and the snapshot it belongs to; None as `snapshot`."""
        store = self._store_to_read()
        if store is None:
            return None, None
        try:
            return store.read(key)
        except UNREADABLE as fault:
            self._unreadable(store, fault)
            return None, None

    def keys_after(self, key: bytes, limit: int) -> list[bytes]:
        """Keys of rows greater than this one, in their order; none where there is nothing to read."""
        store = self._store_to_read()
        if store is None:
            return []
        try:
            return store.keys_after(key, limit)
        except UNREADABLE as fault:
            self._unreadable(store, fault)
            return []

    def changes_since(self, number: int, of: Store | None) -> tuple[list[bytes], int] | None:
        """As the store says; None, too, where another copy has become the current one, or none can be read."""
        store = self._store_to_read()
        if store is None or store is not of:
            return None
        try:
            return store.changes_since(number)
        except UNREADABLE as fault:
            self._unreadable(store, fault)
            return None

    def _store_to_read(self) -> Store | None:
        if self._lock_file is None and monotonic_ms() - self._looked_at >= LOOK_EVERY_MS and not self.private:
            self._look()
        return self._store

    def _unreadable(self, store: Store, fault: Exception) -> None:
        """Nothing rests on it until another becomes the current one; who feeds it finds out for itself."""
        with self._lock:
            if self._store is not store:
                return  # another became the current one meanwhile
            if self._lock_file is None and not self.private:
                self._store, self._stamp = None, None
                store.close()
            if self.trouble != str(fault):
                log.error("replica.unreadable", extra={"error": str(fault)})
            self.trouble = str(fault)

    def _look(self) -> None:
        """Open the copy that is the current one, where it is another than the one that is open."""
        with self._lock:
            self._looked_at = monotonic_ms()
            try:
                status = (self.root / "current").stat()
                if self._stamp == (status.st_ino, status.st_mtime_ns):
                    return
                name, clock = self._said()
                if clock != clock_name():
                    self.trouble = "the replica was fed on another machine, or before this one was started anew"
                    return
                store = self._open(self.root / name, create=False)
            except FileNotFoundError:
                self.trouble = "no process of this host feeds the replica"
            except UNREADABLE as fault:
                self.trouble = str(fault)
            else:
                self._replace(store, name)
                self._stamp = (status.st_ino, status.st_mtime_ns)

    def _said(self) -> tuple[str, str]:
        name, _, clock = (self.root / "current").read_text(encoding="utf-8").partition("\n")
        return name, clock

    def _open(self, directory: Path, *, create: bool) -> Store:
        return Store(directory, max_bytes=self._max_bytes, clock_tolerance_ms=self._clock_tolerance_ms, create=create)

    def _replace(self, store: Store | None, name: str) -> None:
        former, self._store, self._current = self._store, store, name
        self.trouble = ""
        if former is not None:
            former.close()

    # feeding

    def become_feeder(self) -> bool:
        """Whether this process now feeds the copy: at the most one does, and a killed one does no longer.

        By fcntl, whose locks a fork does not inherit, and which end with their process whatever it had forked.
        """
        with self._lock:
            if self.private or self._lock_file is not None:
                return self.private
            try:
                file = os.open(self.root / "feeder.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as fault:
                raise Unavailable(f"{self.root}: {fault.strerror}", where="replica_dir") from fault
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._lock_file = file
            return True

    def stop_feeding(self) -> None:
        with self._lock:
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    @property
    def feeds(self) -> bool:
        """Whether this process feeds the copy."""
        return self._lock_file is not None or (self.private and self._store is not None)

    @property
    def store(self) -> Store | None:
        """What is open now."""
        return self._store

    async def open_whole(self) -> Store | None:
        """The current copy, by the feeder; None where there is none that is whole.

        One that this process has been reading is not looked through again.
        """
        if self._store is not None or self.private:
            return self._store
        try:
            name, _ = self._said()
            fault = await fault_in(self.root / name, self._max_bytes)
            if not fault:
                with self._lock:
                    store = self._open(self.root / name, create=False)
                    self._make_current(name)  # it may be of another boot, and now this one knows it
                    self._replace(store, name)
                    return store
        except FileNotFoundError:
            return None
        except UNREADABLE as unreadable:
            fault = str(unreadable)
        log.warning("replica.made_anew", extra={"because": fault})
        return None

    def begin_anew(self, genesis: Genesis) -> Store:
        """A new, empty copy, and from now on the current one; by the feeder. Raises Unavailable."""
        with self._lock:
            name = f"copy-{uuid.uuid4().hex[:12]}"
            try:
                root = Path(tempfile.mkdtemp(prefix="consentry-replica-")) if self.private else self.root
                (root / name).mkdir(mode=0o700)
                store = self._open(root / name, create=True)
                store.start(genesis)
                if self.private:
                    shutil.rmtree(root)  # it stays for as long as it is open, whatever becomes of the process
                else:
                    self._make_current(name)
            except (*DAMAGED, lmdb.Error, OSError) as fault:
                raise Unavailable(f"no copy can be made: {fault}", where="replica_dir") from fault
            self._replace(store, name)
            self._remove_former(name)
            return store

    def _make_current(self, name: str) -> None:
        new = self.root / f"current.{os.getpid()}"
        new.write_text(f"{name}\n{clock_name()}", encoding="utf-8")
        new.replace(self.root / "current")

    def _remove_former(self, name: str) -> None:
        """Whoever still reads one keeps it until it looks again."""
        if not self.private:
            for path in self.root.glob("copy-*"):
                if path.name != name:
                    shutil.rmtree(path, ignore_errors=True)

    # forks and ends

    def before_fork(self) -> None:
        self._lock.acquire()
        if self._store is not None:
            self._store.hold()

    def after_fork_in_parent(self) -> None:
        if self._store is not None:
            self._store.let_go()
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """The environment is the parent's: close it here, where no transaction is open, and open one's own."""
        store, self._store = self._store, None
        self._lock = threading.RLock()
        self._stamp, self._looked_at = None, -LOOK_EVERY_MS
        if store is not None:
            store.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        if self.private:
            self.trouble = "this process was forked from the one that feeds it; set replica_dir for them to share it"

    def close(self) -> None:
        with self._lock:
            self.stop_feeding()
            self._stamp = None
            self._replace(None, "")


async def fault_in(directory: Path, max_bytes: int) -> str:
    """What is wrong with a copy that nobody has open, or "". It is looked through by a process of its own."""
    if not Path(sys.executable or "none").name.startswith(INTERPRETERS):
        return "there is no interpreter to look it through with"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", LOOK, str(directory), str(max_bytes), stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return ""
    return said.decode(errors="replace").strip() or f"whoever looked it through ended with {process.returncode}"


def root_of(settings: Settings) -> Path:
    """Where a host's copy lies. Another version of the library, with rows of another form, has another one."""
    return Path(settings.replica_dir).absolute() / f"{settings.topic_prefix or 'consentry'}-{layout()}"


_homes: weakref.WeakSet[Home] = weakref.WeakSet()
_shared: dict[Path, Home] = {}
_registry = threading.RLock()


def open_home(settings: Settings) -> Home:
    """This process's access to the copy of these settings. Each must be given back by `leave_home`.

    LMDB cannot be opened twice in one process. Raises ConsentryError where there can be none.
    """
    with _registry:
        home = _shared.get(root_of(settings)) if settings.replica_dir else None
        if home is None:
            home = Home(settings)
            if settings.replica_dir:
                _shared[home.root] = home
        home.users += 1
        return home


def leave_home(home: Home) -> None:
    with _registry:
        home.users -= 1
        if home.users == 0:
            _shared.pop(home.root, None)
            home.close()


def _before_fork() -> None:
    _registry.acquire()
    for home in _homes:
        home.before_fork()


def _after_fork_in_parent() -> None:
    for home in _homes:
        home.after_fork_in_parent()
    _registry.release()


def _after_fork_in_child() -> None:
    global _registry
    _registry = threading.RLock()
    for home in _homes:
        home.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
