"""The manifest's file: what stays, what is refused."""

import json
import re
import uuid

import pytest

from gc_warm.client.manifest import Entry, Manifest, Version
from gc_warm.errors import RegistryError

ID = str(uuid.UUID(int=1))
ENTRY = {
    "target": "m:f",
    "id": ID,
    "hash": "h",
    "registered": "t",
    "public": False,
    "group": None,
    "description": "two\nlines",
    "history": [],
}


def write(path, **changes):
    path.write_text(json.dumps({"format": 1, "functions": {"f": {**ENTRY, **changes}}}))
    return Manifest(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "functions.json"


def add(manifest, name):
    with manifest.changing() as entries:
        entries[name] = Entry(name, "m:g", Version(ID, "h", "t"))


def test_a_version_without_a_strategy_was_written_by_the_default(path):
    manifest = write(path, history=[{"id": ID, "hash": "g", "registered": "s"}])
    [entry] = manifest.read().values()
    assert ["DillCode"] * 2 == [entry.current.strategy, entry.history[0].strategy]


def test_unknown_fields_stay_at_every_level(path):
    old = {"id": ID, "hash": "g", "registered": "s", "note": {"a": [1]}}
    manifest = write(path, owner="lab", history=[old])
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "comment": "ours"}))
    add(manifest, "g")
    kept = json.loads(path.read_text())
    assert ("ours", "lab") == (kept["comment"], kept["functions"]["f"]["owner"])
    assert {**old, "strategy": "DillCode"} == kept["functions"]["f"]["history"][0]


def test_unknown_fields_stay_with_a_new_version(path):
    manifest = write(path, owner="lab")
    with manifest.changing() as entries:
        entries["f"] = entries["f"].renewed(Entry("f", "m:f", Version(ID, "h2", "t2")))
    kept = json.loads(path.read_text())["functions"]["f"]
    assert ("lab", "h2", "h") == (kept["owner"], kept["hash"], kept["history"][0]["hash"])


def test_a_link_stays_one(path, tmp_path):
    (tmp_path / "shared").mkdir()
    target = tmp_path / "shared" / "real.json"
    path.symlink_to("shared/real.json")
    add(Manifest(path), "f")
    assert path.is_symlink()
    add(Manifest(path), "g")
    assert ["f", "g"] == [*json.loads(target.read_text())["functions"]]
    assert {"functions.json", "shared"} == {each.name for each in tmp_path.iterdir()}
    assert {"real.json", ".real.json.lock"} == {each.name for each in target.parent.iterdir()}


def test_a_link_and_what_it_names_have_one_lock(path, tmp_path):
    path.symlink_to("real.json")
    with (
        Manifest(path).changing(),
        pytest.raises(RegistryError, match="Another program has locked"),
        Manifest(tmp_path / "real.json").changing(timeout=0.05),
    ):
        pass


def test_a_link_to_itself_is_refused(path):
    path.symlink_to(path.name)
    with pytest.raises(RegistryError, match="Cannot"):
        add(Manifest(path), "f")


def test_permissions_stay(path):
    manifest = write(path)
    path.chmod(0o640)
    add(manifest, "g")
    assert 0o640 == path.stat().st_mode & 0o777


@pytest.mark.parametrize("field", ["target", "hash", "registered", "strategy", "group"])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", 7])
def test_what_cannot_be_printed_is_refused(path, field, value):
    with pytest.raises(RegistryError, match="is no printable text"):
        write(path, **{field: value}).read()


def test_a_description_may_have_lines(path):
    assert "two\nlines" == write(path).read()["f"].description


def test_a_huge_file_is_refused(path):
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(RegistryError, match="longer than 67,108,864"):
        Manifest(path).read()


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "7", '"x"', "\ufeff{}", "{" * 5])
def test_what_is_no_manifest_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(RegistryError):
        Manifest(path).read()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1}', "'format' is missing in it"),
        ('{"format": 9}', "its format is 9"),
        ('{"format": 1, "functions": []}', "a value in it is of the wrong type"),
        ('{"format": 1, "functions": {"f": {"target": 3}}}', "3 is no printable text"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(path, text, reason):
    path.write_text(text)
    with pytest.raises(RegistryError, match=re.escape(f"can read ({reason}). If git left")):
        Manifest(path).read()


def test_what_is_no_text_is_refused(path):
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(RegistryError, match="Cannot read"):
        Manifest(path).read()
