"""Avro's binary encoding of the few types that a state row is made of, written in place: no dict, no schema walk.

Source: Apache Avro 1.12 specification, "Binary Encoding". fastavro stays the judge: a test writes every row both ways.
"""

from collections.abc import Sequence

_SMALL_END = 1_024
_SMALL = (
    *(
        bytes((number << 1,)) if number < 64 else bytes((number << 1 & 0x7F | 0x80, number >> 6))
        for number in range(1_024)
    ),
    b"\1",
)
"""the numbers 0 to 1,023, as most lengths and counts are, and at the index -1 that number: a look-up takes a tenth of
the loop"""
_ASCII_SIZES = tuple(map(chr, range(0, 0x80, 2)))
"""the lengths 0 to 63 as the one byte that says them, which is ASCII"""
EMPTY = b"\0"
"""no bytes, an empty string, an array without items, and null as the first branch of a union"""
PRESENT = b"\2"
"""before the second branch of a union with null"""


def number(value: int) -> bytes:
    """An int or a long: zigzag, seven bits a byte, the lowest first."""
    if -1 <= value < _SMALL_END:
        return _SMALL[value]
    rest = (value << 1) ^ (value >> 63)
    written = []
    while rest >= 0x80:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def optional_number(value: int | None) -> bytes:
    """Of the union null, long."""
    return EMPTY if value is None else PRESENT + number(value)


def octets(value: bytes) -> bytes:
    size = len(value)
    return (_SMALL[size] if size < _SMALL_END else number(size)) + value


def text(value: str) -> bytes:
    encoded = value.encode()
    size = len(encoded)
    return (_SMALL[size] if size < _SMALL_END else number(size)) + encoded


def texts(values: Sequence[str]) -> bytes:
    """An array of strings, in one block."""
    if not values:
        return EMPTY
    # Of ASCII a character is a byte: lengths and texts are joined as text, and one call encodes all of them.
    joined: list[str] = []
    try:
        for value in values:
            joined += (_ASCII_SIZES[len(value)], value)
    except IndexError:
        return _long_texts(values)
    written = "".join(joined)
    return number(len(values)) + written.encode() + EMPTY if written.isascii() else _long_texts(values)


def _long_texts(values: Sequence[str]) -> bytes:
    """Where one is longer than 63 bytes, or not ASCII."""
    parts = [number(len(values))]
    for value in values:
        encoded = value.encode()
        size = len(encoded)
        parts.append(_SMALL[size] + encoded if size < _SMALL_END else octets(encoded))
    parts.append(EMPTY)
    return b"".join(parts)
