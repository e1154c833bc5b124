"""Golden bytes: for each published version of each record, bytes that once were written and what they say.

`python -m tests.contract.golden_bytes` makes those that are missing, of the version written now. It never rewrites
one: bytes that lie in somebody's log cannot be changed either.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from consentry.codec.framing import registry
from consentry.state.row import SubjectState

TESTS = Path(__file__).resolve().parent.parent
GOLDEN = TESTS / "contract" / "golden"


def golden_files(record: str, version: int) -> tuple[Path, Path]:
    """The bytes in hex, and the struct they decode to in JSON."""
    return GOLDEN / f"{record}.v{version}.hex", GOLDEN / f"{record}.v{version}.json"


def as_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def make_missing() -> list[str]:
    from contract.rows import full_row
    from contract.structs import WIRE_OF, specimen_of

    GOLDEN.mkdir(exist_ok=True)
    made = []
    for kind, wire in WIRE_OF.items():
        schema = registry().newest[kind.__name__]
        bytes_file, struct_file = golden_files(schema.record, schema.version)
        if bytes_file.exists():
            continue
        value = full_row() if kind is SubjectState else specimen_of(kind)
        bytes_file.write_text(wire.encode(value).hex() + "\n", encoding="ascii")
        struct_file.write_text(as_json(value), encoding="utf-8")
        made.append(bytes_file.name)
    return made


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    print("\n".join(make_missing()) or "none is missing")
