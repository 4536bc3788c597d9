"""Run a W&B sweep file on this machine: ``python -m kedrec.sweep sweeps/ablation.yaml [options] [key=value ...]``.

    --workers N  trials at a time, default 1; they share cores and GPUs
    --runs N     largest number of trials; `random` and `bayes` need it, unless the file has `run_cap`
    --out DIR    folder of the run folders and of results.csv, default runs/sweeps/NAME
    --prepare    prepare the data of the trials, and end: on a login node, before a job array
    --array      print the commands of the trials, one a line, for slurm/sweep_array.sbatch; not for `bayes`

Nothing is sent to W&B: csv replaces a `use.logger` of the file, unless the command line sets another one. The same
command resumes a sweep that was stopped, repeats failed trials, and reads the results of a job array. The exit status
is 1 if a trial failed.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from kedrec.commands.sweep.sweep_file import SweepFile, read_sweep
from kedrec.commands.sweep.sweep_results import tables, write_results
from kedrec.commands.sweep.sweep_trials import Trial, Trials
from kedrec.commands.sweep.trial_workers import run_preparation, run_trials
from kedrec.config import Experiment, compose
from kedrec.errors import KedrecError
from kedrec.runtime.command_line import Arguments, run_command
from kedrec.runtime.printable import printable
from kedrec.runtime.table_printing import print_table
from kedrec.storage.atomic_files import disk_faults_named, write_atomic
from kedrec.storage.hashing import key_hash


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _read_and_run, "the same command goes on from here")


def _read_and_run(arguments: list[str]) -> int:
    parser = Arguments("python -m kedrec.sweep")
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--array", action="store_true")
    options, overrides = parser.parse_known_args(arguments)
    return run(options, overrides)


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """Run the sweep, or print what an array would run; return the exit status."""
    from filelock import FileLock, Timeout

    sweep = read_sweep(options.sweep)
    limit = _limit(sweep, options)
    folder = options.out or Path("runs") / "sweeps" / sweep.path.stem
    if any(word.removeprefix("--").startswith("out=") for word in overrides):
        raise KedrecError("command line: out: each trial has a folder of its own; choose theirs with --out DIR")
    if sweep.stops_early:
        print(f"{sweep.path}: early_terminate works at W&B only: here each trial runs to its end", file=sys.stderr)
    if options.array:
        _print_array(Trials(sweep, overrides, folder, limit))
        return 0
    with disk_faults_named(folder, "free some space, or choose another folder with --out DIR"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / ".lock").acquire(timeout=0)
        except Timeout:
            raise KedrecError(f"{folder}: another process is at work on this sweep; wait for it") from None
        with lock:
            trials = Trials(sweep, overrides, folder, limit)
            if options.prepare:
                return 0 if _prepare(trials, all_seeds=True) else 1
            _prepare(trials)
            return _run(trials, options.workers)


def _run(trials: Trials, workers: int) -> int:
    def ended(trial: Trial) -> None:
        write_results(trials)
        done = sum(one.status in ("finished", "failed") for one in trials.listed)
        value = trials.value(trial)
        outcome = f"{trials.sweep.metric} {value:.4g}" if value is not None else trial.error or trial.status
        print(f"[{done}/{trials.total}] {trial.told}: {outcome}", flush=True)

    write_results(trials)
    run_trials(trials, workers, ended)
    _show(trials)
    return 1 if any(trial.status == "failed" for trial in trials.listed) else 0


def _limit(sweep: SweepFile, options: argparse.Namespace) -> int | None:
    limit: int | None = options.runs or sweep.run_cap
    if limit is None and sweep.method != "grid":
        raise KedrecError(f"{sweep.path}: run_cap: missing; a {sweep.method} search needs it, or --runs N")
    if options.array and sweep.method == "bayes":
        raise KedrecError(
            f"{sweep.path}: method: bayes; its trials depend on each other and cannot be an array; leave --array out"
        )
    for name in ("runs", "workers"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise KedrecError(f"--{name}: {number}; expected 1 or more")
    return limit


def _prepare(trials: Trials, *, all_seeds: bool = False) -> bool:
    """Prepare the data of the trials, once for each of the data's settings.

    Args:
        trials: of the sweep.
        all_seeds: whether to prepare for each seed, even if an earlier run has done so: for trials without a network.
            Otherwise for one seed; a trial prepares the little that depends on its own seed.

    Returns:
        Whether all data could be prepared.
    """
    note = trials.folder / "prepared.json"
    done: list[str] = json.loads(note.read_text(encoding="utf-8")) if note.is_file() and not all_seeds else []
    settings: dict[tuple[str, str], list[str]] = {}
    for arguments in trials.settings():
        data = _composed(trials, arguments).portable.get("data", {})
        given = dict(data.get("init_args", {}))
        seed = str(given.pop("seed", None))
        settings.setdefault((key_hash({**data, "init_args": given}), seed if all_seeds else ""), arguments)
    left = {key: arguments for key, arguments in settings.items() if key[0] not in done}
    if left:
        print(f"preparing {len(left)} settings of the data", flush=True)
        if not run_preparation(list(left.values())):
            return False
        write_atomic(note, json.dumps(sorted({*done, *(name for name, _ in left)})) + "\n")
    return True


def _composed(trials: Trials, arguments: Sequence[str]) -> Experiment:
    """Return the experiment of a trial.

    Raises:
        KedrecError: names the sweep file, not the command line, for a key that the file sets.
    """
    try:
        return compose(arguments[0], arguments[1:])
    except KedrecError as fault:
        start, _, message = str(fault).partition("command line: ")
        key = message.partition(":")[0]
        if start or any(word.removeprefix("--").startswith(f"{key}=") for word in trials.overrides):
            raise
        raise KedrecError(f"{trials.sweep.path}: parameters.{message}") from fault


def _print_array(trials: Trials) -> None:
    for trial in trials.listed:
        _composed(trials, trial.arguments)
        print(shlex.join(["python", "-m", "kedrec.fit", *trials.command(trial)]))


def _show(trials: Trials) -> None:
    from rich.text import Text

    for header, rows in tables(trials):
        print_table(header, [[Text(cell) for cell in row] for row in rows])
    for trial in trials.listed:
        if trial.status == "failed":
            print(printable(f"failed: {trials.place(trial)}: {trial.error}"))
    print(f"table: {trials.folder / 'results.csv'}")


if __name__ == "__main__":
    sys.exit(main())
