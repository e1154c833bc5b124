"""A copy keeps the greater of each two rows, with the head that speaks of them, and knows when it is damaged."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from contract.rows import full_row
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.copies import GENESIS, fed_home, proven, row, settings_in, state

from consentry.codec import encode_row
from consentry.codec.framing import HEADER_BYTES
from consentry.errors import UndecodableRecord
from consentry.replica import store as module
from consentry.replica.compact import _described, compact_row, expand_row, layout
from consentry.replica.head import Head, PolicyRecord
from consentry.replica.home import Home, fault_in
from consentry.replica.store import Store
from consentry.state.row import OptOut, Permission


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home, _ = fed_home(settings_in(tmp_path))
    yield home
    home.close()


@pytest.fixture
def store(home: Home) -> Store:
    assert home.store is not None
    return home.store


# the form of a row


def test_a_row_in_the_copys_form_says_what_it_said() -> None:
    held = full_row()
    key, value = held.subject.encode(), encode_row(held)
    assert encode_row(expand_row(key, compact_row(held.position.partition, key, value))) == value


def test_a_row_of_a_copy_equals_the_row_that_was_folded() -> None:
    """Who appended a list compares what it expects with what it finds."""
    held = full_row()
    key = held.subject.encode()
    expanded = expand_row(key, compact_row(held.position.partition, key, encode_row(held)))
    assert held == expanded
    assert expanded == held
    assert (held != expanded, expanded != held) == (False, False)
    assert hash(held) == hash(expanded)
    assert expanded != replace(held, tightened_offset=held.tightened_offset + 1)
    assert replace(held, acts=()) != expanded
    assert expanded.acts[0] in held.acts


@pytest.mark.parametrize("place", [0, 5, 19, 20, 30, -1])
def test_a_row_of_which_a_bit_was_turned_is_not_read(place: int) -> None:
    key, held = row(state("ada", 3))
    damaged = bytearray(held)
    damaged[place] ^= 1
    with pytest.raises(UndecodableRecord):
        expand_row(key, bytes(damaged))


def test_a_row_that_lies_under_anothers_key_is_not_read() -> None:
    _, held = row(state("ada", 3))
    with pytest.raises(UndecodableRecord):
        expand_row(b"account:bob", held)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc3\x01" + bytes(8) + encode_row(state("ada", 9))[HEADER_BYTES:],
        encode_row(state("ada", 9))[:-1],
        encode_row(state("bob", 9)),
    ],
    ids=["empty", "of an unknown schema", "cut", "of another subject"],
)
def test_a_row_that_cannot_be_read_hides_the_one_that_can(store: Store, value: bytes) -> None:
    """A later version wrote it: it may be a withdrawal."""
    key = b"account:ada"
    store.take_in([row(state("ada", 3))], Head.empty(GENESIS))
    store.take_in([(key, compact_row(0, key, value))], Head.empty(GENESIS))
    store.take_in([row(state("ada", 4))], Head.empty(GENESIS))
    _, held = store.read(key)
    assert held is not None
    with pytest.raises(UndecodableRecord):
        expand_row(key, held)


def test_another_partitions_row_is_not_read() -> None:
    with pytest.raises(UndecodableRecord):
        expand_row(b"account:ada", compact_row(1, b"account:ada", encode_row(state("ada", 3))))


def test_the_name_of_the_form_hangs_on_every_field_and_member() -> None:
    assert len(layout()) == 12
    said = list(_described(Permission))
    assert any(line.startswith("state: ") for line in said)
    assert any("'limited'" in line for line in said)
    assert said != list(_described(OptOut))


# rows never go backwards


RANKS = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 5))


@given(
    written=st.lists(st.tuples(st.sampled_from("abc"), RANKS), max_size=30),
    seed=st.integers(0, 1_000),
    batch=st.integers(1, 8),
)
def test_whatever_the_order_the_greatest_row_of_each_subject_stands(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, tuple[int, int, int]]], seed: int, batch: int
) -> None:
    home, store = fed_home(settings_in(tmp_path_factory.mktemp("copy")))
    try:
        random.Random(seed).shuffle(written)
        head, standing = Head.empty(GENESIS), dict[str, tuple[int, int, int]]()
        for name, rank in written:
            standing[name] = max(rank, standing.get(name, rank))
        for begin in range(0, len(written), batch):
            rows: dict[bytes, bytes] = {}
            for name, (epoch, fold_version, offset) in written[begin : begin + batch]:
                key, value = row(state(name, offset, epoch=epoch, fold_version=fold_version))
                rows[key] = max(value, rows.get(key, value), key=lambda each: each[:20])
            head, _ = store.take_in(rows.items(), head)
        for name, rank in standing.items():
            _, held = store.read(f"account:{name}".encode())
            assert held is not None
            found = expand_row(f"account:{name}".encode(), held)
            assert (found.position.epoch, found.fold_version, found.position.offset) == rank
        assert head.rows == len(standing)
        assert store.find_fault() == ""
    finally:
        home.close()


def test_what_changed_is_told_and_what_was_older_is_not(store: Store) -> None:
    head, changed = store.take_in([row(state("ada", 3)), row(state("bob", 3))], Head.empty(GENESIS))
    assert changed == [b"account:ada", b"account:bob"]
    _, changed = store.take_in([row(state("ada", 2)), row(state("bob", 4))], head)
    assert changed == [b"account:bob"]


def test_a_head_is_seen_with_the_rows_of_its_transaction(store: Store) -> None:
    store.take_in([row(state("ada", 3))], proven(offset=3))
    snapshot, held = store.read(b"account:ada")
    assert snapshot is not None
    assert held is not None
    assert snapshot.head.rows == 1
    assert snapshot.head.partitions[0].offset_next == 4


def test_subjects_follow_one_another_by_name(store: Store) -> None:
    store.take_in([row(state(name, 1)) for name in ("b", "a", "d", "c", "bb")], Head.empty(GENESIS))
    assert store.keys_after(b"", 2) == [b"account:a", b"account:b"]
    assert store.keys_after(b"account:b", 9) == [b"account:bb", b"account:c", b"account:d"]
    assert store.keys_after(b"account:d", 9) == []


# who changed, for processes that follow


def test_changes_are_told_from_any_number_on(store: Store) -> None:
    head, _ = store.take_in([row(state("ada", 1)), row(state("bob", 1))], proven())
    head, _ = store.take_in([row(state("ada", 0)), row(state("bob", 2))], head)
    assert store.changes_since(0) == ([b"account:ada", b"account:bob", b"account:bob"], 3)
    assert store.changes_since(2) == ([b"account:bob"], 3)
    assert store.changes_since(3) == ([], 3)


def test_what_is_read_before_all_is_there_is_no_change(store: Store) -> None:
    head, _ = store.take_in([row(state("ada", 1))], Head.empty(GENESIS))
    assert head.changes_next == 0
    assert store.changes_since(0) == ([], 0)


def test_who_is_too_far_behind_is_told_that_changes_were_missed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGES_KEPT", 5)
    head = proven()
    for offset in range(7):
        head, _ = store.take_in([row(state("ada", offset))], head)
    assert store.changes_since(1) is None
    assert store.changes_since(8) is None
    found = store.changes_since(2)
    assert found is not None
    assert (len(found[0]), found[1]) == (5, 7)


# policies


def test_a_policy_record_is_kept_with_its_time_and_place(store: Store) -> None:
    records = [PolicyRecord(0, 5, b"genesis"), PolicyRecord(1, 7, b"revision")]
    store.put_policies(records, Head.empty(GENESIS))
    assert store.policy_records() == records


def test_a_policy_record_that_cannot_be_read_makes_the_copy_unreadable(home: Home, store: Store) -> None:
    store.put_policies([PolicyRecord(0, 5, b"?")], proven())
    assert home.snapshot() is None
    assert "c301" in home.trouble


# room


def test_a_full_map_grows_and_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_MAP_BYTES", 128 * 1024)
    home, store = fed_home(settings_in(tmp_path))
    try:
        head = Head.empty(GENESIS)
        grown = 0
        for number in range(3_000):
            while True:
                try:
                    head, _ = store.take_in([row(state(f"s{number}", 1))], head)
                    break
                except lmdb.MapFullError:
                    assert store.grow()
                    grown += 1
        assert grown
        assert head.rows == 3_000
        assert store.find_fault() == ""
    finally:
        home.close()


def test_a_map_grows_no_further_than_the_setting_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_MAP_BYTES", 128 * 1024)
    home, store = fed_home(settings_in(tmp_path, replica_max_bytes=300 * 1024))
    try:
        assert [store.grow(), store.grow(), store.grow()] == [True, True, False]
    finally:
        home.close()


# damage


def test_a_whole_copy_has_no_fault(store: Store) -> None:
    store.take_in([row(state(f"s{number}", 1)) for number in range(500)], Head.empty(GENESIS))
    assert store.find_fault() == ""


def test_a_row_that_was_changed_in_the_file_is_found(tmp_path: Path) -> None:
    home, store = fed_home(settings_in(tmp_path))
    store.take_in([row(state(f"s{number}", 1)) for number in range(50)], Head.empty(GENESIS))
    assert change_in_file(data_of(home), b"account:s7")
    home.close()
    assert asyncio.run(fault_in(data_of(home).parent, 1 << 30)) == "a row is damaged"


def test_a_row_that_went_back_in_time_is_found(store: Store) -> None:
    head, _ = store.take_in([row(state("ada", 1))], Head.empty(GENESIS))
    head, _ = store.take_in([row(state("ada", 2))], head)
    with store._writing() as txn:
        key, held = row(state("ada", 1))
        txn.put(b"r" + key, held)
    assert "were written" in store.find_fault()


def test_a_row_that_is_missing_is_found(store: Store) -> None:
    store.take_in([row(state("ada", 1)), row(state("bob", 1))], Head.empty(GENESIS))
    with store._writing() as txn:
        txn.delete(b"raccount:ada")
    assert store.find_fault() == "1 rows lie in it, and 2 were written"


def test_a_copy_that_ends_who_looks_it_through_is_not_whole(tmp_path: Path) -> None:
    home, store = fed_home(settings_in(tmp_path))
    store.take_in([row(state(f"s{number}", 1)) for number in range(500)], Head.empty(GENESIS))
    home.close()
    path = data_of(home)
    content = bytearray(path.read_bytes())
    for place in range(8_192, len(content), 3):
        content[place] ^= 0x5A
    path.write_bytes(bytes(content))
    assert asyncio.run(fault_in(path.parent, 1 << 30))


@pytest.mark.parametrize("kept", [0, 100, 5_000, 20_000])
def test_a_cut_copy_is_not_opened(tmp_path: Path, kept: int) -> None:
    """Who reads beyond its end would be killed for it."""
    home, store = fed_home(settings_in(tmp_path))
    store.take_in([row(state(f"s{number}", 1)) for number in range(500)], Head.empty(GENESIS))
    home.close()
    path = data_of(home)
    path.write_bytes(path.read_bytes()[:kept])
    reader = Home(settings_in(tmp_path))
    assert reader.snapshot() is None
    assert "cut" in reader.trouble
    assert "cut" in asyncio.run(fault_in(path.parent, 1 << 30))


def data_of(home: Home) -> Path:
    (path,) = home.root.glob("copy-*/data.mdb")
    return path


def change_in_file(path: Path, found: bytes) -> int:
    """Turn a bit of what follows each place where these bytes stand; how many there were."""
    content = bytearray(path.read_bytes())
    places = [place for place in range(len(content)) if content.startswith(found, place)]
    for place in places:
        content[place + len(found) + 10] ^= 1
    path.write_bytes(bytes(content))
    return len(places)
