"""A causal LM of another family, with a tokenizer that has no chat template and is not a fast one: BioGPT in little."""

import json

import pytest
import torch
from transformers import BioGptConfig, BioGptForCausalLM, BioGptTokenizer

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.chat_encoding import ChatEncoder, Shown
from kedrec.kedrec_lm.question_batches import Question
from tests.support.command_in_process import run_in_process


@pytest.fixture(scope="module")
def biogpt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("biogpt")
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"{letter}</w>" for letter in letters), "th"]
    (folder / "vocab.json").write_text(json.dumps({token: row for row, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h 1\n")
    BioGptTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BioGptConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=4096,
    )
    BioGptForCausalLM(config).save_pretrained(folder)
    return str(folder)


def test_a_run_trains_and_scores_it(tiny_experiment, biogpt, tmp_path):
    settings = [f"model.init_args.base={biogpt}", "model.init_args.lora.target_modules=[q_proj,v_proj]"]
    done = run_in_process(
        tiny_experiment, f"out={tmp_path / 'run'}", *settings, "data.init_args.prompt.max_tokens=2500"
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"base/f1", "test/f1", "test/rouge1"} <= set(metrics)
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all(len(row["scores"]) == 2 and row["passages"] for row in rows)


def test_prompts_begin_as_the_base_begins_texts_and_passages_are_cut(biogpt):
    question = Question("d|x|y", "asthma", ("salbutamol", "propranolol"), 0, False, "", (), {})
    text = "the drug was given " * 100
    chat = ChatEncoder(biogpt, 900)
    row = chat.encode(question, [Shown("P1", "pmc", question.drugs[0], text)], "Because.")
    assert row.prompt[0] == chat.tokenizer.sep_token_id
    assert row.prompt.count(chat.tokenizer.eos_token_id) == 1
    assert len(row.prompt) + len(row.answer) <= 900
    assert len(row.prompt) > 700
    assert "the drug was given the drug was given" in chat.tokenizer.decode(row.prompt)


def test_a_package_that_its_tokenizer_lacks_is_named(biogpt, monkeypatch):
    from transformers import AutoTokenizer

    def refuse(*_, **__):
        raise ImportError("You need to install sacremoses to use BioGptTokenizer.")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(KedrecError, match="sacremoses"):
        ChatEncoder(biogpt, 900)
