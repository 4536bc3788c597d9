"""A file that has not changed is read once a process, and one that has changed again."""

import hashlib
import os
import time

import pytest

from kedrec.storage import hashing
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash


@pytest.fixture
def reads(monkeypatch):
    """The files that were read to be hashed, in order."""
    found = []

    def digest(handle, name):
        found.append(os.path.basename(handle.name))  # noqa: PTH119
        return original(handle, name)

    original = hashlib.file_digest
    monkeypatch.setattr(hashing.hashlib, "file_digest", digest)
    return found


def aged(path):
    """A file as it is some time after it was written."""
    past = time.time() - 10
    os.utime(path, (past, past))
    return path


def test_an_old_file_is_read_once(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(hashing, "_RECENT", 0)
    path = tmp_path / "a"
    path.write_text("one")
    assert file_hash(path) == file_hash(path) == hashlib.sha256(b"one").hexdigest()
    assert reads == ["a"]


@pytest.mark.parametrize("text", ["two", "three"])
def test_a_file_that_is_written_again_is_read_again(tmp_path, reads, monkeypatch, text):
    monkeypatch.setattr(hashing, "_RECENT", 0)
    path = aged(tmp_path / "a") if (tmp_path / "a").write_text("one") else None
    file_hash(path)
    path.write_text(text)
    assert file_hash(path) == hashlib.sha256(text.encode()).hexdigest()


def test_a_file_just_written_is_not_trusted_to_keep_its_time(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(hashing, "_RECENT", 60_000_000_000)
    path = tmp_path / "a"
    path.write_text("one")
    file_hash(path)
    file_hash(path)
    assert reads == ["a", "a"]


def test_an_artefact_is_verified_by_its_bytes_once(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(hashing, "_RECENT", 0)
    place = Store(tmp_path).get("kind", {"a": 1}, lambda folder: (folder / "file").write_text("content"))
    reads.clear()
    for _ in range(3):
        assert Store(tmp_path).get("kind", {"a": 1}, None) == place
    assert reads.count("file") <= 1
    (place / "file").write_text("CONTENT")
    Store(tmp_path).get("kind", {"a": 1}, lambda folder: (folder / "file").write_text("content"))
    assert (place / "file").read_text() == "content"
