"""CI refuses a schema change that is not FULL-transitive compatible, or that changes what was published."""

import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contract.compatibility import SCHEMAS, SchemaFile, faults_of, publish, schema_files, unreadable
from contract.structs import WIRE_OF
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.utils import generate_one
from msgspec import inspect

from consentry.state.row import SubjectState, Watermark

FILES = schema_files()
OWN_NAMES = {
    "actor": ("actor_role", "actor_id"),
    "notice": ("notice_hash", "notice_language"),
    "position": ("epoch", "partition", "offset"),
}
"""fields of our structs that are several in Avro"""
COLUMNS = ("acts", "marks", "opt_outs", "lifted_opt_outs", "permissions")
AVRO_TYPES = {
    inspect.IntType: {"int", "long"},
    inspect.StrType: {"string"},
    inspect.EnumType: {"string"},
    inspect.BoolType: {"boolean"},
    inspect.BytesType: {"bytes", "fixed"},
    inspect.UUIDType: {"fixed", "Uuid"},
    inspect.VarTupleType: {"array"},
    inspect.DictType: {"map"},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the schemas, to change."""
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def add_version(tree: Path, change: Any, place: str = "consent-events/ConsentGiven") -> list[str]:
    """What the checker says of a second version: the first one, changed."""
    document = json.loads((tree / f"{place}.v1.avsc").read_text(encoding="utf-8"))
    change(document)
    (tree / f"{place}.v2.avsc").write_text(json.dumps(document), encoding="utf-8")
    publish(tree)
    return faults_of(tree)


def field_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(field for field in document["fields"] if field["name"] == name)  # type: ignore[no-any-return]


def test_every_version_reads_every_other_and_none_was_changed() -> None:
    assert faults_of() == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.record}.v{file.version}")
def test_what_one_version_writes_every_version_reads(file: SchemaFile) -> None:
    for reader in (other for other in FILES if other.record == file.record):
        assert_read_by(file.document, reader.document)


def assert_read_by(writer: dict[str, Any], reader: dict[str, Any]) -> None:
    written, read = parse_schema(json.loads(json.dumps(writer))), parse_schema(json.loads(json.dumps(reader)))
    for _ in range(20):
        stream = BytesIO()
        schemaless_writer(stream, written, generate_one(written))
        stream.seek(0)
        schemaless_reader(stream, written, read)


def test_a_field_with_a_default_may_come_and_go(tree: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
        document["fields"].remove(field_of(document, "request_id"))

    assert add_version(tree, change) == []
    one, other = (json.loads((tree / f"consent-events/ConsentGiven.v{n}.avsc").read_text()) for n in (1, 2))
    assert_read_by(one, other)
    assert_read_by(other, one)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d["fields"].append({"name": "mood", "type": "string"}), "mood is in one of them and has no default"),
        (lambda d: d["fields"].remove(field_of(d, "purpose")), "purpose is in one of them and has no default"),
        (lambda d: field_of(d, "occurred_at").update(type="int"), "occurred_at is long here and int there"),
        (lambda d: field_of(d, "purpose").update(type=["null", "string"]), "purpose is string here and union there"),
        (lambda d: field_of(d, "valid_until").update(type=["null", "int"]), "valid_until has other branches"),
        (lambda d: field_of(d, "skew_ms").update(default=1), "skew_ms has another default"),
        (lambda d: field_of(d, "event_id")["type"].update(size=17), "event_id is fixed otherwise"),
        (lambda d: field_of(d, "data")["type"][1].update(items="bytes"), "data[] is string here and bytes there"),
        (lambda d: d.update(name="ConsentTaken"), "names its record consentry.ConsentTaken"),
    ],
)
def test_a_change_that_some_version_could_not_read_is_refused(tree: Path, change: Any, fault: str) -> None:
    assert any(fault in each for each in add_version(tree, change))


def test_the_third_version_has_to_read_the_first(tree: Path) -> None:
    second = {"name": "mood", "type": "string", "default": "calm"}
    assert add_version(tree, lambda document: document["fields"].append(second)) == []
    third = json.loads((tree / "consent-events/ConsentGiven.v2.avsc").read_text(encoding="utf-8"))
    del field_of(third, "mood")["default"]
    assert any("default" in fault for fault in unreadable(json.loads(_first(tree)), third))


def _first(tree: Path) -> str:
    return (tree / "consent-events/ConsentGiven.v1.avsc").read_text(encoding="utf-8")


def test_a_published_schema_may_not_change_nor_go(tree: Path) -> None:
    changed = tree / "consent-events/ConsentGiven.v1.avsc"
    changed.write_text(changed.read_text(encoding="utf-8").replace("Event of", "An event of"), encoding="utf-8")
    (tree / "consent-events/ConsentRefused.v1.avsc").unlink()
    publish(tree)
    assert faults_of(tree) == [
        "consent-events/ConsentGiven.v1.avsc was published and has changed: make a new version of it",
        "consent-events/ConsentRefused.v1.avsc was published and is gone",
    ]


def test_a_schema_that_was_never_published_is_found(tree: Path) -> None:
    shutil.copy(tree / "consent-events/Genesis.v1.avsc", tree / "consent-events/Genesis.v2.avsc")
    assert any("Genesis.v2.avsc is not in published.txt" in fault for fault in faults_of(tree))


def test_versions_count_without_a_gap_and_a_record_has_one_topic(tree: Path) -> None:
    shutil.copy(tree / "consent-events/Genesis.v1.avsc", tree / "consent-events/Genesis.v3.avsc")
    shutil.copy(tree / "consent-state/Watermark.v1.avsc", tree / "consent-events/Watermark.v2.avsc")
    publish(tree)
    faults = faults_of(tree)
    assert any("Genesis has versions [1, 3]" in fault for fault in faults)
    assert any("Watermark is a record of consent-events too" in fault for fault in faults)


@pytest.mark.parametrize("kind", tuple(WIRE_OF), ids=lambda kind: kind.__name__)
def test_a_struct_has_the_fields_of_its_newest_schema(kind: type[msgspec.Struct]) -> None:
    file = max((file for file in FILES if file.record == kind.__name__), key=lambda file: file.version)
    names = []
    for field in msgspec.structs.fields(kind):
        names.extend(OWN_NAMES.get(field.name, (field.name,)) if _is_divided(kind, field.name) else [field.name])
        if kind is SubjectState and field.name in COLUMNS:
            names.append(f"{field.name.removesuffix('s')}_texts")
    assert sorted(names) == sorted(field["name"] for field in file.document["fields"])


def _is_divided(kind: type[msgspec.Struct], name: str) -> bool:
    return name != "position" or kind in (SubjectState, Watermark)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in WIRE_OF if kind is not SubjectState and kind is not Watermark],
    ids=lambda kind: kind.__name__,
)
def test_a_field_is_of_one_kind_in_the_struct_and_in_the_schema(kind: type[msgspec.Struct]) -> None:
    file = max((file for file in FILES if file.record == kind.__name__), key=lambda file: file.version)
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        if field.name in OWN_NAMES and isinstance(field.type, inspect.StructType | inspect.UnionType):
            continue
        branches = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        avro = field_of(file.document, field.name)["type"]
        written = [_avro_name(branch) for branch in (avro if isinstance(avro, list) else [avro])]
        may_be_none = any(isinstance(branch, inspect.NoneType) for branch in branches)
        assert ("null" in written) is may_be_none, field.name
        wanted = next(branch for branch in branches if not isinstance(branch, inspect.NoneType))
        assert {name for name in written if name != "null"} <= AVRO_TYPES[type(wanted)], field.name


def _avro_name(schema: Any) -> str:
    return schema["type"] if isinstance(schema, dict) else schema
