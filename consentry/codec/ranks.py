"""Which of two rows of a subject stands, told without decoding them."""

from functools import cache

from consentry.codec.framing import HEADER_BYTES, registry

_UNKNOWN_RANK = (1 << 62, 0, 0)


def row_rank(value: bytes, key: bytes) -> tuple[int, int, int]:
    """(epoch, fold version, offset) of a row without decoding it: of two rows of a subject the greater stands.

    A row that we cannot read outranks all: it must not be hidden by one that we can.
    """
    if value[:HEADER_BYTES] not in _row_headers():
        return _UNKNOWN_RANK
    # the subject is the first field, with its length as a varint before it, and is the record's key
    place = HEADER_BYTES + (1 if len(key) < 64 else 2) + len(key)
    if value[place - len(key) : place] != key:
        return _UNKNOWN_RANK
    try:
        epoch, place = _varint(value, place)
        _, place = _varint(value, place)
        offset, place = _varint(value, place)
        fold_version, _ = _varint(value, place)
    except IndexError:
        return _UNKNOWN_RANK
    return (epoch, fold_version, offset)


def _varint(value: bytes, place: int) -> tuple[int, int]:
    """A zigzag varint of Avro, and where the next field begins."""
    shift = number = 0
    while True:
        byte = value[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), place
        shift += 7


@cache
def _row_headers() -> frozenset[bytes]:
    return frozenset(schema.header for schema in registry().by_header.values() if schema.record == "SubjectState")
