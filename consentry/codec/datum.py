"""Avro's binary encoding of the few types that a state row is made of, written in place: no dict, no schema walk.

Source: Apache Avro 1.12 specification, "Binary Encoding". fastavro stays the judge: a test writes every row both ways.
"""

from collections.abc import Sequence

_SMALL = tuple(
    bytes((number << 1,)) if number < 64 else bytes((number << 1 & 0x7F | 0x80, number >> 6)) for number in range(1_024)
)
"""the numbers 0 to 1,023, as most lengths and counts are: a look-up takes a fifth of the loop"""
_SMALL_END = len(_SMALL)
EMPTY = b"\0"
"""no bytes, an empty string, an array without items, and null as the first branch of a union"""
PRESENT = b"\2"
"""before the second branch of a union with null"""


def number(value: int) -> bytes:
    """An int or a long: zigzag, seven bits a byte, the lowest first."""
    if 0 <= value < _SMALL_END:
        return _SMALL[value]
    rest = (value << 1) ^ (value >> 63)
    written = bytearray()
    while rest >= 0x80:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def optional_number(value: int | None) -> bytes:
    """Of the union null, long."""
    return EMPTY if value is None else PRESENT + number(value)


def octets(value: bytes) -> bytes:
    return number(len(value)) + value


def text(value: str) -> bytes:
    return octets(value.encode())


def texts(values: Sequence[str]) -> bytes:
    """An array of strings, in one block."""
    if not values:
        return EMPTY
    parts = [number(len(values))]
    for value in values:
        encoded = value.encode()
        size = len(encoded)
        parts.append(_SMALL[size] + encoded if size < _SMALL_END else octets(encoded))
    parts.append(EMPTY)
    return b"".join(parts)
