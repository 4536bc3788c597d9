"""Prepare an experiment's data: ``python -m kedrec.prepare EXPERIMENT [--dry-run] [--bundle FILE] [key=value ...]``.

    --dry-run        show the plan, and prepare nothing
    --bundle FILE    write all prepared artefacts into one file, for a cluster without a network
    --unbundle FILE  read such a file into the store; without an experiment
    --push NAME      upload the data set to the Hugging Face hub as NAME, private

Several processes of one job, as `srun` starts them, embed together, each with its own GPU, on any number of nodes that
share the store. The same command resumes a preparation that was stopped. ``fit`` with the same experiment then finds
all artefacts in the store.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.config import Experiment, compose
from kedrec.training.experiment_objects import build

if TYPE_CHECKING:
    from kedrec.training.base_classes import ExperimentData
from kedrec.errors import KedrecError
from kedrec.runtime.command_line import Arguments, run_command
from kedrec.runtime.distributed import is_first
from kedrec.runtime.progress import shown_as_bars
from kedrec.runtime.resumption import set_resumption
from kedrec.runtime.signals import preemptible
from kedrec.runtime.table_printing import print_table
from kedrec.storage.artifact_store import PlanningStore, Store, artefacts_recorded
from kedrec.storage.bundle import unbundle, write_bundle
from kedrec.storage.hashing import key_hash


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run, interrupted=None)


def _run(arguments: list[str]) -> int:
    parser = Arguments("python -m kedrec.prepare")
    parser.add_argument("experiment", nargs="?")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--unbundle", type=Path)
    parser.add_argument("--push")
    options, overrides = parser.parse_known_args(arguments)
    if options.unbundle:
        added = unbundle(options.unbundle, Store())
        print(f"{added} artefacts added to {Store().root}")
        return 0
    if not options.experiment:
        print(__doc__)
        return 2
    with preemptible():
        run(compose(options.experiment, overrides), options)
    return 0


def run(experiment: Experiment, options: argparse.Namespace) -> None:
    """Prepare, or show the plan."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    data = build(experiment).data
    if data.private and (options.bundle or options.push):
        raise KedrecError("these are patient data: they stay on this machine, and are neither bundled nor uploaded")
    if options.dry_run:
        set_resumption("starts again: nothing was written")
        _show_plan(data)
        return
    started = time.monotonic()
    with artefacts_recorded() as artefacts, shown_as_bars() if is_first() else nullcontext():
        data.prepare_data()
        data.setup("fit")
    if not is_first():
        return  # this process only embeds
    if data.writes_dataset:
        place = dataset_folder(experiment)
        data.write_dataset(place, experiment.name)
        print(f"data set: {place}")
        if options.push:
            _push(place, options.push)
    elif options.push:
        raise KedrecError(f"data.class_path: {type(data).__name__} writes no data set to upload; leave --push out")
    for name, value in data.facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes; Linux reports kilobytes
    print(f"prepared in {time.monotonic() - started:.0f} s, peak memory {peak / 2**30:.1f} GiB")
    if options.bundle:
        with shown_as_bars():
            count = write_bundle(options.bundle, artefacts)
        print(f"bundle: {options.bundle}, {count} artefacts, {options.bundle.stat().st_size / 2**20:.0f} MiB")


def dataset_folder(experiment: Experiment) -> Path:
    """Return the folder of an experiment's data set: ``out``, else one named by the settings of the data."""
    if any("out" in layer for _, layer in experiment.layers):
        return experiment.run_dir
    settings = {"data": experiment.portable["data"], "seed": experiment.tree["seed"]}
    return Path("datasets") / experiment.name / key_hash(settings)[:10]


def _show_plan(data: "ExperimentData") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        stages = data.plan(PlanningStore(Store(), Path(scratch)))
    if stages is None:
        raise KedrecError(f"data.class_path: {type(data).__name__} has no plan to show; leave --dry-run out")
    rows = [[stage.name, "yes" if stage.there else "no", stage.told] for stage in stages]
    print_table(["stage", "there", "to do"], rows, title="plan; nothing was downloaded, asked or written")


def _push(place: Path, name: str) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api = HfApi()
        api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(repo_id=name, repo_type="dataset", folder_path=place)
    except (HfHubHTTPError, OSError, ValueError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise KedrecError(f"--push {name}: the upload failed ({reason}); the data set is in {place}") from fault
    print(f"uploaded to {name}, private")


if __name__ == "__main__":
    sys.exit(main())
