"""Where a host keeps a copy: one process feeds it, the others read the current one, none rests on a wrong one."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace
from unit.copies import GENESIS, fed_home, policy_records, proven, row, settings_in, state

from consentry.decision import Request, View, decide
from consentry.errors import ConsentryError
from consentry.events import Genesis
from consentry.intake.subjects import stored_subject
from consentry.replica import ConsentReplica
from consentry.replica import replica as module
from consentry.replica.freshness import Heard
from consentry.replica.head import Head, Proof
from consentry.replica.home import Home, leave_home, open_home
from consentry.replica.store import Store
from consentry.settings import Secret, Settings
from consentry.terms import Operation, Position, Reason

FOLLOW = Request(
    subject="account:ada", operation=Operation.COLLECT, purpose="interaction.follow", data=("followed_accounts",)
)
"""needs consent: as good as 2 s old"""
SEARCH = Request(subject="account:ada", operation=Operation.USE, purpose="search.service", data=("search_keywords",))
"""needs none: as good as a day old"""
PEPPER = Settings(subject_pepper=Secret("a pepper of the tests, long enough"))
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000


class Fed:
    """A copy that this process feeds by hand, and a replica that reads it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = open_home(settings)
        assert self.home.become_feeder()
        self.store: Store = self.home.begin_anew(GENESIS)
        self.store.put_policies(policy_records(), proven())
        self.replica = ConsentReplica(settings, GENESIS)
        self.replica.open()

    def say(self, head: Head) -> None:
        self.store.put_head(head)

    def close(self) -> None:
        self.replica.close()
        leave_home(self.home)


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Fed]:
    fed = Fed(settings_in(tmp_path))
    yield fed
    fed.close()


# what an answer may rest on


@pytest.mark.parametrize(
    ("age_ms", "without_consent", "consent"),
    [
        (0, Reason.NECESSARY, Reason.NO_CONSENT),
        (HOUR, Reason.NECESSARY, Reason.NO_CONSENT),
        (DAY + SECOND, Reason.STALE, Reason.NO_CONSENT),
    ],
)
def test_an_answer_rests_on_a_copy_within_the_bound_of_its_purpose(
    fed: Fed, age_ms: int, without_consent: Reason, consent: Reason
) -> None:
    fed.say(proven(age_ms=age_ms))
    assert fed.replica.check(SEARCH).reason is without_consent
    assert fed.replica.check(FOLLOW).reason is consent


@pytest.mark.parametrize(
    "name", ["ada", "account:ada ", "Account:ada", "user:ada", stored_subject("account:ada", PEPPER)]
)
@pytest.mark.parametrize("identity", [GENESIS, None])
def test_a_name_that_the_log_cannot_hold_gets_a_denial(fed: Fed, name: str, identity: Genesis | None) -> None:
    fed.say(proven())
    replica = ConsentReplica(fed.settings, identity)
    replica.open()
    assert replica.check(SEARCH).reason is Reason.NECESSARY
    assert replica.check(replace(SEARCH, subject=name)).reason is Reason.DATA_NOT_COVERED
    replica.close()


def untrusted() -> dict[str, Head]:
    head = proven()
    (held,) = head.partitions
    assert held.watermark is not None
    assert held.proof is not None
    heard = held.proof.heard
    behind = Proof(held.proof.complete_at, 1, Heard(heard.appended_at, heard.wall_at - 1_001, heard.monotonic_at))
    other_epoch = replace(held.watermark, position=Position(2, 0, 0))
    return {
        "of another boot": replace(head, clock="another boot"),
        "that was never complete": replace(head, complete=False),
        "whose feeder found a fault": replace(head, failure="the log was cut"),
        "whose policies are not all there": replace(head, policies_next=1),
        "that nothing proves": replace(head, partitions=(replace(held, proof=None),)),
        "with rows of another log": replace(
            head, partitions=(replace(held, watermark=replace(held.watermark, log_id=bytes(16))),)
        ),
        "with rows of another epoch": replace(head, partitions=(replace(held, watermark=other_epoch),)),
        "of another log": replace(head, genesis=replace(GENESIS, log_id=UUID(int=8))),
        "of another epoch": replace(head, genesis=replace(GENESIS, epoch=2)),
        "with other partitions": replace(head, genesis=replace(GENESIS, partitions=2), partitions=(held, held)),
        "on a machine whose clock is behind": replace(head, partitions=(replace(held, proof=behind),)),
    }


@pytest.mark.parametrize("name", sorted(untrusted()))
def test_nothing_is_allowed_by_a_copy(fed: Fed, name: str) -> None:
    fed.say(proven())
    assert fed.replica.ready, fed.replica.not_ready_because
    fed.say(untrusted()[name])
    assert not fed.replica.check(SEARCH).allow
    assert not fed.replica.ready
    assert fed.replica.staleness_ms(0) is None
    fed.say(proven())
    assert fed.replica.check(SEARCH).reason is Reason.NECESSARY


def test_a_clock_that_is_behind_a_little_only_makes_the_copy_older(fed: Fed) -> None:
    head = proven()
    (held,) = head.partitions
    assert held.proof is not None
    heard = held.proof.heard
    behind = Proof(held.proof.complete_at, 1, Heard(heard.appended_at, heard.wall_at - 900, heard.monotonic_at))
    fed.say(replace(head, partitions=(replace(held, proof=behind),)))
    age = fed.replica.staleness_ms(0)
    assert age is not None
    assert age >= 900


def test_a_row_that_is_damaged_denies_its_subject_alone(fed: Fed) -> None:
    fed.store.take_in([row(state("bob", 1))], proven())
    key, held = row(state("ada", 1))
    with fed.store._writing() as txn:
        txn.put(b"r" + key, held[:-1] + bytes([held[-1] ^ 1]))
    assert fed.replica.check(SEARCH).reason is Reason.STALE
    assert fed.replica.check(replace(SEARCH, subject="account:bob")).reason is Reason.NECESSARY


def test_a_row_is_decoded_anew_once_it_has_changed(fed: Fed) -> None:
    for offset in (1, 2, 3):
        fed.store.take_in([row(state("ada", offset))], proven(offset=offset))
        for _ in range(2):
            view = fed.replica.view("account:ada")
            assert view.row is not None
            assert view.row.position.offset == view.position.offset == offset


@pytest.mark.parametrize("limit", [0, 3])
def test_no_more_rows_are_kept_decoded_than_the_setting_says(tmp_path: Path, limit: int) -> None:
    fed = Fed(settings_in(tmp_path, replica_decoded_rows=limit))
    try:
        fed.store.take_in([row(state(f"s{number}", 1)) for number in range(9)], proven())
        for number in range(9):
            assert fed.replica.view(f"account:s{number}").row is not None
        assert len(fed.replica._decoded) <= limit
    finally:
        fed.close()


def test_a_check_that_was_interrupted_is_made_again(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process stood still between reading and answering: what it had read has grown old."""
    fed.say(proven())
    answers = []

    def slow(view: View, *rest: object) -> object:
        answers.append(view)
        if len(answers) == 1:
            time.sleep(module.CHECK_MS / 1000 + 0.02)
            fed.say(replace(proven(), failure="found meanwhile"))
        return decide(view, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decide", slow)
    assert fed.replica.check(SEARCH).reason is Reason.STALE
    assert len(answers) == 2


def test_a_check_that_is_interrupted_again_and_again_allows_nothing(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    fed.say(proven())

    def slow(*question: object) -> object:
        time.sleep(module.CHECK_MS / 1000 + 0.02)
        return decide(*question)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decide", slow)
    assert fed.replica.check(SEARCH).reason is Reason.STALE


def test_before_anything_is_known_everything_is_denied() -> None:
    replica = ConsentReplica(Settings())
    assert not replica.check(SEARCH).allow
    assert not replica.ready


# who feeds, and which copy is the current one


def test_a_reader_says_that_nobody_feeds(tmp_path: Path) -> None:
    replica = ConsentReplica(settings_in(tmp_path))
    replica.open()
    try:
        assert not replica.check(SEARCH).allow
        assert replica.not_ready_because == "no process of this host feeds the replica"
    finally:
        replica.close()


def test_there_is_nothing_to_open_without_a_directory() -> None:
    with pytest.raises(ConsentryError, match="nothing to open"):
        ConsentReplica(Settings()).open()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConsentryError, match="replica_dir"):
        Home(settings_in(tmp_path / "file" / "replica"))


def test_two_prefixes_are_two_copies(tmp_path: Path) -> None:
    one, other = (Home(settings_in(tmp_path, topic_prefix=prefix)) for prefix in ("a.", "b."))
    assert one.become_feeder()
    assert other.become_feeder()
    one.close()
    other.close()


FEEDER = """
import sys, time
from pathlib import Path
from unit.copies import fed_home, policy_records, proven, settings_in
home, store = fed_home(settings_in(Path(sys.argv[1])))
store.put_policies(policy_records(), proven())
print("fed", flush=True)
time.sleep(60)
"""


def feeding(directory: Path) -> subprocess.Popen[str]:
    """Another process that feeds the copy, and says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", FEEDER, str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fed\n"
    return process


async def test_one_process_feeds_and_a_killed_one_no_longer(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    process = feeding(tmp_path)
    home = Home(settings)
    try:
        assert not home.become_feeder()
        assert home.snapshot() is not None
        process.kill()
        process.wait()
        assert home.become_feeder()
        assert home.store is not None
        assert home.store.find_fault() == ""
    finally:
        process.kill()
        process.wait()
        home.close()
        process.stdout and process.stdout.close()


async def test_a_reader_turns_to_the_copy_that_became_the_current_one(tmp_path: Path) -> None:
    first = feeding(tmp_path)
    replica = ConsentReplica(settings_in(tmp_path), GENESIS)
    replica.open()
    try:
        assert replica.check(SEARCH).reason is Reason.NECESSARY
        first.kill()
        first.wait()
        second = feeding(tmp_path)
        deadline = time.monotonic() + 10
        while len(list(replica._home.root.glob("copy-*"))) > 1 or replica.staleness_ms(0, 0) is None:  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        second.kill()
        second.wait()
        assert replica.check(SEARCH).reason is Reason.NECESSARY
        second.stdout and second.stdout.close()
    finally:
        first.stdout and first.stdout.close()
        replica.close()


def test_a_copy_of_another_boot_is_not_opened_before_it_was_looked_through(tmp_path: Path) -> None:
    home, _ = fed_home(settings_in(tmp_path))
    home.close()
    (tmp_path / home.root.name / "current").write_text(f"{next(home.root.glob('copy-*')).name}\nanother boot")
    reader = Home(settings_in(tmp_path))
    assert reader.snapshot() is None
    assert "started anew" in reader.trouble
    assert reader.become_feeder()
    assert asyncio.run(reader.open_whole()) is not None
    reader.close()
    again = Home(settings_in(tmp_path))
    assert again.snapshot() is not None
    again.close()


async def test_a_copy_of_ones_own_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    home, store = fed_home(Settings())
    try:
        assert list(tmp_path.iterdir()) == []
        store.take_in([row(state("ada", 1))], proven())
        snapshot, held = home.read(b"account:ada")
        assert snapshot is not None
        assert held is not None
    finally:
        home.close()
