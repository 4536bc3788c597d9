"""The command trains the tiny student: what a run leaves behind, and what a user gets wrong."""

import json

import pytest
import torch
from filelock import FileLock

from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.trained_runs import printed_by, trained


@pytest.fixture(scope="session")
def unbroken(tiny_experiment):
    return trained(tiny_experiment)


def test_a_run_leaves_everything_behind(unbroken):
    folder, printed = unbroken, printed_by(unbroken).read_text()
    assert str(folder) in printed
    assert "trained" in printed
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"base/f1", "test/f1", "base/rouge1", "test/rougeL", "test/flip_rate"} <= metrics.keys()
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 6  # three pairs in two orders
    assert {"pair", "drugs", "correct", "choice", "scores", "passages"} <= rows[0].keys()
    assert [("rationale" in row) for row in rows] == [not row["swapped"] for row in rows]
    adapter = folder / "adapter"
    assert (adapter / "adapter_model.safetensors").is_file()
    assert "max_epochs: 2" in (folder / "config.yaml").read_text()
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["data"]["passages"] > 300
    assert f"out={folder}" in provenance["overrides"]
    assert f"of {provenance['experiment']} " in (folder / "README.md").read_text()
    assert "Research use" in (folder / "README.md").read_text()
    assert not [path for path in folder.rglob("*") if "partial" in path.name]


def test_the_test_is_audited_and_what_is_held_out_is_written_down(unbroken):
    from kedrec.splits.treatment_split import TreatmentSplit

    folder = unbroken
    asked, base = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("audits.jsonl", "audits_base.jsonl")
    )
    again = [(row["audit"], row["pair"], row["swapped"]) for row in asked]
    assert len(set(again)) == len(again)
    counts = {audit: sum(row["audit"] == audit for row in asked) for audit in {row["audit"] for row in asked}}
    assert {name: counts[name] for name in ("closed_book", "passages_exchanged", "names_masked", "validation")} == {
        "closed_book": 6,
        "passages_exchanged": 6,
        "names_masked": 6,
        "validation": 4,
    }
    assert {row["audit"] for row in base} == {"closed_book"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {
        "test/evidence_sensitivity",
        "test/parametric_knowledge",
        "test/temperature",
        "test/unknown_to_base_pairs",
    } <= metrics.keys()
    assert metrics["test/f1_low"] <= metrics["test/f1"] <= metrics["test/f1_high"]
    held = TreatmentSplit.load(folder / "split.tsv").of("test")
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    ids = [row["pair"].split("|") for row in rows]
    assert {(drug, disease) for disease, drug, _ in ids} <= held


def test_training_changes_the_answers(unbroken):
    folder = unbroken
    base, trained = ((folder / name).read_text() for name in ("predictions_base.jsonl", "predictions.jsonl"))
    assert [json.loads(line)["pair"] for line in base.splitlines()] == [
        json.loads(line)["pair"] for line in trained.splitlines()
    ]
    assert base != trained


def test_a_checkpoint_holds_the_adapter_and_reloads_safely(unbroken):
    folder = unbroken
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert all("lora" in name for name in checkpoint["state_dict"])
    assert "class_path: kedrec.kedrec_lm.student.Student" in checkpoint["kedrec"]["settings"]


def test_the_adapter_loads_with_plain_peft_and_gives_the_scores_of_the_run(unbroken, tiny_base):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = unbroken
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "adapter")
    trained = dict(model.named_parameters())
    kept = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    moved = [name for name in kept if "lora_B" in name and kept[name].abs().max() > 0]
    assert moved
    for name in moved:
        assert torch.equal(trained[name.removeprefix("net.")], kept[name])


def test_the_same_command_again_shows_the_results_at_once(unbroken, tiny_experiment):
    folder = unbroken
    before = (folder / "metrics.json").stat().st_mtime_ns
    again = run_in_process(tiny_experiment, f"out={folder}")
    assert again.returncode == 0
    assert "this run is finished" in again.stdout
    assert (folder / "metrics.json").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(unbroken, tiny_experiment):
    folder = unbroken
    done = run_in_process(tiny_experiment, f"out={folder}", "seed=5")
    assert done.returncode == 2
    assert "other settings" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_process_is_kept_out_of_a_run(tiny_experiment, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with FileLock(folder / ".lock"):
        done = run_in_process(tiny_experiment, f"out={folder}")
    assert done.returncode == 2
    assert "another process is at work on this very run" in done.stderr


def test_faults_of_the_user_are_one_line_without_a_trace(tiny_experiment, tmp_path):
    for arguments, words in (
        (["data.init_args.graph=nowhere.tsv"], "nowhere.tsv"),
        (["data.init_args.retrieval.sources=[pcm]"], "did you mean 'pmc'"),
        (["model.init_args.base=nowhere/at-all"], "nowhere/at-all"),
        (["model.init_args.optimizer.learning_rte=1"], "did you mean 'learning_rate'"),
    ):
        done = run_in_process(tiny_experiment, f"out={tmp_path / 'run'}", *arguments)
        assert done.returncode == 2, done.stderr
        message = [line for line in done.stderr.splitlines() if line.startswith("kedrec: ")]
        assert len(message) == 1
        assert words in message[0]
        assert "Traceback" not in done.stderr


def test_a_graph_and_texts_of_ones_own(tiny_base, tiny_encoder_folder, store, tmp_path):
    sample = REPOSITORY / "kedrec" / "sample"
    done = run_in_process(
        REPOSITORY / "experiments" / "real_graph.yaml",
        f"graph={sample / 'triples.tsv'}",
        f"texts={sample / 'passages.jsonl'}",
        f"out={tmp_path / 'run'}",
        f"model.init_args.base={tiny_base}",
        "model.init_args.lora.layers_to_transform=null",
        "model.init_args.max_new_tokens=4",
        f"data.init_args.retrieval.encoder={tiny_encoder_folder}",
        "data.init_args.prompt.max_tokens=1500",
        "data.init_args.pairs.limits={train: 8, validation: 2, test: 4}",
        "trainer.max_steps=3",
        "trainer.enable_progress_bar=false",
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert all("is the drug used for" in row["reference"] for row in rows)
    drugs = [row["pair"].split("|")[1:] for row in rows]
    assert sorted(relevant for relevant, _ in drugs) == sorted(irrelevant for _, irrelevant in drugs)  # balanced
    facts = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]
    assert facts["teacher"] == "ExtractiveTeacher"
