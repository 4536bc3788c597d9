"""The example of one's own graph and texts, in little: its experiment, its embedding, its page."""

import json
import re
import shlex

import pytest

from kedrec.fit import main as fit
from kedrec.recommend import main as recommend
from kedrec.sources.text.documents import read_documents
from tests.support.command_process import REPOSITORY

FOLDER = REPOSITORY / "examples" / "own_data"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.split("  #")[0])[3:]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]


@pytest.fixture(autouse=True)
def _root(monkeypatch, store):
    monkeypatch.chdir(REPOSITORY)  # where the page's commands are called


@pytest.fixture(scope="module")
def small(tiny_base, tiny_encoder_folder):
    """Overrides that make the experiment a matter of seconds."""
    return [
        *QUICK,
        f"model.init_args.base={tiny_base}",
        "model.init_args.max_new_tokens=4",
        "model.init_args.lora={layers_to_transform: null, r: 4}",
        f"data.init_args.retrieval.encoder={tiny_encoder_folder}",
        "trainer.max_steps=2",
        "trainer.val_check_interval=2",
    ]


def test_the_folder_holds_what_its_page_says():
    assert len((FOLDER / "triples.tsv").read_text().splitlines()) == 60
    documents = list(read_documents(FOLDER))
    assert len(documents) == 20
    assert {document.source for document in documents} == {"passages"}
    assert [command[0] for command in COMMANDS] == [
        "examples/own_data/own_data.yaml",
        "examples/own_data/own_data.yaml",
        "examples/own_data/own_embedding.yaml",
        "runs/own_embedding/ID",
        "runs/own_embedding/ID",
    ]


def test_its_experiment_trains_and_tests_a_student(small, tmp_path):
    assert fit([*COMMANDS[0], *small, f"out={tmp_path / 'run'}"]) == 0
    facts = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]
    assert facts["questions"]["validation"] >= 4
    assert facts["questions"]["train"] >= 20
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) >= 10
    texts = {document.id: document.text for document in read_documents(FOLDER)}
    for row in rows:
        relevant = row["drugs"][row["correct"]]
        assert any(relevant in texts[one].lower() for one in row["passages"])
        assert len(row["passages"]) == 2


def test_a_source_that_no_passage_has_is_named_with_those_there_are(small, tmp_path, capsys):
    assert fit([*COMMANDS[0], *small, "data.init_args.retrieval.sources=[pmc]", f"out={tmp_path / 'run'}"]) == 2
    told = capsys.readouterr().err
    assert "no passage of source 'pmc'" in told
    assert "['passages']" in told
    assert "data.init_args.retrieval.sources" in told


def test_its_graph_is_embedded_and_ranks_drugs(tiny_encoder_folder, tmp_path, capsys):
    small = [
        "model.init_args.dim=32",
        f"data.init_args.anchors.encoder={tiny_encoder_folder}",
        "trainer.max_steps=4",
    ]
    run = tmp_path / "run"
    assert fit([*COMMANDS[2], *QUICK, *small, "trainer.val_check_interval=2", f"out={run}"]) == 0
    capsys.readouterr()
    assert recommend([str(run), *COMMANDS[3][1:]]) == 0
    assert "drugs can be ranked for 12 diseases" in capsys.readouterr().out
    assert recommend([str(run), *COMMANDS[4][1:]]) == 0
    assert "21 drugs ranked" in capsys.readouterr().out
