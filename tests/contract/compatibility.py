"""Schemas change only so that every version of a record can read what every other wrote, and never in place.

`python -m tests.contract.compatibility` says what is wrong and exits with 1; with `--publish` it first adds the
schemas that are new to schemas/published.txt.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parent.parent.parent / "schemas"
PUBLISHED = "published.txt"
FILE = re.compile(r"(?P<topic>[a-z-]+)/(?P<record>[A-Za-z]+)\.v(?P<version>[1-9]\d*)\.avsc")


class SchemaFile(msgspec.Struct, frozen=True):
    path: str
    """below schemas/"""
    topic: str
    record: str
    version: int
    document: dict[str, Any]
    line: str
    """as it stands in published.txt: path, fingerprint, SHA-256 of the file"""


def schema_files(root: Path = SCHEMAS) -> list[SchemaFile]:
    return [_schema_file(root, path) for path in sorted(root.rglob("*.avsc"))]


def _schema_file(root: Path, path: Path) -> SchemaFile:
    place = path.relative_to(root).as_posix()
    match = FILE.fullmatch(place)
    if match is None:
        raise ValueError(f"{place}: a schema is named <topic>/<Record>.v<version>.avsc")
    content = path.read_bytes()
    document = json.loads(content)
    crc = fingerprint(to_parsing_canonical_form(document), "CRC-64-AVRO")
    line = f"{place} {crc} {hashlib.sha256(content).hexdigest()}"
    return SchemaFile(place, match["topic"], match["record"], int(match["version"]), document, line)


def faults_of(root: Path = SCHEMAS) -> list[str]:
    """Everything that is wrong with the schemas below `root`."""
    files = schema_files(root)
    return [*faults_of_publication(root, files), *faults_of_names(files), *faults_of_versions(files)]


def faults_of_publication(root: Path, files: list[SchemaFile]) -> Iterator[str]:
    published = {line.split()[0]: line for line in _published(root)}
    present = {file.path: file for file in files}
    for path, line in published.items():
        if path not in present:
            yield f"{path} was published and is gone"
        elif present[path].line != line:
            yield f"{path} was published and has changed: make a new version of it"
    for path in present.keys() - published.keys():
        yield f"{path} is not in {PUBLISHED}: add it with `python -m tests.contract.compatibility --publish`"


def _published(root: Path) -> list[str]:
    file = root / PUBLISHED
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def publish(root: Path = SCHEMAS) -> list[str]:
    """Add what is new; what is there stays as it is, wrong or right."""
    known = {line.split()[0] for line in _published(root)}
    new = [file.line for file in schema_files(root) if file.path not in known]
    with (root / PUBLISHED).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in new)
    return new


def faults_of_names(files: list[SchemaFile]) -> Iterator[str]:
    topics: dict[str, str] = {}
    versions: dict[str, list[int]] = {}
    for file in files:
        if file.document.get("name") != file.record or file.document.get("namespace") != "consentry":
            yield f"{file.path} names its record {file.document.get('namespace')}.{file.document.get('name')}"
        if topics.setdefault(file.record, file.topic) != file.topic:
            yield f"{file.path}: {file.record} is a record of {topics[file.record]} too"
        versions.setdefault(file.record, []).append(file.version)
    for record, numbers in versions.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"{record} has versions {sorted(numbers)}: they count from 1 without a gap"


def faults_of_versions(files: list[SchemaFile]) -> Iterator[str]:
    """FULL-transitive: each pair of versions, both ways."""
    for one, other in combinations(files, 2):
        if one.record == other.record:
            for fault in unreadable(one.document, other.document):
                yield f"{one.path} and {other.path}: {fault}"


def unreadable(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Why one of two schemas could not read what the other wrote; nothing where both can."""
    kind, other_kind = _kind(one), _kind(other)
    if kind != other_kind:
        yield f"{where or 'the record'} is {kind} here and {other_kind} there"
    elif kind == "record":
        yield from _unreadable_fields(one, other, where)
    elif kind == "array":
        yield from unreadable(one["items"], other["items"], f"{where}[]")
    elif kind == "map":
        yield from unreadable(one["values"], other["values"], f"{where}{{}}")
    elif kind == "fixed" and (one["size"], one["name"]) != (other["size"], other["name"]):
        yield f"{where} is fixed otherwise"
    elif kind == "union":
        if [_kind(branch) for branch in one] != [_kind(branch) for branch in other]:
            yield f"{where} has other branches"
        else:
            for branch, other_branch in zip(one, other, strict=True):
                yield from unreadable(branch, other_branch, where)


def _unreadable_fields(one: dict[str, Any], other: dict[str, Any], where: str) -> Iterator[str]:
    fields = {field["name"]: field for field in one["fields"]}
    other_fields = {field["name"]: field for field in other["fields"]}
    for name, field in {**fields, **other_fields}.items():
        place = f"{where}.{name}" if where else name
        if name in fields and name in other_fields:
            yield from unreadable(fields[name]["type"], other_fields[name]["type"], place)
            if fields[name].get("default", ...) != other_fields[name].get("default", ...):
                yield f"{place} has another default"
        elif "default" not in field:
            yield f"{place} is in one of them and has no default"


def _kind(schema: Any) -> str:
    if isinstance(schema, list):
        return "union"
    kind = schema["type"] if isinstance(schema, dict) else schema
    assert isinstance(kind, str)
    return kind


def main(arguments: list[str]) -> int:
    if arguments == ["--publish"]:
        print("".join(f"new: {line}\n" for line in publish()), end="")
    faults = faults_of()
    print("\n".join(faults) or "all versions read each other, and none has changed", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
