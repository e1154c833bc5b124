"""A subject's partition is the one that any client of Kafka would choose for its key."""

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from consentry.partition import partition_of


@given(subject=st.text(max_size=80), partitions=st.integers(1, 100))
def test_a_subject_lies_where_kafkas_own_partitioner_puts_its_key(subject: str, partitions: int) -> None:
    assert partition_of(subject, partitions) == (murmur2(subject.encode()) & 0x7FFFFFFF) % partitions
