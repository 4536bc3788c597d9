"""Exports as GGUF, by a stand-in for llama.cpp's converter that may err as a converter may."""

import shutil

import pytest
import torch

from tests.support.command_process import REPOSITORY
from tests.support.exported_forms import best_net, export, largest_difference, refused
from tests.support.trained_runs import trained

CONVERTER = REPOSITORY / "tests" / "support" / "convert_llama.py"


@pytest.fixture(scope="module")
def student(tiny_experiment):
    return trained(tiny_experiment)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-6), ("float16", 0.01), (None, 0.02), ("q8_0", 0.05)])
def test_gguf_read_by_transformers_answers_as_the_run_does(student, tmp_path, capsys, dtype, most):
    from transformers import AutoModelForCausalLM

    place = tmp_path / "gguf"
    assert export(student, "gguf", place, "--converter", CONVERTER, *(["--dtype", dtype] if dtype else [])) == 0
    assert "choices: 6 of 6" in capsys.readouterr().out
    (file,) = place.glob("*.gguf")
    assert (place / "Modelfile").read_text().startswith(f"FROM ./{file.name}\n")
    assert sorted(path.suffix for path in place.iterdir()) == ["", ".gguf", ".json", ".json", ".md"]
    loaded = AutoModelForCausalLM.from_pretrained(place, gguf_file=file.name, dtype=torch.float32)
    net, tokenizer = best_net(student)
    assert largest_difference(net, loaded, tokenizer) <= most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "dtype", "words"),
    [
        ("noise", "bfloat16", "the weight on the disk differs"),
        ("order", "float16", "the weight on the disk differs"),
        ("order", "q8_0", "the weight on the disk differs"),
        ("tokens", "float32", "its tokens differ from the run's"),
        ("text", "float32", "cannot be read back"),
        ("nothing", "float32", "it wrote no file"),
        ("status", "float32", "BPE pre-tokenizer was not recognized"),
    ],
)
def test_a_converter_that_writes_nonsense_is_noticed(student, tmp_path, capsys, monkeypatch, fault, dtype, words):
    monkeypatch.setenv("CONVERT_WRONGLY", fault)
    place = tmp_path / "gguf"
    arguments = (student, "--to", "gguf", place, "--dtype", dtype, "--converter", CONVERTER)
    assert words in refused(capsys, place, *arguments)


@pytest.mark.slow
def test_a_converter_is_found_or_asked_for_in_one_line(student, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    place = tmp_path / "gguf"
    assert "clone https://github.com/ggml-org/llama.cpp" in refused(capsys, place, student, "--to", "gguf", place)
    assert "no such file" in refused(capsys, place, student, "--to", "gguf", place, "--converter", tmp_path / "c.py")
    shutil.copy(CONVERTER, tmp_path / "convert_hf_to_gguf.py")
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    assert export(student, "gguf", place) == 0


@pytest.mark.slow
def test_a_failed_replacement_leaves_what_was_there(student, tmp_path, capsys, monkeypatch):
    place = tmp_path / "out"
    assert export(student, "merged", place) == 0
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    monkeypatch.setenv("CONVERT_WRONGLY", "noise")
    refused(capsys, None, student, "--to", "gguf", place, "--force", "--converter", CONVERTER)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
