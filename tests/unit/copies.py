"""Copies of a replica without Kafka: a home in a directory, rows, and heads that prove something."""

import time
from pathlib import Path
from uuid import UUID

from msgspec.structs import replace

from consentry.codec import encode_genesis, encode_policy_event, encode_row
from consentry.events import Genesis, PolicyRevised
from consentry.policy import parse_policy
from consentry.replica.compact import compact_row
from consentry.replica.freshness import Heard, clock_name, monotonic_ms
from consentry.replica.head import Head, PartitionHead, PolicyRecord, Proof
from consentry.replica.home import Home
from consentry.replica.store import Row, Store
from consentry.settings import Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position, SubjectIds

GENESIS = Genesis(log_id=UUID(int=7), epoch=1, partitions=1, subject_ids=SubjectIds.PLAIN)
DOCUMENT = (Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml").read_text(encoding="utf-8")


def policy_records() -> list[PolicyRecord]:
    """What policy-revisions holds once the reference policy is published."""
    parsed = parse_policy(DOCUMENT)
    revised = PolicyRevised(
        event_id=UUID(int=5, version=4),
        policy=parsed.id,
        occurred_at=parsed.effective_at,
        version=parsed.version,
        effective_at=parsed.effective_at,
        document=DOCUMENT,
        text="",
        text_hash="",
    )
    values = (encode_genesis(GENESIS), encode_policy_event(revised))
    return [PolicyRecord(offset, parsed.effective_at, value) for offset, value in enumerate(values)]


def settings_in(directory: Path, **more: object) -> Settings:
    return replace(Settings(replica_dir=str(directory)), **more)


def fed_home(settings: Settings) -> tuple[Home, Store]:
    """A home of its own (not the process's shared one), whose feeder this is, with an empty copy."""
    home = Home(settings)
    assert home.become_feeder()
    return home, home.begin_anew(GENESIS)


def state(name: str, offset: int, *, epoch: int = 1, fold_version: int = 1) -> SubjectState:
    position = Position(epoch, 0, offset)
    return SubjectState(subject=f"account:{name}", position=position, fold_version=fold_version)


def row(held: SubjectState) -> Row:
    key = held.subject.encode()
    return key, compact_row(0, key, encode_row(held))


def proven(*, offset: int = 0, age_ms: int = 0, policy_offset: int | None = 1, **more: object) -> Head:
    """A head whose only partition was complete so long ago, by all clocks."""
    now = time.time_ns() // 1_000_000
    heard = Heard(now - age_ms, now - age_ms, monotonic_ms() - age_ms)
    watermark = Watermark(
        log_id=GENESIS.log_id.bytes,
        position=Position(1, 0, offset),
        record_hash=bytes(32),
        complete_at=now - age_ms,
        policy_offset=policy_offset,
    )
    held = PartitionHead(offset + 1, watermark, Proof(now - age_ms, policy_offset, heard))
    head = Head(genesis=GENESIS, clock=clock_name(), partitions=(held,), complete=True, policies_next=2)
    return replace(head, **more)
