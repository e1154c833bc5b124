"""Schemas by fingerprint, and Avro's single-object encoding: C3 01, eight bytes of CRC-64-AVRO, the datum.

Source: Apache Avro 1.12 specification, "Single-object encoding" and "Parsing Canonical Form".
"""

import hashlib
import json
import re
import struct
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from consentry.errors import UndecodableRecord

MAGIC = b"\xc3\x01"
HEADER_BYTES = 10
_FILE = re.compile(r"(?P<record>[A-Za-z]+)\.v(?P<version>\d+)\.avsc")


class Schema(msgspec.Struct, frozen=True):
    """One published version of one record."""

    topic: str
    record: str
    version: int
    parsed: dict[str, Any]
    header: bytes
    """what stands before each datum"""


class Registry(msgspec.Struct, frozen=True):
    by_header: dict[bytes, Schema]
    newest: dict[str, Schema]
    """record -> its latest version, the one that is written"""


@cache
def registry() -> Registry:
    """Every schema under schemas/, read once a process."""
    by_header: dict[bytes, Schema] = {}
    newest: dict[str, Schema] = {}
    root = files("consentry") / "schemas"
    for topic in sorted(entry.name for entry in root.iterdir() if entry.is_dir()):
        for entry in (root / topic).iterdir():
            match = _FILE.fullmatch(entry.name)
            if match is None:
                continue
            schema = _load(topic, match["record"], int(match["version"]), entry.read_text(encoding="utf-8"))
            by_header[schema.header] = schema
            if schema.record not in newest or newest[schema.record].version < schema.version:
                newest[schema.record] = schema
    return Registry(by_header, newest)


def _load(topic: str, record: str, version: int, text: str) -> Schema:
    document = json.loads(text)
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(document), "CRC-64-AVRO"))
    return Schema(topic, record, version, _parsed(document), MAGIC + crc)


def _parsed(document: dict[str, Any]) -> dict[str, Any]:
    parsed = parse_schema(document)
    assert isinstance(parsed, dict)  # a record, not a union
    return parsed


def write(record: str, datum: dict[str, Any]) -> bytes:
    """The bytes of `datum` by the latest schema of `record`, header first."""
    schema = registry().newest[record]
    stream = BytesIO()
    stream.write(schema.header)
    schemaless_writer(stream, schema.parsed, datum)
    return stream.getvalue()


def schema_of(value: bytes | None) -> Schema:
    """The schema that a record names. Raises UndecodableRecord where it names none that we know."""
    if not value:
        raise UndecodableRecord("the record has no value")
    schema = registry().by_header.get(value[:HEADER_BYTES])
    if schema is not None:
        return schema
    if value[:2] != MAGIC:
        raise UndecodableRecord(f"it begins with {value[:2].hex()}, not c301 (Avro single-object encoding)")
    raise UndecodableRecord(f"no schema has the fingerprint {value[2:HEADER_BYTES].hex()}")


def read(schema: Schema, value: bytes) -> dict[str, Any]:
    """The datum, by the latest version of its record. Raises UndecodableRecord on truncated or overlong bytes."""
    stream = BytesIO(value)
    stream.seek(HEADER_BYTES)
    newest = registry().newest[schema.record]
    try:
        datum = schemaless_reader(stream, schema.parsed, None if newest is schema else newest.parsed)
    except (
        EOFError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as fault:
        raise UndecodableRecord(f"{schema.record}: {type(fault).__name__} {fault}") from fault
    if stream.tell() != len(value):
        raise UndecodableRecord(f"{schema.record}: {len(value) - stream.tell()} bytes too many")
    return datum  # type: ignore[return-value]  # every schema of ours is a record


def record_hash(offset: int, timestamp: int, key: bytes | None, value: bytes | None) -> bytes:
    """SHA-256 of what makes a record of the log: offset, broker's time (ms), key and value, each with its length."""
    digest = hashlib.sha256(struct.pack(">qq", offset, timestamp))
    for part in (key, value):
        digest.update(struct.pack(">i", -1 if part is None else len(part)))
        digest.update(part or b"")
    return digest.digest()
