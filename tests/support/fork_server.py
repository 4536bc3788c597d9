"""A process that has imported what the commands import, and forks a child for each command it is sent.

A child is a process of its own, with the arguments, environment and output files that it is given: it can be
signalled, stopped and killed as one that ``python -m`` started, but it does not spend six seconds on imports. It
differs in one thing: all children of a server have the same seed of `hash`.

`tests.support.forked_command` starts the server and speaks with it: a request is a line of JSON on standard input, the
answer the child's process id on standard output. When the child ends its exit status is written to a file.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import sys
import threading
import traceback
from pathlib import Path

COMMANDS = ("evaluate", "export", "fit", "prepare", "recommend", "report", "sweep")
# Allocators' housekeeping, which a child does without.
IDLE_THREADS = {"jemalloc_bg_thd", "polars-ooc-clea"}
# Loaded lazily by the libraries, at the first student; more than half of their own time to start.
LAZY = (
    "datasets",
    "hnswlib",
    "lightning.pytorch.loggers",
    "peft",
    "polars",
    "rouge_score.rouge_scorer",
    "scipy.optimize",
    "scipy.sparse",
    "torchdata.stateful_dataloader",
    "torchmetrics",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
)


def main() -> None:
    """Serve until standard input ends; in a child, run its command."""
    _import_everything()
    threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()} - IDLE_THREADS
    if len(threads) > 1:
        sys.exit(f"fork server: the threads {sorted(threads)} run after the imports; a child would have only one")
    gc.collect()
    gc.freeze()  # else each child would look through a million objects, and copy them
    request = _serve()
    if request is not None:
        _run(request)


def _import_everything() -> None:
    import kedrec
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    for name in LAZY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(kedrec.__path__, "kedrec."):
        # The commands themselves are run as ``__main__``.
        if module.name.removeprefix("kedrec.") not in COMMANDS:
            importlib.import_module(module.name)


def _serve() -> dict[str, object] | None:
    """Return a request in the child that is to run it, ``None`` in the server at its end."""
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, Path] = {}
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([0, wakes], [], [])
        if wakes in ready:
            os.read(wakes, 4096)
            _note_ended(running)
        if 0 in ready:
            line = _read_line()
            if not line:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return None
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                for end in (wakes, woken):
                    os.close(end)
                return request
            running[pid] = Path(request["status"])
            print(pid, flush=True)


def _read_line() -> bytes:
    """Read one line without a buffer, which `select` would not see."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _note_ended(running: dict[int, Path]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        file = running.pop(pid)
        partial = file.with_suffix(".partial")
        partial.write_text(str(os.waitstatus_to_exitcode(status)))
        partial.rename(file)


def _run(request: dict) -> None:
    """Become the command: its streams, environment, folder and arguments."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        handle = os.open(path, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, stream)
        os.close(handle)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [request["module"], *request["arguments"]]
    random.seed()
    status = 1  # of a fault that nobody caught
    try:
        if request["module"].endswith(".py"):
            runpy.run_path(request["module"], run_name="__main__")
        else:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    # As the interpreter ends, but for taking a million objects apart, which takes seconds.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
