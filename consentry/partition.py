"""Which partition a subject's events lie in: as Kafka's own default partitioner says, so that any client agrees."""

from aiokafka.partitioner import murmur2


def partition_of(subject: str, partitions: int) -> int:
    """0 <= partition < partitions, by murmur2 of the subject in UTF-8."""
    return int(murmur2(subject.encode()) & 0x7FFFFFFF) % partitions
