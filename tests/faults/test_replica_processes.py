"""Processes that share a copy, killed, forked and paused at any moment. No Kafka: one of them makes the rows up."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest
from unit.copies import GENESIS, fed_home, policy_records, proven, row, settings_in, state

from consentry.decision import Request
from consentry.replica import ConsentReplica
from consentry.replica import store as store_module
from consentry.replica.compact import expand_row
from consentry.replica.home import Home
from consentry.terms import Operation, Reason

TESTS = Path(__file__).parents[1]
SEARCH = Request(subject="account:ada", operation=Operation.USE, purpose="search.service", data=("search_keywords",))
"""needs no consent"""

WRITER = """
import asyncio, sys
from pathlib import Path
from unit.copies import GENESIS, fed_home, policy_records, proven, row, settings_in, state
from consentry.replica.head import Head
from consentry.replica.home import Home
settings = settings_in(Path(sys.argv[1]))
home = Home(settings)
assert home.become_feeder()
store = asyncio.run(home.open_whole())
if store is None:
    store = home.begin_anew(GENESIS)
    store.put_policies(policy_records(), proven(offset=-1))
head = store.head()
print("writing", flush=True)
while True:
    number = head.partitions[0].offset_next
    rows = [row(state(f"s{(number + each) % 500}", number)) for each in range(0, 100, 7)]
    rows.append(row(state("last", number)))
    head, _ = store.take_in(rows, proven(offset=number, rows=head.rows, check=head.check))
"""
"""batch n writes rows of offset n, and in the same transaction a head that says n"""

READERS = """
import os, sys, time
from pathlib import Path
from unit.copies import GENESIS, settings_in
from consentry.decision import Request
from consentry.replica import ConsentReplica
from consentry.terms import Operation, Reason
replica = ConsentReplica(settings_in(Path(sys.argv[1])), GENESIS)
replica.open()
search = Request(subject="account:last", operation=Operation.USE, purpose="search.service", data=("search_keywords",))

def read(times):
    last = -1
    for _ in range(times):
        view = replica.view("account:last")
        assert view.row is not None, replica.not_ready_because
        assert view.row.position == view.position, (view.row.position, view.position)
        assert view.position.offset >= last, "the copy went back"
        last = view.position.offset
        answer = replica.check(search)
        assert answer.reason is Reason.NECESSARY, answer

read(50)
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        try:
            assert replica._home.store is None, "the parent's environment is used"
            read(200)
        except BaseException as fault:
            print(repr(fault), flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
    read(3)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
read(50)
assert not any(codes), codes
print("right", flush=True)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_rows_and_head_agree_whenever_their_writer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(5)
    reached = -1
    for _ in range(12):
        writer = start(WRITER, tmp_path)
        try:
            assert line_of(writer) == "writing"
            time.sleep(chance.random() * 0.2)
        finally:
            end(writer)
        home = Home(settings_in(tmp_path))
        assert home.become_feeder()
        store = asyncio.run(home.open_whole())
        assert store is not None
        assert store.find_fault() == ""
        head = store.head()
        assert head is not None
        _, held = store.read(b"account:last")
        assert held is not None
        last = head.partitions[0].offset_next - 1
        assert expand_row(b"account:last", held).position.offset == last
        assert last >= reached
        reached = last
        home.close()
    assert reached > 100


@pytest.mark.slow
def test_a_hundred_forks_read_while_the_feeder_writes(tmp_path: Path) -> None:
    writer = start(WRITER, tmp_path)
    try:
        assert line_of(writer) == "writing"
        for forks in (100, 100):
            readers = start(READERS, tmp_path, forks)
            try:
                assert line_of(readers) == "right"
            finally:
                end(readers)
        assert writer.poll() is None
    finally:
        end(writer)


def test_processes_that_were_spawned_and_forked_read_the_same_copy(tmp_path: Path) -> None:
    writer = start(WRITER, tmp_path)
    try:
        assert line_of(writer) == "writing"
        readers = [start(READERS, tmp_path, 3) for _ in range(3)]
        try:
            assert [line_of(each) for each in readers] == ["right"] * 3
        finally:
            for each in readers:
                end(each)
    finally:
        end(writer)


GROWING = """
import itertools, sys
from pathlib import Path
from unit.copies import fed_home, policy_records, proven, row, settings_in, state
import lmdb
from consentry.replica import store as module
module.FIRST_MAP_BYTES = 256 * 1024
home, store = fed_home(settings_in(Path(sys.argv[1])))
store.put_policies(policy_records(), proven(offset=-1))
head, _ = store.take_in([row(state("last", 0))], proven(offset=0))
print("writing", flush=True)
for number in itertools.count(1):
    rows = [row(state(f"s{number}-{each}", number)) for each in range(50)] + [row(state("last", number))]
    while True:
        try:
            head, _ = store.take_in(rows, proven(offset=number, rows=head.rows, check=head.check))
            break
        except lmdb.MapFullError:
            assert store.grow()
            print("grown", flush=True)
"""


def test_readers_go_on_while_the_file_outgrows_the_map_that_they_opened(tmp_path: Path) -> None:
    small = "from consentry.replica import store; store.FIRST_MAP_BYTES = 256 * 1024"
    writer = start(GROWING, tmp_path)
    readers: list[subprocess.Popen[str]] = []
    try:
        assert line_of(writer) == "writing"
        readers += [start(f"{small}\n{READERS}", tmp_path, 6) for _ in range(3)]
        assert [line_of(each) for each in readers] == ["right"] * 3
        assert line_of(writer) == "grown"
    finally:
        for each in (writer, *readers):
            end(each)


def test_threads_read_while_another_one_writes_and_the_map_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FIRST_MAP_BYTES", 256 * 1024)
    home, store = fed_home(settings_in(tmp_path))
    store.put_policies(policy_records(), proven(offset=-1))
    replica = ConsentReplica(settings_in(tmp_path), GENESIS)
    replica._home = home
    head, _ = store.take_in([row(state("last", 0))], proven(offset=0))
    over = threading.Event()

    def read() -> int:
        reached = 0
        while not over.is_set():
            view = replica.view("account:last")
            assert view.row is not None
            assert view.row.position == view.position
            assert view.position.offset >= reached
            reached = view.position.offset
        return reached

    grown = 0
    with ThreadPoolExecutor(4) as threads:
        reading = [threads.submit(read) for _ in range(4)]
        for number in range(1, 400):
            rows = [row(state(f"s{number}-{each}", number)) for each in range(50)] + [row(state("last", number))]
            while True:
                try:
                    head, _ = store.take_in(rows, proven(offset=number, rows=head.rows, check=head.check))
                    break
                except lmdb.MapFullError:
                    assert store.grow()
                    grown += 1
        over.set()
        assert all(each.result() > 0 for each in reading)
    assert grown > 2
    home.close()


def test_readers_that_are_killed_keep_nobody_from_reading(tmp_path: Path) -> None:
    """They leave transactions open: of each a place in LMDB's table, and pages that may not be used again."""
    writer = start(WRITER, tmp_path)
    try:
        assert line_of(writer) == "writing"
        for _ in range(10):
            readers = start(READERS, tmp_path, 0)
            time.sleep(random.random() * 0.5)
            end(readers)
        readers = start(READERS, tmp_path, 2)
        try:
            assert line_of(readers) == "right"
        finally:
            end(readers)
    finally:
        end(writer)


OF_ITS_OWN = """
import os
from unit.copies import GENESIS, policy_records, proven
from unit.test_replica_home import SEARCH
from consentry.replica import ConsentReplica
from consentry.replica.home import Home
from consentry.settings import Settings
from consentry.terms import Reason
home = Home(Settings())
home.begin_anew(GENESIS).put_policies(policy_records(), proven())
replica = ConsentReplica(Settings(), GENESIS)
replica._home = home
assert replica.check(SEARCH).reason is Reason.NECESSARY
child = os.fork()
if child == 0:
    right = not replica.check(SEARCH).allow and "replica_dir" in replica.not_ready_because
    os._exit(0 if right else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert replica.check(SEARCH).reason is Reason.NECESSARY
print("right", flush=True)
"""


def test_a_fork_of_a_process_with_a_copy_of_its_own_denies_and_says_why() -> None:
    process = start(OF_ITS_OWN)
    try:
        assert line_of(process) == "right"
    finally:
        end(process)


def test_what_a_killed_feeder_wrote_last_only_grows_old(tmp_path: Path) -> None:
    writer = start(WRITER, tmp_path)
    replica = ConsentReplica(settings_in(tmp_path), GENESIS)
    try:
        assert line_of(writer) == "writing"
        replica.open()
        assert replica.check(SEARCH).reason is Reason.NECESSARY
    finally:
        end(writer)
    ages = []
    for _ in range(3):
        age = replica.staleness_ms(0)
        assert age is not None
        ages.append(age)
        time.sleep(0.1)
    assert ages[0] + 200 <= ages[2]
    replica.close()
