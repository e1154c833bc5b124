"""What of the local Kafka needs no Kafka."""

import uuid

import pytest

from streams.broker.local import new_cluster_id
from streams.broker.node import excerpt_of


def test_a_cluster_id_never_looks_like_a_flag() -> None:
    """`--cluster-id -Xuq…` is refused by Kafka's storage tool: one start of 64 failed by it."""
    drawn = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(bytes=b"\x08" + bytes(15))])
    assert new_cluster_id(lambda: next(drawn)) == "CAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize("lines", [["usage: kafka-storage", "argument -t: expected one argument"], ["one"], []])
def test_a_log_without_a_fault_is_shown_by_its_end(lines: list[str]) -> None:
    assert excerpt_of(lines) == "\n".join(lines)


def test_a_fault_far_up_is_shown_with_the_end() -> None:
    lines = ["quiet"] * 50 + ["12:00:00 ERROR the disk is full (kafka.Kafka)"] + ["noise"] * 500 + ["the last line"]
    shown = excerpt_of(lines).splitlines()
    assert "12:00:00 ERROR the disk is full (kafka.Kafka)" in shown
    assert shown[-1] == "the last line"
    assert len(shown) < 100
