"""``python -m kedrec.export`` on small runs: what is written answers as the run does, or is not left behind."""

import json
import shutil

import pytest
import torch
import yaml

from kedrec.runtime.environment import quickest_dtype
from tests.support.command_process import run
from tests.support.exported_forms import best_net, export, largest_difference, refused
from tests.support.trained_runs import trained


@pytest.fixture(scope="module")
def student(tiny_experiment):
    return trained(tiny_experiment)


@pytest.fixture(scope="module")
def whole(tiny_experiment):
    """A run that has trained every weight."""
    return trained(tiny_experiment, "use.model=student_full", "model.init_args.lora=null")


def head(place):
    card = (place / "README.md").read_text()
    return yaml.safe_load(card.split("---\n")[1]), card


@pytest.mark.slow
def test_the_adapter_loads_with_plain_peft_and_is_the_runs_to_the_bit(student, tiny_base, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = tmp_path / "adapter"
    done = run(student, "--to", "adapter", str(place), module="kedrec.export")
    assert done.returncode == 0, done.stderr
    assert "largest difference 0 (allowed 0), mean 0 (allowed 0), the same likeliest token at 100.00%" in done.stdout
    assert "choices: 6 of 6 test questions answered as by the run" in done.stdout
    net, tokenizer = best_net(student)
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=quickest_dtype(torch.cuda.is_available()))
    loaded = PeftModel.from_pretrained(base, place)
    assert largest_difference(net, loaded.float(), tokenizer) == 0
    assert AutoTokenizer.from_pretrained(place).chat_template == tokenizer.chat_template
    assert json.loads((place / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_base)
    assert json.loads((place / "example.json").read_text())["model"] == "kedrec"


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0, 1e-6), ("bfloat16", 1e-6, 0.02)])
def test_merged_weights_answer_as_base_and_adapter_do(student, tmp_path, capsys, dtype, least, most):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = tmp_path / "merged"
    assert export(student, "merged", place, "--dtype", dtype) == 0
    assert "choices: 6 of 6" in capsys.readouterr().out
    loaded = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
    assert loaded.dtype == getattr(torch, dtype)
    net, tokenizer = best_net(student)
    assert least <= largest_difference(net, loaded.float(), tokenizer) <= most
    again = AutoTokenizer.from_pretrained(place)
    assert [again(text) for text in ("12 units", "naïve")] == [tokenizer(text) for text in ("12 units", "naïve")]
    record = json.loads((place / "export.json").read_text())
    assert record["choices"] == {"questions": 6, "other": 0, "largest": record["choices"]["largest"]}
    assert set(record["files"]) == {path.name for path in place.iterdir()} - {"export.json"}


def test_the_same_export_twice_is_the_same_to_the_byte(student, tmp_path):
    for name in "ab":
        assert export(student, "merged", tmp_path / name) == 0
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"]
    assert files[0] == files[1]


def test_the_card_has_the_head_that_the_hub_reads(student, tmp_path):
    from huggingface_hub import ModelCard

    assert export(student, "merged", tmp_path / "out") == 0
    found, card = head(tmp_path / "out")
    assert found["library_name"] == "transformers"
    assert found["license"] == "other"
    assert found["datasets"] == ["clinical_trials", "pmc"]
    assert "drug-recommendation" in found["tags"]
    (result,) = found["model-index"]
    own = json.loads((student / "metrics.json").read_text())
    assert result["results"][0]["metrics"][0]["value"] == pytest.approx(own["test/accuracy"], abs=1e-5)
    assert ModelCard.load(tmp_path / "out" / "README.md").data.pipeline_tag == "text-generation"
    assert "not medical advice" in card
    assert "vllm serve" in card


def test_the_example_is_a_test_question_as_the_run_saw_it(student, tmp_path):
    from transformers import AutoTokenizer

    assert export(student, "merged", tmp_path / "out") == 0
    request = json.loads((tmp_path / "out" / "example.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = tokenizer.apply_chat_template(request["messages"], add_generation_prompt=True, tokenize=False)
    rows = [json.loads(line) for line in (student / "predictions.jsonl").read_text().splitlines()]
    assert any(f"A: {row['drugs'][0]}\nB: {row['drugs'][1]}\n<passages>" in text for row in rows)


def test_what_patients_taught_is_exported_on_demand_alone_and_says_so(student, tmp_path, capsys, monkeypatch):
    from kedrec.kedrec_lm.instruction_data import InstructionData

    monkeypatch.setattr(InstructionData, "private", True, raising=False)
    place = tmp_path / "out"
    arguments = (student, "--to", "merged", place)
    assert "trained on patient data" in refused(capsys, place, *arguments)
    assert export(student, "merged", place, "--private") == 0
    _, card = head(place)
    assert "Trained on patient data" in card
    assert "## Data" not in card
    assert not (place / "example.json").exists()


def test_a_run_without_an_adapter_is_exported_whole(whole, tmp_path, capsys):
    from transformers import AutoModelForCausalLM

    assert "has no adapter; use --to merged" in refused(
        capsys, tmp_path / "a", whole, "--to", "adapter", tmp_path / "a"
    )
    assert export(whole, "merged", tmp_path / "m") == 0
    net, tokenizer = best_net(whole)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype="auto")
    assert loaded.dtype == torch.float32
    assert largest_difference(net, loaded, tokenizer) == 0


@pytest.mark.parametrize("form", ["adapter", "merged"])
def test_a_byte_that_turns_on_the_disk_is_noticed(student, tmp_path, capsys, monkeypatch, form):
    """Between writing and reading back one bit of one weight turns, which no logit would show."""
    from kedrec.commands.export import export_formats as formats

    writes = getattr(formats, f"write_{form}")

    def write(*arguments):
        found = writes(*arguments)
        (path,) = arguments[-1].glob("*.safetensors")
        content = bytearray(path.read_bytes())
        content[-8] ^= 1
        path.write_bytes(content)
        return found

    monkeypatch.setattr(formats, f"write_{form}", write)
    place = tmp_path / "out"
    assert "the weight on the disk differs" in refused(capsys, place, student, "--to", form, place)


def test_a_merge_that_loses_the_adapter_is_noticed(student, tmp_path, capsys, monkeypatch):
    """The base alone, whole on the disk, answers otherwise: weights agree, logits do not."""
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda net, **_: net.unload(), raising=False)
    place = tmp_path / "out"
    assert "answers differently from the run" in refused(capsys, place, student, "--to", "merged", place)


def test_only_an_export_is_replaced_and_only_by_force(student, tmp_path, capsys):
    place = tmp_path / "out"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    arguments = (student, "--to", "merged", place)
    assert "not empty" in refused(capsys, None, *arguments)
    assert "holds no export of kedrec" in refused(capsys, None, *arguments, "--force")
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    (place / "mine.txt").unlink()
    assert export(*arguments[:1], "merged", place) == 0  # an empty folder is taken
    before = place.stat().st_ino
    assert "not empty" in refused(capsys, None, *arguments)
    assert export(student, "adapter", place, "--force") == 0
    assert place.stat().st_ino != before
    assert (place / "adapter_config.json").is_file()
    assert not (place / "model.safetensors").exists()


def test_data_that_ask_otherwise_than_the_run_was_asked_are_noticed(student, tmp_path, capsys):
    folder = shutil.copytree(student, tmp_path / "run")
    path = folder / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["passages"] = rows[0]["passages"][::-1]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "1 of 6 questions are not the same" in refused(
        capsys, tmp_path / "out", folder, "--to", "adapter", tmp_path / "out"
    )


def test_a_choice_that_is_another_is_noticed(student, tmp_path, capsys):
    folder = shutil.copytree(student, tmp_path / "run")
    path = folder / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    row = max(rows, key=lambda row: abs(row["scores"][0] - row["scores"][1]))
    row["scores"], row["choice"] = row["scores"][::-1], 1 - row["choice"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "chooses differently from the run on 1 of 6" in refused(
        capsys, tmp_path / "out", folder, "--to", "adapter", tmp_path / "out"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "onnx", "out"], "invalid choice: 'onnx'"),
        (["out"], "required: --to"),
        (["--to", "merged", "out", "--dtype", "q8_0"], "q8_0 needs --to gguf"),
        (["--to", "adapter", "out", "--dtype", "float32"], "leave the option out"),
        (["--to", "merged", "out", "--fore"], "--fore"),
    ],
)
def test_a_wrong_command_is_one_line(student, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, tmp_path / "out", student, *arguments)


def test_embeddings_are_an_export_already(student, tmp_path, capsys):
    folder = shutil.copytree(student, tmp_path / "run")
    (folder / "embeddings").mkdir()
    words = refused(capsys, tmp_path / "out", folder, "--to", "merged", tmp_path / "out")
    assert f"its export is {folder / 'embeddings'}" in words
