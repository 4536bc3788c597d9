"""The real command line, on models made at random."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kedrec.runtime.environment import quickest_dtype
from kedrec.splits.pairs import load_pairs, save_pairs
from tests.support.command_process import REPOSITORY, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def unbroken(tiny_experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = run(tiny_experiment, f"out={folder}")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_leaves_everything_behind(unbroken):
    folder, done = unbroken
    assert str(folder) in done.stdout
    assert "trained" in done.stdout
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

    folder, _ = unbroken
    asked, base = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("audits.jsonl", "audits_base.jsonl")
    )
    again = [(row["audit"], row["pair"], row["swapped"]) for row in asked]
    assert len(set(again)) == len(again)
    counts = {audit: sum(row["audit"] == audit for row in asked) for audit in {row["audit"] for row in asked}}
    assert {name: counts[name] for name in ("closed_book", "exchanged", "blinded", "validation")} == {
        "closed_book": 6,
        "exchanged": 6,
        "blinded": 6,
        "validation": 4,
    }
    assert {row["audit"] for row in base} == {"closed_book"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {
        "test/evidence_followed",
        "test/memorised",
        "test/temperature",
        "test/unknown_to_base_pairs",
    } <= metrics.keys()
    assert metrics["test/f1_low"] <= metrics["test/f1"] <= metrics["test/f1_high"]
    held = TreatmentSplit.load(folder / "split.tsv").of("test")
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    ids = [row["pair"].split("|") for row in rows]
    assert {(drug, disease) for disease, drug, _ in ids} <= held


def test_training_changes_the_answers(unbroken):
    folder, _ = unbroken
    base, trained = ((folder / name).read_text() for name in ("predictions_base.jsonl", "predictions.jsonl"))
    assert [json.loads(line)["pair"] for line in base.splitlines()] == [
        json.loads(line)["pair"] for line in trained.splitlines()
    ]
    assert base != trained


def test_a_checkpoint_holds_the_adapter_and_reloads_safely(unbroken):
    folder, _ = unbroken
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert all("lora" in name for name in checkpoint["state_dict"])
    assert "class_path: kedrec.kedrec_lm.student.Student" in checkpoint["kedrec"]["settings"]


def test_the_adapter_loads_with_plain_peft_and_gives_the_scores_of_the_run(unbroken, tiny_base):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder, _ = unbroken
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "adapter")
    trained = dict(model.named_parameters())
    kept = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    moved = [name for name in kept if "lora_B" in name and kept[name].abs().max() > 0]
    assert moved
    for name in moved:
        assert torch.equal(trained[name.removeprefix("net.")], kept[name])


def test_the_same_command_again_shows_the_results_at_once(unbroken, tiny_experiment):
    folder, _ = unbroken
    before = (folder / "metrics.json").stat().st_mtime_ns
    again = run(tiny_experiment, f"out={folder}")
    assert again.returncode == 0
    assert "this run is finished" in again.stdout
    assert (folder / "metrics.json").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(unbroken, tiny_experiment):
    folder, _ = unbroken
    done = run(tiny_experiment, f"out={folder}", "seed=5")
    assert done.returncode == 2
    assert "other settings" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("moment", ["4", "11", "validation", "test"])
def test_after_kill_9_the_same_command_ends_with_the_same_numbers(moment, unbroken, tiny_experiment, tmp_path):
    folder, _ = unbroken
    broken = tmp_path / "run"
    killed = run(tiny_experiment, f"out={broken}", KILL_AT=moment)
    assert killed.returncode == -9
    assert not (broken / "metrics.json").exists()
    resumed = run(tiny_experiment, f"out={broken}")
    assert resumed.returncode == 0, resumed.stderr
    assert (broken / "metrics.json").read_text() == (folder / "metrics.json").read_text()
    assert (broken / "predictions.jsonl").read_text() == (folder / "predictions.jsonl").read_text()
    name = Path("adapter") / "adapter_model.safetensors"
    assert (broken / name).read_bytes() == (folder / name).read_bytes()


def test_wandb_offline_keeps_its_id_over_a_resume_and_gets_examples_and_adapter(tiny_experiment, tmp_path):
    folder = tmp_path / "run"
    arguments = (f"out={folder}", "use.logger=wandb")
    assert run(tiny_experiment, *arguments, WANDB_MODE="offline", KILL_AT="8").returncode == -9
    done = run(tiny_experiment, *arguments, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    attempts = [path.name for path in (folder / "wandb").glob("offline-run-*")]
    assert len(attempts) == 2
    assert len({name.rsplit("-", 1)[1] for name in attempts}) == 1
    tables = list(folder.glob("wandb/offline-run-*/files/media/table/examples*.json"))
    assert len(tables) == 1
    assert len(json.loads(tables[0].read_text())["data"]) == 3


def test_a_read_only_store_and_a_full_disk_are_one_line_each(tiny_experiment, unbroken, store, tmp_path):
    empty = tmp_path / "store"
    empty.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "none", str(empty)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounts are not allowed here")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(small)], check=True)
    whole = tmp_path / "whole"
    whole.mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", str(store), str(whole)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(whole)], check=True)
    try:
        refused = run(tiny_experiment, f"out={tmp_path / 'a'}", KEDREC_STORE=str(empty))
        full = run(tiny_experiment, f"out={small / 'run'}")
        served = run(tiny_experiment, f"out={tmp_path / 'b'}", KEDREC_STORE=str(whole))
        left = [path.name for path in small.rglob("*") if "partial" in path.name]
    finally:
        for place in (empty, small, whole):
            subprocess.run(["umount", str(place)], check=True)
    assert refused.returncode == 2
    assert "it cannot be written; free some space, or set KEDREC_STORE" in refused.stderr
    assert full.returncode == 2
    assert "the disk is full; free some space, or choose another place with out=DIR" in full.stderr
    for done in (refused, full):
        assert "Traceback" not in done.stderr
    assert not left
    assert served.returncode == 0, served.stderr
    metrics = (tmp_path / "b" / "metrics.json").read_text()
    assert metrics == (unbroken[0] / "metrics.json").read_text()


def test_two_fits_at_once_on_an_empty_store_build_once_and_agree(tiny_experiment, unbroken, tmp_path):
    command = [sys.executable, "-m", "kedrec.fit", str(tiny_experiment)]
    environment = {**os.environ, "KEDREC_STORE": str(tmp_path / "store")}
    both = [
        subprocess.Popen(
            [*command, f"out={tmp_path / name}"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in "ab"
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for name in "ab":
        assert (tmp_path / name / "metrics.json").read_text() == (unbroken[0] / "metrics.json").read_text()


def test_a_second_process_is_kept_out_of_a_run(tiny_experiment, tmp_path):
    from filelock import FileLock

    folder = tmp_path / "run"
    folder.mkdir()
    with FileLock(folder / ".lock"):
        done = run(tiny_experiment, f"out={folder}")
    assert done.returncode == 2
    assert "another process is at work on this very run" in done.stderr


def test_ctrl_c_says_how_to_go_on(tiny_experiment, unbroken, tmp_path):
    folder, _ = unbroken
    broken = tmp_path / "run"
    stopped = run(tiny_experiment, f"out={broken}", KILL_AT="7", KILL_GENTLY="1")
    assert stopped.returncode == 130, stopped.stderr
    assert "goes on from the last checkpoint" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert run(tiny_experiment, f"out={broken}").returncode == 0
    assert (broken / "metrics.json").read_text() == (folder / "metrics.json").read_text()


def test_faults_of_the_user_are_one_line_without_a_trace(tiny_experiment, tmp_path):
    for arguments, words in (
        (["data.init_args.graph=nowhere.tsv"], "nowhere.tsv"),
        (["data.init_args.retrieval.sources=[pcm]"], "did you mean 'pmc'"),
        (["model.init_args.base=nowhere/at-all"], "nowhere/at-all"),
        (["model.init_args.optimizer.learning_rte=1"], "did you mean 'learning_rate'"),
    ):
        done = run(tiny_experiment, f"out={tmp_path / 'run'}", *arguments)
        assert done.returncode == 2, done.stderr
        message = [line for line in done.stderr.splitlines() if line.startswith("kedrec: ")]
        assert len(message) == 1
        assert words in message[0]
        assert "Traceback" not in done.stderr


def test_a_graph_and_texts_of_ones_own(tiny_base, tiny_encoder_folder, store, tmp_path):
    sample = REPOSITORY / "kedrec" / "sample"
    done = run(
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


@pytest.mark.real_weights
@pytest.mark.timeout(3600)
def test_the_default_job_with_the_real_weights(tmp_path):
    """``make fit``: the bundled student and encoder on the sample, in a store of its own.

    Whole where the machine is quick in bfloat16; others take three times as long, and are asked a fourth of the pairs.
    """
    folder, pairs = tmp_path / "run", load_pairs(REPOSITORY / "kedrec" / "sample" / "pairs.parquet")
    told = [f"out={folder}"]
    if quickest_dtype(torch.cuda.is_available()) != "bfloat16":
        pairs = [pair for at, pair in enumerate(pairs) if pair.split == "train" or at % 4 == 0]
        save_pairs(pairs, tmp_path / "pairs.parquet")
        told.append(f"data.init_args.pairs.file={tmp_path / 'pairs.parquet'}")
    done = subprocess.run(
        ["/usr/bin/env", sys.executable, "-m", "kedrec.fit", "experiments/both_sources.yaml", *told],
        cwd=REPOSITORY,
        env={**os.environ, "KEDREC_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/pairs"] == sum(pair.split == "test" for pair in pairs)
    assert metrics["test/f1"] > metrics["base/f1"]
    assert metrics["test/rougeL"] > metrics["base/rougeL"]
    assert metrics["test/citing"] > metrics["base/citing"]
    assert json.loads((folder / "provenance.json").read_text())["peak_memory_bytes"] < 6 * 2**30
