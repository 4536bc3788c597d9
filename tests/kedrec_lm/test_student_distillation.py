"""A student that learns from a teacher's token distributions, asked as it trains or kept."""

import json
from dataclasses import replace

import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.chat_batching import collate_chats
from kedrec.kedrec_lm.chat_encoding import Encoded
from kedrec.kedrec_lm.question_batches import Question
from kedrec.kedrec_lm.student import LossWeights
from kedrec.kedrec_lm.teacher_distributions import with_expectations
from kedrec.kedrec_lm.token_teacher import Distillation
from kedrec.storage.artifact_store import Store
from tests.kedrec_lm.test_student import ROWS, chats, student
from tests.support.command_in_process import run_in_process


@pytest.fixture(scope="module")
def teacher(tiny_base, tmp_path_factory):
    """Another model of the same tokenizer: wider, with other weights, and a table padded to more rows."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("teacher")
    words = AutoTokenizer.from_pretrained(tiny_base)
    torch.manual_seed(7)
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    net = LlamaForCausalLM(LlamaConfig(vocab_size=len(words) + 24, **sizes))
    net.lm_head.weight.data *= 20  # sure of something, where a model at random is sure of nothing
    net.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def step(model, batch):
    logged = {}
    model.log = lambda name, value, **_: logged.update({name: value.item()})
    return model.training_step(batch, 0), logged


def distilling(tiny_base, store, teacher, **settings):
    return student(tiny_base, store, distill=Distillation(str(teacher), dtype="float32", **settings))


def encoded():
    asked = Question("d|r|i", "d", ("one", "two"), 0, False, "", (), {})
    return [Encoded(prompt, (answer, [70, 2]), answer, asked) for prompt, answer in ROWS]


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_from_itself_there_is_nothing_to_learn(tiny_base, store, kind):
    _, logged = step(distilling(tiny_base, store, tiny_base, divergence=kind, temperature=2.0), chats(ROWS))
    assert logged["train/distillation_loss"] == pytest.approx(0, abs=1e-6)


def test_the_loss_is_the_divergence_over_a_full_forward_pass_of_both(tiny_base, store, teacher):
    from transformers import AutoModelForCausalLM

    model = distilling(tiny_base, store, teacher, weight=0.5, temperature=2.0)
    batch = chats(ROWS)
    loss, logged = step(model, batch)
    words = model.tokenizer.vocab_size
    theirs = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32)
    p, q = (net(batch.input_ids).logits[..., :words].div(2.0).log_softmax(-1) for net in (theirs, model.net))
    rows = []
    for at, (prompt, answer) in enumerate(ROWS):
        there = slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
        rows.append((p[at, there].exp() * (p[at, there] - q[at, there])).sum(-1).mean() * 4.0)
    expected = torch.stack(rows).mean().item()
    assert logged["train/distillation_loss"] == pytest.approx(expected, rel=1e-4)
    plain = logged["train/answer_loss"] + logged["train/choice_loss"]
    assert float(loss) == pytest.approx(plain + 0.5 * expected, rel=1e-4)


def test_training_on_it_alone_brings_the_student_nearer(tiny_base, store, teacher):
    model = student(tiny_base, store, lora=None, distill=Distillation(str(teacher), dtype="float32"))
    model.loss_weights = LossWeights(answer=0.0, choice=0.0)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    seen = []
    for _ in range(12):
        loss, _ = step(model, chats(ROWS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < 0.8 * seen[0]


def test_kept_distributions_give_the_loss_of_those_asked_now(tiny_base, store, teacher):
    model = distilling(tiny_base, store, teacher, top_k=8, temperature=1.5)
    kept = with_expectations(encoded(), model.distill, str(tiny_base), Store())
    plain, brought = collate_chats(encoded(), pad=2), collate_chats(kept, pad=2)
    assert plain.expected_ids is None
    assert brought.expected_ids.shape == (sum(len(answer) for _, answer in ROWS), 8)
    now, then = (step(model, batch)[1]["train/distillation_loss"] for batch in (plain, brought))
    assert then == pytest.approx(now, rel=1e-2)  # half precision
    # In another order, as an epoch gives them, each row keeps its own.
    shuffled = [kept[at] for at in (2, 0, 3, 1)]
    assert step(model, collate_chats(shuffled, pad=2))[1]["train/distillation_loss"] == pytest.approx(then, rel=1e-4)


def test_kept_distributions_take_a_few_bytes_a_token_and_are_made_once(tiny_base, store, teacher, monkeypatch):
    settings = Distillation(str(teacher), dtype="float32", top_k=16)
    with_expectations(encoded(), settings, str(tiny_base), Store())
    files = list((store / "expectations").glob("*/expectations.safetensors"))
    tokens = sum(len(answer) for _, answer in ROWS)
    smallest = min(path.stat().st_size for path in files)
    assert smallest < 64 * tokens + 300  # the file's header included
    monkeypatch.setattr("kedrec.kedrec_lm.teacher_distributions.TokenTeacher", None)
    again = with_expectations(encoded(), settings, str(tiny_base), Store())
    assert again[0].expected is not None


def test_whole_distributions_are_not_kept(tiny_base, store):
    with pytest.raises(KedrecError, match="top_k is null"):
        with_expectations(encoded(), Distillation(str(tiny_base)), str(tiny_base), Store())


def test_a_teacher_of_another_vocabulary_is_refused(tiny_base, store, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(tiny_base)
    words.add_tokens(["aspirin"])
    words.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(tiny_base).save_pretrained(tmp_path)
    with pytest.raises(KedrecError, match=r"distill\.teacher: .*the same tokenizer only"):
        step(distilling(tiny_base, store, tmp_path), chats(ROWS))


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"temperature": 0.0}, {"top_k": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(KedrecError, match="distill: "):
        Distillation("smollm2", **wrong)


def test_padding_changes_nothing(tiny_base, store, teacher):
    model = distilling(tiny_base, store, teacher)
    alone = [step(model, chats([row]))[1]["train/distillation_loss"] for row in ROWS]
    together = step(model, chats(ROWS))[1]["train/distillation_loss"]
    assert together == pytest.approx(sum(alone) / len(alone), rel=1e-4)


def test_the_command_line_distils_with_kept_distributions(tiny_experiment, teacher, tmp_path):
    distill = f"model.init_args.distill={{teacher: {teacher}, top_k: 8, temperature: 2.0}}"
    settings = [distill, "data.init_args.loader.distill=${model.init_args.distill}", "trainer.max_steps=6"]
    done = run_in_process(tiny_experiment, f"out={tmp_path / 'run'}", *settings)
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all("lora" in name for name in checkpoint["state_dict"])
    log = "".join(path.read_text() for path in (tmp_path / "run").rglob("metrics.csv"))
    assert "train/distillation_loss" in log
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test/pairs"] == 3


def test_a_batch_moves_what_the_teacher_expects(tiny_base, store):
    row = encoded()[0]
    kept = with_expectations([row], Distillation(str(tiny_base), top_k=2), str(tiny_base), Store())
    moved = collate_chats(kept, pad=2).to(torch.device("meta"))
    assert moved.expected_ids.device.type == moved.expected_log_probs.device.type == "meta"
    assert collate_chats([replace(kept[0], expected=None)], pad=2).expected_ids is None
