import json
import multiprocessing
import time
from pathlib import Path

import pytest

from kedrec.errors import KedrecError, nearest
from kedrec.store import Store, key_hash, write_atomic


def _slow_build(folder: Path) -> None:
    time.sleep(0.3)
    (folder / "value.txt").write_text("built")
    with (folder.parent / "builders").open("a") as handle:
        handle.write("x")


def _get(root: str) -> None:
    Store(root).get("thing", {"a": 1}, _slow_build)


def test_builds_once_and_finds_it_again(tmp_path):
    for _ in range(2):
        place = Store(tmp_path).get("thing", {"a": 1}, _slow_build)
    assert (place / "value.txt").read_text() == "built"
    assert (tmp_path / "thing" / "builders").read_text() == "x"


def test_two_processes_build_once(tmp_path):
    workers = [multiprocessing.get_context("spawn").Process(target=_get, args=(str(tmp_path),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "thing" / "builders").read_text() == "x"


def test_a_damaged_artefact_is_built_again(tmp_path):
    place = Store(tmp_path).get("thing", {"a": 1}, _slow_build)
    (place / "value.txt").write_text("bXilt")
    place = Store(tmp_path).get("thing", {"a": 1}, _slow_build)
    assert (place / "value.txt").read_text() == "built"


def test_a_failed_build_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Store(tmp_path).get("thing", {}, fail)
    assert not [path for path in (tmp_path / "thing").iterdir() if path.suffix != ".lock"]


def test_a_full_disk_is_one_clear_error(tmp_path):
    def fill(folder: Path) -> None:
        with Path("/dev/full").open("w") as handle:
            handle.write("x" * 100_000)

    with pytest.raises(KedrecError, match=r"disk is full.*KEDREC_STORE"):
        Store(tmp_path).get("thing", {}, fill)
    assert not [path for path in (tmp_path / "thing").iterdir() if path.suffix != ".lock"]


def test_key_hash_ignores_order_but_not_values():
    assert key_hash({"a": 1, "b": 2}) == key_hash({"b": 2, "a": 1})
    assert key_hash({"a": 1}) != key_hash({"a": 2})


def test_write_atomic_keeps_the_old_text_on_failure(tmp_path):
    path = tmp_path / "file.json"
    write_atomic(path, json.dumps([1]))
    with pytest.raises(TypeError):
        write_atomic(path, 3)  # type: ignore[arg-type]
    assert json.loads(path.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_nearest_names_the_close_word_only():
    assert "'seed'" in nearest("sede", ["seed", "out"])
    assert nearest("zzz", ["seed", "out"]) == ""
