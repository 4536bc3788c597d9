"""Fails a test that starts a process without being marked ``slow``, so that the fast part stays fast.

Git, and the C++ compiler that builds the native kernels, may be started by every test.
"""

import multiprocessing.process
import shlex
import sys
from pathlib import Path

import pytest

ALLOWED = ("git", "g++", "c++", "gcc", "ldconfig", "uname")
_EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn")
_guarded = False
_started: list[str] = []


def install() -> None:
    """Watch this process from now on; Python has no way to undo it."""
    sys.addaudithook(_watch)
    start = multiprocessing.process.BaseProcess.start

    def watched(process: multiprocessing.process.BaseProcess) -> None:
        _refuse_if_guarded(f"multiprocessing: {process.name}")  # spawned processes raise no audit event
        start(process)

    multiprocessing.process.BaseProcess.start = watched  # type: ignore[method-assign]


def guard(item: pytest.Item) -> None:
    """Guard the test that begins, its fixtures included, unless it is marked ``slow``."""
    global _guarded  # noqa: PLW0603
    _guarded = item.get_closest_marker("slow") is None
    _started.clear()


def unguard() -> None:
    """End the guard of a test."""
    global _guarded  # noqa: PLW0603
    _guarded = False


def started() -> list[str]:
    """Return the processes that the guarded test tried to start."""
    return list(_started)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _guarded and event in _EVENTS and not _is_allowed(event, arguments):
        _refuse_if_guarded(f"{event} {arguments[:2]}")


def _is_allowed(event: str, arguments: tuple[object, ...]) -> bool:
    if event != "subprocess.Popen":
        return False
    command = arguments[1]
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]  # type: ignore[attr-defined]
    return bool(words) and Path(words[0]).name in ALLOWED


def _refuse_if_guarded(what: str) -> None:
    if _guarded:
        _started.append(what)
        raise RuntimeError(f"a test that is not marked slow started a process: {what}; mark it with pytest.mark.slow")
