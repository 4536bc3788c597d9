"""Artefacts carried to a machine without a network, in one file."""

import io
import json
import tarfile

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.storage.artifact_store import Store, artefacts_recorded
from kedrec.storage.bundle import unbundle, write_bundle


def fill(text):
    def build(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "one.txt").write_text(text)
        (folder / "two.bin").write_bytes(bytes(range(256)) * 50)

    return build


@pytest.fixture
def bundle(tmp_path):
    store = Store(tmp_path / "store")
    with artefacts_recorded() as used:
        store.get("graph", {"a": 1}, fill("first"))
        store.get("index", {"b": [1, 2]}, fill("second"))
    store.get("index", {"unused": True}, fill("third"))
    file = tmp_path / "data.tar.zst"
    assert write_bundle(file, used) == 2
    return file


def packed(file, members):
    """Write a bundle by hand: (name, content) members after contents made of them, or a given one."""
    with (
        file.open("wb") as raw,
        zstandard.ZstdCompressor().stream_writer(raw) as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def names(store):
    return sorted(f"{path.parent.name}/{path.name}" for path in store.root.glob("*/*") if path.is_dir())


def test_what_was_used_arrives_and_is_used_there(bundle, tmp_path):
    there = Store(tmp_path / "cluster")
    assert unbundle(bundle, there) == 2
    place = there.get("graph", {"a": 1}, lambda _: pytest.fail("built again"))
    assert (place / "deep" / "one.txt").read_text() == "first"
    assert len(names(there)) == 2
    assert unbundle(bundle, there) == 0
    assert not list(there.root.glob(".unbundling*"))


def test_equal_artefacts_give_equal_bytes(bundle, tmp_path):
    other = Store(tmp_path / "other")
    with artefacts_recorded() as used:
        other.get("index", {"b": [1, 2]}, fill("second"))
        other.get("graph", {"a": 1}, fill("first"))
    write_bundle(tmp_path / "again.tar.zst", used)
    assert (tmp_path / "again.tar.zst").read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_bundle_that_was_cut_short_adds_nothing(bundle, tmp_path, share):
    content = bundle.read_bytes()
    cut = tmp_path / "cut.tar.zst"
    cut.write_bytes(content[: int(share * len(content))])
    there = Store(tmp_path / "cluster")
    with pytest.raises(KedrecError, match=r"cut\.tar\.zst: .*(cut short|damaged)"):
        unbundle(cut, there)
    assert names(there) == []


def test_a_changed_byte_is_seen(tmp_path):
    name = f"graph/{'0' * 20}/one.txt"
    contents = json.dumps({"format": 1, "sha256": {name: "0" * 64}}).encode()
    wrong = packed(tmp_path / "wrong.tar.zst", [("contents.json", contents), (name, b"changed")])
    with pytest.raises(KedrecError, match="the checksum is wrong"):
        unbundle(wrong, Store(tmp_path / "cluster"))


@pytest.mark.parametrize(
    "name", ["../outside.txt", f"graph/{'0' * 20}/../../../outside", "/etc/outside", "graph/short"]
)
def test_no_member_leaves_the_store(tmp_path, name):
    contents = json.dumps({"format": 1, "sha256": {name: "0" * 64}}).encode()
    bad = packed(tmp_path / "bad.tar.zst", [("contents.json", contents), (name, b"x")])
    with pytest.raises(KedrecError, match="not among its contents"):
        unbundle(bad, Store(tmp_path / "cluster"))
    assert not (tmp_path / "outside.txt").exists()


def test_an_artefact_under_another_name_than_its_keys_is_refused(tmp_path):
    store = Store(tmp_path / "store")
    place = store.get("graph", {"a": 1}, fill("first"))
    moved = place.rename(place.with_name("0" * 20))
    write_bundle(tmp_path / "b.tar.zst", [moved])
    with pytest.raises(KedrecError, match="named by its key"):
        unbundle(tmp_path / "b.tar.zst", Store(tmp_path / "cluster"))


def test_what_is_no_bundle_is_told(tmp_path):
    with pytest.raises(KedrecError, match="no such file"):
        unbundle(tmp_path / "absent", Store(tmp_path / "cluster"))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(KedrecError, match="damaged or cut short"):
        unbundle(tmp_path / "text", Store(tmp_path / "cluster"))
    other = packed(tmp_path / "other.tar.zst", [("contents.json", json.dumps({"format": 2}).encode())])
    with pytest.raises(KedrecError, match="format 2"):
        unbundle(other, Store(tmp_path / "cluster"))


def test_a_plan_builds_nothing_that_stays(tmp_path):
    from kedrec.storage.artifact_store import PlanningStore

    real = Store(tmp_path / "store")
    held = real.get("graph", {"a": 1}, fill("first"))
    plan = PlanningStore(real, tmp_path / "scratch")
    assert plan.get("graph", {"a": 1}, lambda _: pytest.fail("built again")) == held
    assert plan.get("graph", {"a": 2}, fill("other")).is_relative_to(tmp_path / "scratch")
    assert not plan.holds("graph", {"a": 2})
    assert len(names(real)) == 1
