"""Store: one LMDB environment with the rows, the policies and the head. Rows and head change in one transaction.

LMDB and fork do not go together, and neither do a growing map and a reading thread: so each transaction holds one of
the store's locks, which a fork and a growth wait for. Nothing here knows Kafka.
"""

import os
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final, cast

import lmdb
import msgspec

from consentry.codec import decode_policy_record
from consentry.errors import ConsentryError, Unavailable
from consentry.events import Genesis, RecordedPolicyEvent
from consentry.policy import Policies
from consentry.replica.compact import check_of, is_whole, ranks_below
from consentry.replica.head import Head, PolicyRecord, Snapshot
from consentry.replica.subscribers import CHANGES_WAITING
from consentry.terms import Position

FIRST_MAP_BYTES: Final = 1 << 30
"""how large the file may become before the map is made twice as large; address space, not memory"""
READERS: Final = 4_096
"""transactions open at a time, of all processes: each thread of each has one at the most, for microseconds"""
CHANGES_KEPT: Final = CHANGES_WAITING
"""for processes that follow what another one feeds"""
KEY_BYTES: Final = 510
"""LMDB's longest key, less one"""
_HEAD: Final = b"h"
_NUMBER: Final = b"n"
"""how often the head has been written: whether it is still the same is told without reading it"""
_ROW: Final = b"r"
_POLICY: Final = b"p"
_CHANGE: Final = b"c"
"""what a key begins with: tables with names of their own would have to be opened by a transaction that writes"""
_CHECK_BITS: Final = (1 << 64) - 1
_RECORDED_AT: Final = struct.Struct(">q")
"""before a record of policy-revisions: the broker's time, ms"""

DAMAGED: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.PanicError,
    lmdb.BadTxnError,
    lmdb.BadDbiError,
)
"""what a file is made anew for; any other error of LMDB is the disk's, and may pass"""

UNREADABLE: Final = (lmdb.Error, ConsentryError, msgspec.DecodeError, OSError)
"""what reading a copy may raise"""

_META: Final = struct.Struct("=16xIIQQ48s48sQQ")
"""LMDB's meta page: magic, version, address, map size, two tables, last page, transaction; the first two pages"""
_PAGE_BYTES: Final = struct.Struct("=I")
_PAGE_BYTES_AT: Final = 40
"""in the first meta page: the first field of the first table"""
_MAGIC: Final = 0xBEEFC0DE

_encode_head = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode

Row = tuple[bytes, bytes]
"""a key, and its row in the compact form"""
Octets = Iterable[tuple[bytes, bytes]]
"""what LMDB gives where it was not asked for buffers"""


class Store:
    """An open environment. Many threads may read it; one process, which holds the feeder's lock, writes it."""

    def __init__(self, directory: Path, *, max_bytes: int, clock_tolerance_ms: int, create: bool) -> None:
        """Raises Unavailable where it cannot be opened, and one of DAMAGED where it is no copy of ours."""
        self._max_bytes = max_bytes
        self._clock_tolerance_ms = clock_tolerance_ms
        self.lock = threading.RLock()
        self.write_lock = threading.RLock()
        self._file = directory / "data.mdb"
        if not create:
            self._refuse_cut()
        try:
            self._env = lmdb.open(
                str(directory),
                map_size=min(max_bytes, max(FIRST_MAP_BYTES, 2 * self._size())),
                create=create,
                mode=0o600,
                max_readers=READERS,
                # A crash of a process loses nothing of what is committed; after one of the machine the copy is not
                # trusted unless it was closed in order.
                sync=False,
                metasync=False,
                readahead=False,
                max_spare_txns=0,  # a spare one would be shared with a fork
            )
        except DAMAGED:
            raise
        except (lmdb.Error, OSError) as fault:
            raise Unavailable(f"the copy cannot be opened: {fault}", where=str(directory)) from fault
        self._seen: object = None
        self._snapshot: Snapshot | None = None

    def _size(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0

    def _refuse_cut(self) -> None:
        """Who reads beyond the end of a mapped file is killed for it. Raises Unavailable."""
        try:
            with self._file.open("rb") as file:
                begin = file.read(1 << 17)
                size = file.seek(0, 2)
        except OSError as fault:
            raise Unavailable(f"the copy cannot be opened: {fault.strerror}", where=str(self._file)) from fault
        if size < _bytes_said(begin):
            raise Unavailable("the copy is cut, or none of ours", where=str(self._file))

    def close(self) -> None:
        with self.write_lock, self.lock:
            self._env.close()

    def hold(self) -> None:
        """Until `let_go`, no transaction of this process is open."""
        self.write_lock.acquire()
        self.lock.acquire()

    def let_go(self) -> None:
        self.lock.release()
        self.write_lock.release()

    # reading

    def snapshot(self) -> Snapshot | None:
        """What is known now, without a row; None where the copy has no head. Raises lmdb.Error, ConsentryError."""
        with self._reading() as txn:
            return self._current(txn)

    def read(self, key: bytes) -> tuple[Snapshot | None, bytes | None]:
        """The compact row under a key, and the snapshot that it belongs to. Raises as `snapshot`."""
        # not by `_reading`: of a whole check a context manager is a tenth
        with self.lock:
            txn = self._begin()
            try:
                return self._current(txn), txn.get(_ROW + key)  # type: ignore[return-value]  # no buffers
            finally:
                txn.abort()

    def keys_after(self, key: bytes, limit: int) -> list[bytes]:
        """Keys greater than this one, in their order. Raises lmdb.Error."""
        with self._reading() as txn:
            return [found for found, _ in islice(_from(txn, _ROW, key + b"\0"), limit)]

    def changes_since(self, number: int) -> tuple[list[bytes], int] | None:
        """Whose rows changed from this change on, and the number of the next; None where some were forgotten."""
        with self._reading() as txn:
            head = self._head_in(txn)
            if head is None or number > head.changes_next or number < head.changes_next - CHANGES_KEPT:
                return None
            return [key for _, key in _from(txn, _CHANGE, number.to_bytes(8, "big"))], head.changes_next

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        with self.lock:
            txn = self._begin()
            try:
                yield txn
            finally:
                txn.abort()

    def _begin(self) -> lmdb.Transaction:
        try:
            return self._env.begin()
        except lmdb.MapResizedError:  # the feeder made the map larger
            self._env.set_mapsize(0)
        except lmdb.ReadersFullError:  # by processes that were killed
            self._env.reader_check()
        return self._env.begin()

    def _current(self, txn: lmdb.Transaction) -> Snapshot | None:
        # Not by LMDB's number of the transaction: that may be an older one than what is seen, as the root is copied
        # after the number is taken, and commits may come between.
        number = txn.get(_NUMBER)
        if number != self._seen:
            self._snapshot = self._load(txn)
            self._seen = number
        return self._snapshot

    def _load(self, txn: lmdb.Transaction) -> Snapshot | None:
        head = self._head_in(txn)
        if head is None:
            return None
        return Snapshot(head, self._policies_of(txn, head), self._clock_tolerance_ms)

    def _head_in(self, txn: lmdb.Transaction) -> Head | None:
        written = txn.get(_HEAD)
        return None if written is None else _decode_head(written)

    def _policies_of(self, txn: lmdb.Transaction, head: Head) -> Policies:
        former = self._snapshot
        policies, offset_next = Policies(), 0
        if (
            former is not None
            and former.head.genesis == head.genesis
            and former.head.policies_next <= head.policies_next
        ):
            policies, offset_next = former.policies, former.head.policies_next
        for record in self._policies_in(txn, offset_next):
            event = decode_policy_record(record.value)
            if not isinstance(event, Genesis):
                position = Position(head.genesis.epoch, 0, record.offset)
                policies = policies.after(RecordedPolicyEvent(position, record.recorded_at, event))
        return policies

    def _policies_in(self, txn: lmdb.Transaction, offset_next: int) -> Iterator[PolicyRecord]:
        for key, value in _from(txn, _POLICY, offset_next.to_bytes(8, "big")):
            (recorded_at,) = _RECORDED_AT.unpack_from(value)
            yield PolicyRecord(int.from_bytes(key, "big"), recorded_at, value[_RECORDED_AT.size :])

    # writing, by the feeder alone

    def start(self, genesis: Genesis) -> None:
        """Make it an empty copy of this log."""
        with self._writing() as txn:
            self._put_head(txn, Head.empty(genesis))

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        with self.write_lock:
            with self._env.begin(write=True) as txn:
                yield txn
            # Pages that were never written may lie at the end. Then the file is made as long as it says that it is, so
            # that a shorter one is known to be cut.
            size = self.size_bytes
            with suppress(OSError):  # as long as it is shorter, nobody opens it
                if size > self._file.stat().st_size:
                    os.truncate(self._file, size)

    def head(self) -> Head | None:
        """As it was last written. Raises msgspec.DecodeError where it is none of ours."""
        with self._reading() as txn:
            return self._head_in(txn)

    def take_in(self, rows: Iterable[Row], head: Head) -> tuple[Head, list[bytes]]:
        """Keep the greater of each two rows, and the head with them: all of it or nothing.

        The head as it was written, with its rows counted, and the keys that changed. Raises lmdb.Error: then nothing
        did.
        """
        offered = {_ROW + key: row for key, row in sorted(rows)}
        with self._writing() as txn:
            cursor = txn.cursor()
            held = dict(cast(Octets, cursor.getmulti(offered)))
            count, check = head.rows, head.check
            put: list[Row] = []
            for key, row in offered.items():
                former = held.get(key)
                if former is None:
                    count += 1
                elif ranks_below(row, former):
                    continue
                else:
                    check -= check_of(former)
                check += check_of(row)
                put.append((key, row))
            cursor.putmulti(put)
            changed = [key[len(_ROW) :] for key, _ in put]
            if head.complete:
                head = self._tell(txn, head, changed)
            head = msgspec.structs.replace(head, rows=count, check=check & _CHECK_BITS)
            self._put_head(txn, head)
        return head, changed

    def _tell(self, txn: lmdb.Transaction, head: Head, keys: list[bytes]) -> Head:
        """Note who changed, for those who follow; the oldest notes are forgotten."""
        for number, key in enumerate(keys, head.changes_next):
            txn.put(_CHANGE + number.to_bytes(8, "big"), key)
            if number >= CHANGES_KEPT:
                txn.delete(_CHANGE + (number - CHANGES_KEPT).to_bytes(8, "big"))
        return msgspec.structs.replace(head, changes_next=head.changes_next + len(keys))

    def put_head(self, head: Head) -> None:
        """Raises lmdb.Error."""
        with self._writing() as txn:
            self._put_head(txn, head)

    def put_policies(self, records: Iterable[PolicyRecord], head: Head) -> None:
        """Add records of policy-revisions, and the head that counts them. Raises lmdb.Error."""
        with self._writing() as txn:
            for record in records:
                value = _RECORDED_AT.pack(record.recorded_at) + record.value
                txn.put(_POLICY + record.offset.to_bytes(8, "big"), value)
            self._put_head(txn, head)

    def policy_records(self) -> list[PolicyRecord]:
        with self._reading() as txn:
            return list(self._policies_in(txn, 0))

    def _put_head(self, txn: lmdb.Transaction, head: Head) -> None:
        number = int.from_bytes(cast(bytes, txn.get(_NUMBER, b"")), "big") + 1
        txn.put(_NUMBER, number.to_bytes(8, "big"))
        txn.put(_HEAD, _encode_head(head))

    def grow(self) -> bool:
        """Make room for twice as much; False where `max_bytes` is reached."""
        with self.write_lock, self.lock:
            size = self._env.info()["map_size"]
            if size >= self._max_bytes:
                return False
            self._env.set_mapsize(min(size * 2, self._max_bytes))
            return True

    def sync(self) -> None:
        """Until all of it is on the disk."""
        self._env.sync(True)  # noqa: FBT003  (LMDB's own signature)

    def forget_dead_readers(self) -> None:
        """Those of processes that were killed keep pages from being used again."""
        self._env.reader_check()

    def find_fault(self) -> str:
        """Read all of it, and compare it with its head. What is wrong, or ""."""
        with self._reading() as txn:
            head = self._head_in(txn)
            if head is None:
                return "it has no head"
            count = check = 0
            cursor = txn.cursor()
            cursor.set_range(_ROW)
            for key, row in cast(Octets, cursor):  # not by _from: of a million rows that would take half as long again
                if not key.startswith(_ROW):
                    break
                if not is_whole(key[1:], row):
                    return "a row is damaged"
                count += 1
                check += check_of(row)
        if (count, check & _CHECK_BITS) != (head.rows, head.check):
            return f"{count} rows lie in it, and {head.rows} were written"
        return ""

    @property
    def size_bytes(self) -> int:
        """Of what is in use of the file."""
        with self._reading():
            info = self._env.info()
            return int((info["last_pgno"] + 1) * self._env.stat()["psize"])


def _from(txn: lmdb.Transaction, table: bytes, key: bytes) -> Iterator[Row]:
    """What a table holds from this key on, in its order."""
    cursor = txn.cursor()
    if cursor.set_range(table + key):
        for found, value in cast(Octets, cursor):
            if not found.startswith(table):
                return
            yield found[len(table) :], value


def _bytes_said(begin: bytes) -> int:
    """How long a file is by its own account; endless where its beginning is none of LMDB's."""
    page_bytes = _PAGE_BYTES.unpack_from(begin, _PAGE_BYTES_AT)[0] if len(begin) >= _META.size else 0
    said: list[tuple[int, int]] = []
    for place in (0, page_bytes):
        if place + _META.size <= len(begin):
            magic, _version, _, _, _, _, last_page, transaction = _META.unpack_from(begin, place)
            if magic == _MAGIC:
                said.append((transaction, (last_page + 1) * page_bytes))
    return max(said)[1] if said and page_bytes else 1 << 62
