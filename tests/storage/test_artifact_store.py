import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from kedrec.errors import KedrecError, nearest
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic, write_named
from kedrec.storage.hashing import key_hash


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


@pytest.mark.slow
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


def _steps(folder: Path) -> None:
    """A build of three steps that goes on where an earlier one stopped; a file beside the folder says where to stop."""
    stop = folder.parent / "stop"
    for step in ("one", "two", "three"):
        if (folder / step).exists():
            continue
        with (folder.parent / "log").open("a") as handle:
            handle.write(f"{step} ")
        (folder / step).write_text(step)
        if stop.exists() and stop.read_text() == f"{step} fails":
            raise KedrecError("the network went away")
        if stop.exists() and stop.read_text() == f"{step} kills":
            os.kill(os.getpid(), signal.SIGKILL)


def _get_steps(root: str) -> None:
    Store(root).get("thing", {"a": 1}, _steps, resumable=True)


def _in_processes(root: Path, count: int) -> list[int | None]:
    workers = [multiprocessing.get_context("spawn").Process(target=_get_steps, args=(str(root),)) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]


@pytest.fixture
def stop(tmp_path):
    (tmp_path / "thing").mkdir()
    return tmp_path / "thing" / "stop"


def test_a_failed_resumable_build_goes_on_in_the_next(tmp_path, stop):
    stop.write_text("two fails")
    with pytest.raises(KedrecError, match="the network went away"):
        _get_steps(str(tmp_path))
    assert not Store(tmp_path).holds("thing", {"a": 1})
    (partial,) = (tmp_path / "thing").glob("*.partial")
    assert sorted(path.name for path in partial.iterdir()) == ["one", "two"]
    stop.unlink()
    place = Store(tmp_path).get("thing", {"a": 1}, _steps, resumable=True)
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "one", "three", "two"]
    assert (tmp_path / "thing" / "log").read_text() == "one two three "
    assert Store(tmp_path).holds("thing", {"a": 1})
    assert not list((tmp_path / "thing").glob("*.partial"))


@pytest.mark.slow
def test_a_killed_resumable_build_goes_on_in_one_process_while_another_waits(tmp_path, stop):
    stop.write_text("two kills")
    assert _in_processes(tmp_path, 1) == [-signal.SIGKILL]
    assert not Store(tmp_path).holds("thing", {"a": 1})
    stop.unlink()
    assert _in_processes(tmp_path, 2) == [0, 0]
    assert (tmp_path / "thing" / "log").read_text() == "one two three "
    assert Store(tmp_path).holds("thing", {"a": 1})


@pytest.mark.slow
def test_a_build_that_is_not_resumable_starts_from_an_empty_folder(tmp_path, stop):
    stop.write_text("two kills")
    assert _in_processes(tmp_path, 1) == [-signal.SIGKILL]
    stop.unlink()
    Store(tmp_path).get("thing", {"a": 1}, _steps)
    assert (tmp_path / "thing" / "log").read_text() == "one two one two three "


def test_a_resumable_build_killed_just_before_it_is_renamed_is_whole_after_the_next(tmp_path, stop, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _get_steps(str(tmp_path))
    place = Store(tmp_path).get("thing", {"a": 1}, _steps, resumable=True)
    assert Store(tmp_path).holds("thing", {"a": 1})
    assert sorted(json.loads((place / "manifest.json").read_text())["files"]) == ["one", "three", "two"]


def test_stopped_when_its_folder_has_just_been_made_a_build_leaves_none(tmp_path, monkeypatch):
    make = Path.mkdir

    def make_and_stop(path, *given, **named):
        make(path, *given, **named)
        if path.suffix == ".partial":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", make_and_stop)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get("thing", {"a": 1}, _slow_build)
    assert not list(tmp_path.glob("thing/*.partial"))


def test_holds_is_of_whole_artefacts_of_this_key_and_kind(tmp_path):
    store = Store(tmp_path)
    assert not store.holds("thing", {"a": 1})
    assert not list(tmp_path.iterdir())
    place = store.get("thing", {"a": 1}, _slow_build)
    assert store.holds("thing", {"a": 1})
    assert not store.holds("thing", {"a": 2})
    assert not store.holds("other", {"a": 1})
    (place / "value.txt").write_text("bXilt")
    assert not store.holds("thing", {"a": 1})


def test_what_a_user_names_is_written_in_new_folders_and_replaces_a_file(tmp_path):
    path = tmp_path / "new" / "er" / "a.txt"
    write_named(path, "one")
    write_named(path, "two")
    assert [one.read_text() for one in path.parent.iterdir()] == ["two"]


def test_a_pipe_or_a_link_that_a_user_names_stays_one(tmp_path):
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_named(pipe, "told")
    assert os.read(reader, 10) == b"told"
    os.close(reader)
    assert pipe.is_fifo()
    link.symlink_to(target)
    write_named(link, "told")
    assert link.is_symlink()
    assert target.read_text() == "told"


@pytest.mark.parametrize("name", ["", "file/below", "a" * 300])
def test_a_place_that_cannot_be_written_is_one_message(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(KedrecError, match="name a"):
        write_named(tmp_path / name, "x")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
