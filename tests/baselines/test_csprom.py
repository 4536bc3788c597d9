"""CSProm-KG as a Lightning module: a frozen encoder, prompts that matter, rows that learn."""

from dataclasses import replace

import pytest
import torch
from lightning import Trainer

from kedrec.baselines.conve import ConvE
from kedrec.baselines.csprom import CSProm
from kedrec.errors import KedrecError
from kedrec.evaluation.link_prediction_metrics import RankingReport
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.lladr.triple_data import TripleData
from kedrec.lladr.triple_settings import AnchorSettings
from kedrec.training.base_classes import ExperimentData
from tests.conftest import WORDS
from tests.lladr.test_kge import ENTITIES, RELATIONS, Graph, fitted
from tests.support.nested_settings import built

ASKED = (torch.tensor([5, 11, 5]), torch.tensor([0, 2, 1]), "tail")


class Told(Graph):
    """The same ring, with names and some descriptions in the tiny encoder's words."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        words = [word for word in WORDS if word.isalpha()]
        names = [f"{words[row % 20]} {words[row // 20 + 3]}" for row in range(ENTITIES)]
        told = ["" if row % 2 else f"{words[row % 7]} treats {names[row]} in adults" for row in range(ENTITIES)]
        self.vocabulary = replace(self.vocabulary, names=names, descriptions=told)


@pytest.fixture
def made(tiny_encoder_folder):
    def make(vocabulary=None, **settings):
        model = built(CSProm, **{"encoder": str(tiny_encoder_folder), "dim": 16, "prompt_hidden": 32, **settings})
        model.make_parts(vocabulary or Told().vocabulary)
        return model.eval()

    return make


def test_only_prompts_rows_and_scorer_are_trained_and_kept(made, tiny_encoder_folder, tmp_path):
    from safetensors.torch import load_file

    before = made(optimizer__learning_rate=0.01).state_dict()
    model = made(optimizer__learning_rate=0.01).train()
    trainer = fitted(model, Told(), 5)
    assert model.training
    assert not any(part.training for part in model.encoder.modules())
    frozen = load_file(tiny_encoder_folder / "model.safetensors")
    for name, value in model.encoder.net.state_dict().items():
        assert torch.equal(value, frozen[name]), name
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.partition(".")[0] for name in trained} == {
        "entity", "relation", "bias", "prompter", "projection", "scorer",
    }  # fmt: skip
    for name in trained:
        assert not torch.equal(model.state_dict()[name], before[name]), name
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    kept = torch.load(tmp_path / "one.ckpt", weights_only=True)["state_dict"]
    assert kept.keys() == {name for name in model.state_dict() if not name.startswith("encoder.")}
    assert {"scorer.first_norm.running_mean"} <= kept.keys()


def test_prompts_texts_and_both_rows_decide_the_scores(made):
    model = made()
    before = model.answer_scores(*ASKED)
    for change in ("texts", "relation_texts", "entity", "relation"):
        model = made()
        if change == "texts":
            model.texts[5] = "warfarin causes pain"
        elif change == "relation_texts":
            model.relation_texts[0] = model.relation_texts[1] = "prevents"
        else:
            table = model.entity if change == "entity" else model.relation
            with torch.no_grad():
                table.weight[[5] if change == "entity" else [0, 1]] += 1.0
        moved = (model.answer_scores(*ASKED, torch.tensor([1, 2])) - before[:, 1:3]).abs().amax(1) > 1e-6
        assert moved.tolist() == [True, False, True], change


def test_every_layer_reads_its_own_prompts(made):
    model = made()
    before = model.answer_scores(*ASKED)
    for layer in range(2):
        changed = made()
        with torch.no_grad():
            changed.prompter.make[2].weight.view(*changed.prompter.shape, -1)[layer] += 0.1
        assert not torch.allclose(changed.answer_scores(*ASKED), before, atol=1e-5), layer
    tokens = model.encoder.tokenize(["asthma"], ["treats"], 64)
    prompts = torch.zeros(1, 2, 3, 32)
    assert model.encoder(tokens, prompts).shape == (1, 3, 32)


def test_padding_is_not_read(made):
    """A query scores the same alone and beside one with a longer text."""
    model = made()
    assert len(model.texts[11]) != len(model.texts[6])
    both = model.answer_scores(torch.tensor([11, 6]), torch.tensor([0, 0]), "head")
    alone = [model.answer_scores(torch.tensor([one]), torch.tensor([0]), "head") for one in (11, 6)]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-5, rtol=0)
    some = torch.tensor([9, 4])
    picked = model.answer_scores(torch.tensor([11, 6]), torch.tensor([0, 0]), "head", some)
    torch.testing.assert_close(picked, both[:, some])


@pytest.mark.parametrize("side", ["head", "tail"])
def test_the_loss_is_of_the_replaced_side_and_of_true_triples_alone(side, made):
    model = made(label_smoothing=0.2)
    batch = replace(next(iter(Told().train_dataloader())), side=side)
    given, wanted = (batch.tail, batch.head) if side == "head" else (batch.head, batch.tail)
    logs = model.answer_scores(given, batch.relation, side).log_softmax(1)
    plain = -logs.gather(1, wanted.unsqueeze(1)).mean()
    loss = model.loss(batch)
    torch.testing.assert_close(loss, 0.8 * plain - 0.2 * logs.mean(), atol=1e-5, rtol=0)
    others = replace(batch, negatives=batch.negatives.flip(1), weight=batch.weight.flip(0))
    assert torch.equal(model.loss(others), loss)
    loss.backward()
    used = model.relation.weight.grad.abs().sum(1).bool()
    rows = batch.relation.unique() + (RELATIONS if side == "head" else 0)
    assert used.nonzero().flatten().tolist() == rows.tolist()


@pytest.mark.parametrize("scorer", ["conve", "distmult", "complex"])
def test_it_learns_which_entities_are_the_answers(scorer, tiny_encoder_folder):
    data = Told(batch_size=60, chunks=1, negatives=1)
    torch.manual_seed(0)
    settings = {"dim": 32, "prompt_hidden": 64, "dropout": 0.0, "optimizer__learning_rate": 0.02}
    model = built(CSProm, encoder=str(tiny_encoder_folder), scorer=scorer, **settings)
    fitted(model, data, 150)
    model.eval()
    triples = torch.from_numpy(data.triples).long()
    rows, every = torch.arange(len(triples)), torch.arange(ENTITIES)
    head, relation, tail = triples.unbind(1)
    batch = RankingBatch("ring", "head", tail, relation, every, rows, rows, head, torch.ones_like(rows), rows, head)
    report = RankingReport(0, data.vocabulary.relations)
    report.add(model.scores(batch), batch)
    assert report.metrics()["ring/all/mrr"] > 0.5  # 0.1 by chance


def test_conve_is_a_convolution_over_alternating_lines():
    torch.manual_seed(0)
    scorer = ConvE(12, filters=4).eval()
    entity, relation = torch.randn(2, 5, 12)
    picture = torch.stack([entity.view(5, 3, 4), relation.view(5, 3, 4)], dim=2).reshape(5, 1, 6, 4)
    norms = (scorer.first_norm, scorer.convolution[1], scorer.projection[2])
    assert (scorer.height, scorer.width) == (3, 4)
    with torch.no_grad():
        kept = torch.nn.functional.conv2d(norms[0](picture), scorer.convolution[0].weight, padding=1)
        hidden = norms[1](kept).relu().flatten(1) @ scorer.projection[0].weight.T
        torch.testing.assert_close(scorer.query(entity, relation, "tail"), norms[2](hidden).relu())


def test_the_encoder_may_be_cut(made):
    assert made(layers=1).encoder.layers == 1
    with pytest.raises(KedrecError, match=r"^model\.init_args\.layers: 3; the encoder .* has 2$"):
        made(layers=3)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"dim": 0}, "dim"),
        ({"prompts": 0}, "prompts"),
        ({"layers": 0}, "layers"),
        ({"max_tokens": 4}, "max_tokens"),
        ({"max_tokens": 65}, "max_tokens"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"optimizer__learning_rate": 0.0}, r"optimizer\.learning_rate"),
    ],
)
def test_impossible_settings_name_their_key(settings, key, made):
    with pytest.raises(KedrecError, match=rf"^model\.init_args\.{key}: "):
        made(**settings)


def test_an_encoder_that_is_no_bert_is_refused(tiny_base, made):
    with pytest.raises(KedrecError, match=r"^model\.init_args\.encoder: .*'llama'; expected a BERT"):
        made(encoder=str(tiny_base))


def test_data_without_a_vocabulary_are_refused(tiny_encoder_folder):
    class Bare(ExperimentData):
        train_dataloader = Graph.train_dataloader

    trainer = Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False)
    with pytest.raises(KedrecError, match=r"^data\.class_path: Bare has no graph's vocabulary; use TripleData$"):
        trainer.fit(CSProm(encoder=str(tiny_encoder_folder)), Bare())


@pytest.mark.parametrize("masked", [None, 0.0, 1.0])
def test_data_tell_descriptions_and_withhold_those_that_are_masked(masked, tiny_encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KEDREC_STORE", str(tmp_path / "store"))
    (tmp_path / "train.txt").write_text("Gene::1\tr\tGene::2\nGene::2\tr\tGene::3\n")
    for name in ("valid", "test"):
        (tmp_path / f"{name}.txt").write_text("Gene::1\tr\tGene::3\n")
    rows = ["entity\tname\tsynonyms\tdescription", "Gene::2\taspirin\t\ttreats pain", "Gene::3\tinsulin\t\t"]
    (tmp_path / "entities.tsv").write_text("\n".join(rows) + "\n")
    text = {} if masked is None else {"anchors": AnchorSettings(["text"], str(tiny_encoder_folder), masked=masked)}
    data = built(TripleData, str(tmp_path), relations=[], loader__batch_size=1, negatives__chunks=1, **text)
    data.setup("fit")
    told = dict(zip(data.vocabulary.entities, data.vocabulary.descriptions, strict=True))
    assert told == {"Gene::1": "", "Gene::2": "" if masked else "treats pain", "Gene::3": ""}
