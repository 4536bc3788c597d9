"""The student's invariants, on a LLaMA made at random."""

import pytest
import torch
from peft import LoraConfig

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.question_batches import ChatBatch
from kedrec.kedrec_lm.student import LossWeights, Student

ROWS = [([5, 9, 17], [33, 40, 2]), ([7, 8], [11, 2]), ([100, 101, 102, 103], [50, 51, 52, 2]), ([60], [61, 2])]


def chats(rows):
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids, mask = torch.full((len(rows), width), 2), torch.zeros(len(rows), width, dtype=torch.long)
    labels, decisive = torch.full((len(rows), width), -100), torch.zeros(len(rows), width, dtype=torch.bool)
    for at, (prompt, answer) in enumerate(rows):
        start, end = len(prompt), len(prompt) + len(answer)
        ids[at, :end] = torch.tensor(prompt + answer)
        mask[at, :end] = 1
        labels[at, start:end] = torch.tensor(answer)
        decisive[at, start] = True
    return ChatBatch(ids, mask, labels, decisive, torch.full((len(rows),), 70))


def student(base, store, **arguments):
    settings = {"lora": LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"), "dtype": "float32"}
    model = Student(str(base), **{**settings, **arguments})
    model.configure_model()
    return model


def gradients(model, *batches):
    model.zero_grad()
    for batch in batches:
        (sum(model.losses(batch)) / len(batches)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}


def same(first, second, tolerance=1e-5):
    assert first.keys() == second.keys()
    assert first
    for name, value in first.items():
        assert torch.allclose(value, second[name], atol=tolerance), name


def test_the_loss_is_the_plain_one_over_a_full_forward_pass(tiny_base, store):
    model = student(tiny_base, store)
    batch = chats(ROWS)
    logits = model.net(batch.input_ids, attention_mask=batch.attention_mask).logits
    rows = [
        torch.nn.functional.cross_entropy(logits[at, len(p) - 1 : len(p) + len(a) - 1], torch.tensor(a))
        for at, (p, a) in enumerate(ROWS)
    ]
    assert model.losses(batch)[0].item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-5)


def test_accumulated_small_batches_give_the_gradient_of_the_large_one(tiny_base, store):
    model = student(tiny_base, store)
    same(gradients(model, chats(ROWS)), gradients(model, chats(ROWS[:2]), chats(ROWS[2:])))


def test_gradient_checkpointing_changes_nothing_but_memory(tiny_base, store):
    plain = gradients(student(tiny_base, store), chats(ROWS))
    model = student(tiny_base, store, gradient_checkpointing=True)
    assert model.net.training
    same(plain, gradients(model, chats(ROWS)))


def test_the_adapter_starts_as_nothing_and_its_first_weights_follow_the_seed(tiny_base, store):
    first, again, other = (student(tiny_base, store, seed=seed) for seed in (1, 1, 2))
    parts = [dict(model.net.named_parameters()) for model in (first, again, other)]
    down = [name for name in parts[0] if "lora_A" in name]
    assert all(not parts[0][name.replace("lora_A", "lora_B")].any() for name in down)
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in down)
    assert not any(torch.equal(parts[0][name], parts[2][name]) for name in down)


def test_only_the_layers_named_are_trained(tiny_base, store):
    lora = LoraConfig(r=4, target_modules=["q_proj"], layers_to_transform=[1], task_type="CAUSAL_LM")
    trained = gradients(student(tiny_base, store, lora=lora), chats(ROWS))
    assert trained
    assert all(".layers.1." in name for name in trained)


def test_untrained_answers_as_the_base_does_whatever_was_learned(tiny_base, store):
    from transformers import AutoModelForCausalLM

    model = student(tiny_base, store)
    for name, parameter in model.net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    ids = chats(ROWS).input_ids
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)(ids).logits
    assert not torch.allclose(model.net(ids).logits, base, atol=1e-3)
    with model.untrained():
        assert torch.allclose(model.net(ids).logits, base, atol=1e-5)


def test_full_fine_tuning_trains_saves_and_exports_every_weight(tiny_base, store, tmp_path):
    from transformers import AutoModelForCausalLM

    model = student(tiny_base, store, lora=None)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        next(model.net.parameters()).add_(1.0)
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert any("mlp" in name for name in checkpoint["state_dict"])
    model.export(tmp_path)
    ids = chats(ROWS).input_ids
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert torch.allclose(reloaded(ids).logits, model.net(ids).logits, atol=1e-5)


def test_a_target_that_the_base_lacks_is_an_error_of_the_user(tiny_base, store):
    with pytest.raises(KedrecError, match=r"model\.init_args\.lora: .*nonsense"):
        student(tiny_base, store, lora=LoraConfig(r=4, target_modules=["nonsense"], task_type="CAUSAL_LM"))


def test_without_the_answers_weight_choices_alone_are_learned(tiny_base, store):
    model = student(tiny_base, store, loss=LossWeights(answer=0.0, choice=2.0))
    logged = {}
    model.log = lambda name, value, **_: logged.update({name: float(value)})
    batch = chats(ROWS)
    answer, choice = (float(loss) for loss in model.losses(batch))
    assert float(model.training_step(batch, 0)) == pytest.approx(2 * choice)
    model.validation_step(batch, 0)
    assert logged["validation/loss"] == pytest.approx(choice) != pytest.approx(answer)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0)])
def test_weights_that_leave_nothing_to_learn_are_refused(tiny_base, weights):
    with pytest.raises(KedrecError, match=r"model\.init_args\.loss: answer"):
        Student(str(tiny_base), loss=LossWeights(*weights))


@pytest.mark.parametrize(("fast", "told"), [(True, "bfloat16"), (False, "float32")])
def test_a_base_is_loaded_in_what_the_machine_is_quickest_in_unless_told_otherwise(monkeypatch, fast, told):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": fast})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Student("smollm2").dtype_name == told
    assert Student("smollm2").dtype_on(gpu=True) == "bfloat16"
    assert Student("smollm2", dtype="float16").dtype_name == "float16"
