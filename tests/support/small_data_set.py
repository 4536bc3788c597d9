"""A data set small enough for the tests: its experiment, `kedrec.prepare` on it, and what it wrote."""

import hashlib

import yaml

from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.shared_between_workers import made_once

SAMPLE = REPOSITORY / "kedrec" / "sample"


def write_small_data_set(path, base, encoder):
    """Write the experiment's file; ``base`` and ``encoder`` are the folders of the tiny models."""
    content = {
        "use": {"model": "student_smollm2", "data": "exprxrec", "trainer": "laptop", "logger": "csv"},
        "graph": str(SAMPLE / "triples.tsv"),
        "texts": str(SAMPLE / "passages.jsonl"),
        "email": "",
        "model": {"init_args": {"base": str(base), "max_new_tokens": 4, "lora": {"layers_to_transform": None, "r": 4}}},
        "data": {
            "init_args": {
                "retrieval": {"encoder": str(encoder)},
                "pairs": {"limits": {"train": 20, "validation": 3, "test": 4}},
                "loader": {"batch_size": 2},
            }
        },
        "trainer": {"accelerator": "cpu", "max_steps": 2, "val_check_interval": 1, "enable_progress_bar": False},
    }
    path.write_text(yaml.safe_dump(content))


def prepare(*arguments, store, **environment):
    """Run `kedrec.prepare` within the test's process, on a store of its own."""
    return run_in_process(*arguments, module="kedrec.prepare", KEDREC_STORE=str(store), **environment)


def prepared_once(experiment):
    """A folder with the store, the data set, its bundle and what was printed, of one undisturbed run; read only."""

    def make(folder):
        folder.mkdir()
        words = (f"out={folder / 'set'}", f"--bundle={folder / 'b.tar.zst'}")
        done = prepare(experiment, *words, store=folder / "store")
        assert done.returncode == 0, done.stderr
        (folder / "printed").write_text(done.stdout)

    return made_once(experiment.parent / "prepared", make)


def hashes(folder):
    """Return the SHA-256 of each file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
