"""Which partition a subject's events lie in: as Kafka's own default partitioner says, so that any client agrees."""

import struct
from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_BITS: Final = 0xFFFFFFFF


def partition_of(subject: str, partitions: int) -> int:
    """0 <= partition < partitions, by murmur2 of the subject in UTF-8."""
    return (_murmur2(subject.encode()) & 0x7FFFFFFF) % partitions


def _murmur2(key: bytes) -> int:
    """Austin Appleby's MurmurHash2 with the seed of Kafka's clients; each check asks for it, so four bytes a step."""
    length = len(key)
    found = _SEED ^ length
    for word in struct.unpack_from(f"<{length >> 2}I", key):
        word = word * _FACTOR & _BITS
        found = (found * _FACTOR & _BITS) ^ ((word ^ word >> 24) * _FACTOR & _BITS)
    if length & 3:
        rest = int.from_bytes(key[length & ~3 :], "little")
        found = (found ^ rest) * _FACTOR & _BITS
    found = (found ^ found >> 13) * _FACTOR & _BITS
    return found ^ found >> 15
