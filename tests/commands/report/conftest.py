"""Runs of students that are reviewed."""

import json

import pytest

from kedrec.commands.report.blinded_review import write_review
from tests.support.simulated_reviewers import QUALITY, rows_of, settings


@pytest.fixture
def run(tmp_path):
    """Makes a finished run of a student."""

    def make(name, rows, experiment="both_sources", *overrides, base=None):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(settings(experiment, *overrides) + f"run_id: {folder.name}-id\n")
        (folder / "metrics.json").write_text("{}")
        for file, content in (("predictions.jsonl", rows), ("predictions_base.jsonl", base)):
            if content is not None:
                (folder / file).write_text("".join(json.dumps(row) + "\n" for row in content))
        return folder

    return make


@pytest.fixture
def review(run, tmp_path):
    """Writes a review of three models of known quality, which answered as many questions as the first call says."""
    runs = {}

    def write(questions=30, **options):
        for name, quality in QUALITY.items():
            if name not in runs:
                runs[name] = run(name, rows_of(quality, questions))
        folder = tmp_path / f"review{len(list(tmp_path.glob('review*')))}"
        write_review(list(runs.values()), folder, **options)
        return folder

    return write
