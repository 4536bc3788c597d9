"""Scores over the shared cache are the naive ones; the continuation is plain greedy decoding."""

import math

import pytest
import torch

from kedrec.kedrec_lm.decoding import choose_and_explain, last_position
from kedrec.kedrec_lm.question_batches import Question, QuestionBatch
from kedrec.kedrec_lm.student_losses import answer_loss, choice_loss
from kedrec.kedrec_lm.vocabulary_projection import projected_only_at

PROMPTS = [[5, 9, 17, 33, 40], [7, 8], [100, 101, 102]]
ANSWERS = [([11, 12, 13], [14]), ([20], [21, 22]), ([30, 31], [32, 33])]


@pytest.fixture(scope="module")
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base).eval()


@pytest.fixture(scope="module")
def batch():
    ids, mask = _padded(PROMPTS)
    answers, answers_mask = _padded([answer for pair in ANSWERS for answer in pair])
    question = Question("p", "d", ("a", "b"), 0, False, "", (), {})
    return QuestionBatch(ids, mask, answers.view(3, 2, -1), answers_mask.view(3, 2, -1), [question] * 3)


def _padded(rows):
    width = max(map(len, rows))
    ids = torch.tensor([row + [2] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def test_scores_equal_one_forward_pass_an_answer(model, batch):
    decoded = choose_and_explain(model, batch, torch.zeros(3, dtype=torch.bool), 0, end=2)
    for row, (prompt, answers) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        for side, answer in enumerate(answers):
            with torch.inference_mode():
                logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
            expected = sum(logits[len(prompt) - 1 + at, token] for at, token in enumerate(answer))
            assert decoded.scores[row, side].item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("after", [None, torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1])])
def test_continuation_equals_generate_on_the_row_alone(model, batch, after):
    decoded = choose_and_explain(model, batch, torch.tensor([True, False, True]), 12, end=2, after=after)
    assert decoded.continuation[1] == []
    for row in (0, 2):
        chosen = ANSWERS[row][int(decoded.scores[row].argmax() if after is None else after[row])]
        start = torch.tensor([PROMPTS[row] + chosen])
        out = model.generate(
            start,
            attention_mask=torch.ones_like(start),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=2,
        )
        expected = out[0, start.shape[1] :].tolist()
        assert decoded.continuation[row] == [token for token in expected if token != 2]


def test_a_row_ends_at_its_end_token_and_leaves_the_others_alone(model, batch):
    free = choose_and_explain(model, batch, torch.ones(3, dtype=torch.bool), 12, end=-1).continuation
    end = free[0][3]
    cut = choose_and_explain(model, batch, torch.ones(3, dtype=torch.bool), 12, end=end).continuation
    for before, after in zip(free, cut, strict=True):
        assert after == (before[: before.index(end)] if end in before else before)


def test_projection_gives_the_logits_of_the_chosen_positions_and_leaves_the_model_as_it_was(model, batch):
    full = model(batch.input_ids).logits
    wanted = last_position(batch.attention_mask)
    assert wanted.nonzero().tolist() == [[row, len(prompt) - 1] for row, prompt in enumerate(PROMPTS)]
    with projected_only_at(model, wanted):
        some = model(batch.input_ids).logits
    assert torch.allclose(some[0], full[wanted], atol=1e-6)
    assert model(batch.input_ids).logits.shape == full.shape


def _losses(logits, labels, decisive, rivals):
    chosen = logits[labels != -100]
    return answer_loss(chosen, labels), choice_loss(chosen, labels, decisive, rivals)


def test_losses_do_not_depend_on_how_rows_are_batched():
    torch.manual_seed(0)
    labels = torch.tensor([[-100, 3, 4, -100], [-100, -100, 5, 6], [-100, 1, 2, 3]])
    decisive = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]).bool()
    rivals = torch.tensor([8, 7, 6])
    logits = torch.randn(*labels.shape, 9)
    whole = _losses(logits, labels, decisive, rivals)
    parts = [
        _losses(*(part[row : row + 1] for part in (logits, labels, decisive)), rivals[row : row + 1])
        for row in range(3)
    ]
    for at in (0, 1):
        assert whole[at].item() == pytest.approx(torch.stack([part[at] for part in parts]).mean().item(), rel=1e-5)


def test_losses_by_hand():
    labels, decisive, rivals = torch.tensor([[0, 1]]), torch.tensor([[True, False]]), torch.tensor([2])
    logits = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    answer, choice = _losses(logits, labels, decisive, rivals)
    nats = torch.nn.functional.cross_entropy(logits[0], labels[0], reduction="none")
    assert answer.item() == pytest.approx(nats.mean().item())
    assert choice.item() == pytest.approx(math.log(1 + math.exp(-1.0)))
