"""The embedding module: its step against plain formulas, its optimisers, its anchors, several processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality, Vocabulary
from kedrec.lladr.kge import KGE
from kedrec.lladr.negative_sampling import TripleBatches
from kedrec.lladr.triple_settings import NegativeSettings
from kedrec.training.base_classes import ExperimentData
from tests.support.forked_command import run_ranks
from tests.support.nested_settings import built

ENTITIES, RELATIONS, DIM = 40, 3, 8
REPOSITORY = Path(__file__).parents[2]


class Graph(ExperimentData):
    """Triples of a ring: entity + relation step = entity."""

    def __init__(self, anchors=(), batch_size=20, chunks=4, negatives=6):
        super().__init__()
        heads, kinds = (part.ravel() for part in np.meshgrid(np.arange(ENTITIES), np.arange(RELATIONS)))
        self.triples = np.stack([heads, kinds, (heads + kinds + 1) % ENTITIES], axis=1).astype(np.int32)
        names = [f"Disease::{row}" for row in range(ENTITIES)]
        self.vocabulary = Vocabulary(names, [f"r{row}" for row in range(RELATIONS)], names, list(anchors))
        self.sizes = (NegativeSettings(negatives, chunks), batch_size)

    def train_dataloader(self):
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        weight = torch.linspace(0.5, 1.5, len(self.triples))
        triples = torch.from_numpy(self.triples)
        return TripleBatches(triples, weight, None, ENTITIES, *self.sizes, None, 0, rank, world)


def anchors(dim=DIM, everyone=False):
    draw = np.random.default_rng(0)
    known = (np.arange(ENTITIES) % 5 > 0) | everyone
    vectors = draw.standard_normal((ENTITIES, dim), dtype=np.float32) * known[:, None]
    return [Modality("name", vectors, known), Modality("description", -vectors, known)]


def fitted(model, data, steps):
    """The trainer, after so many steps on the CPU that leave no files."""
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(model, data)
    return trainer


def trained(data, steps=10, **settings):
    model = built(KGE, **{"scorer": "transe_l1", "dim": DIM, "optimizer__drop_after": 2.0, **settings})
    return model, fitted(model, data, steps)


def authors(data, steps, rate, rho, zeta_anchor, zeta_link, gamma=12.0):
    """Training as the paper and its code have it: a learned table beside a frozen one, dense Adam, plain sums."""
    model, _ = trained(data, steps=1, anchor__rho=rho)
    reach = model.scorer.range
    generator = torch.Generator().manual_seed(0)
    learned = torch.empty(ENTITIES, DIM).uniform_(-reach, reach, generator=generator).requires_grad_()
    relation = torch.empty(RELATIONS, DIM).uniform_(-reach, reach, generator=generator).requires_grad_()
    text = model.anchors.vectors if model.anchors is not None else torch.zeros(ENTITIES, DIM)
    known = text.any(1)
    optimizer = torch.optim.Adam([learned, relation], lr=rate)

    def mixed():
        return rho * learned + (1 - rho) * text

    batches = data.train_dataloader()
    taken = 0
    while taken < steps:
        for batch in batches:
            if taken == steps:
                break
            taken += 1
            entity = mixed()
            total, weights, pull, pulled = 0.0, 0.0, 0.0, 0
            share = len(batch.head) // len(batch.negatives)
            for row in range(len(batch.head)):
                head, kind, tail = (int(column[row]) for column in (batch.head, batch.relation, batch.tail))
                score = gamma - (entity[head] + relation[kind] - entity[tail]).abs().sum()
                wrong = []
                for other in batch.negatives[row // share].tolist():
                    ends = (other, tail) if batch.side == "head" else (head, other)
                    wrong.append(gamma - (entity[ends[0]] + relation[kind] - entity[ends[1]]).abs().sum())
                wrong = torch.stack(wrong)
                p = wrong.detach().softmax(0)
                term = torch.nn.functional.logsigmoid(score) + (p * torch.nn.functional.logsigmoid(-wrong)).sum()
                total = total - batch.weight[row] * term / 2
                weights = weights + batch.weight[row]
                kept = tail if batch.side == "head" else head
                if known[kept]:
                    pull = pull + 1 - torch.cosine_similarity(entity[kept], text[kept], dim=0)
                    pulled += 1
            loss = zeta_link * total / weights + zeta_anchor * pull / max(pulled, 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return mixed().detach(), relation.detach()


@pytest.mark.parametrize("chunks", [20, 4], ids=["independent", "shared"])
def test_with_dense_adam_it_trains_as_the_authors_do(chunks):
    """Their learned table and their frozen one, against our one table of mixed rows at rho times the rate."""
    data = Graph(anchors(everyone=True), chunks=chunks)
    model, _ = trained(data, steps=10, optimizer__name="adam", optimizer__learning_rate=0.01, anchor__rho=0.6)
    entity, relation = authors(data, 10, 0.01, 0.6, 0.5, 1.8)
    torch.testing.assert_close(model.relation.weight.detach(), relation, atol=5e-4, rtol=0)
    torch.testing.assert_close(model.entity_table(), entity, atol=5e-4, rtol=0)


def test_without_anchors_the_rows_are_learned_alone():
    data = Graph()
    model, trainer = trained(data, steps=10, optimizer__name="adam", optimizer__learning_rate=0.01, anchor__rho=0.6)
    entity, _ = authors(data, 10, 0.01, 1.0, 0.0, 1.8)
    torch.testing.assert_close(model.entity_table(), entity, atol=5e-4, rtol=0)
    assert "train/anchor_loss" not in trainer.callback_metrics


def test_a_pull_of_weight_nothing_leaves_the_rows_as_without_it():
    none, zero = (
        trained(Graph(anchors()), **pull)[0].entity_table()
        for pull in ({"anchor__distance": None}, {"anchor__zeta": 0.0})
    )
    assert torch.equal(none, zero)


def test_the_pull_brings_rows_nearer_to_their_anchors():
    def cosine(zeta):
        adam = {"optimizer__name": "adam", "optimizer__learning_rate": 0.01}
        model, _ = trained(Graph(anchors()), steps=60, anchor__zeta=zeta, **adam)
        known = model.anchors.known[:, 0]
        return torch.cosine_similarity(model.entity_table()[known], model.anchors.vectors[known]).mean()

    assert cosine(20.0) > cosine(0.0) + 0.05


@pytest.mark.parametrize("projection", ["slice", "pca", "learned"])
def test_rho_nothing_leaves_the_anchor_alone(projection):
    model, _ = trained(Graph(anchors()), anchor__rho=0.0, anchor__projection=projection)
    rows = model.anchors.known[:, 0].nonzero().squeeze(1)
    torch.testing.assert_close(model.entity_table()[rows], model.anchors(rows)[0].detach())


def test_a_learned_projection_is_trained():
    model, _ = trained(Graph(anchors()), anchor__projection="learned")
    again, _ = trained(Graph(anchors()), steps=0, anchor__projection="learned")
    for moved, first in zip(model.anchors.matrices, again.anchors.matrices, strict=True):
        assert not torch.equal(moved, first)


@pytest.mark.parametrize("optimizer", ["adagrad", "lazy_adam", "adam"])
@pytest.mark.parametrize("scorer", ["transe_l1", "transe_l2", "distmult", "complex", "rotate", "protate", "hake"])
def test_every_scorer_learns_with_every_optimizer(scorer, optimizer):
    rate = 0.1 if optimizer == "adagrad" else 0.02
    data = Graph()
    losses = []
    for steps in (1, 60):
        chosen = {"optimizer__name": optimizer, "optimizer__learning_rate": rate}
        _, trainer = trained(data, steps=steps, scorer=scorer, gamma=6.0, **chosen)
        losses.append(float(trainer.callback_metrics["train/link_loss"]))
    assert losses[1] < 0.9 * losses[0]


def test_bfloat16_trains_the_same_within_its_precision():
    data = Graph()
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        model = built(KGE, "distmult", dim=DIM, optimizer__learning_rate=0.05)
        trainer = Trainer(
            accelerator="cpu", max_steps=50, precision=precision, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
        )  # fmt: skip
        trainer.fit(model, data)
        assert model.entity.weight.dtype == torch.float32
        losses.append(float(trainer.callback_metrics["train/link_loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


PROCESSES = """
import sys, torch
from lightning import Trainer
from tests.lladr.test_kge import Graph, KGE, DIM, built

if __name__ == "__main__":
    world, out = int(sys.argv[1]), sys.argv[2]
    model = built(KGE, "transe_l1", dim=DIM, optimizer__drop_after=2.0, adversarial_temperature=None)
    trainer = Trainer(
        accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto", max_steps=60, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )
    trainer.fit(model, Graph(batch_size=20 // world, chunks=2 // world))
    if trainer.is_global_zero:
        torch.save({"entity": model.entity.weight.detach(), "loss": trainer.callback_metrics["train/link_loss"]}, out)
"""


@pytest.mark.slow
def test_two_processes_learn_as_well_as_one(tmp_path):
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    found = []
    for world in (1, 2):
        out = tmp_path / f"{world}.pt"
        done = run_ranks(world, world, out, module=str(script))
        assert done.returncode == 0, done.stderr
        found.append(torch.load(out, weights_only=True))
    assert float(found[1]["loss"]) == pytest.approx(float(found[0]["loss"]), rel=0.25)
    assert float(found[1]["loss"]) < 0.9 * float(trained(Graph(), steps=1)[1].callback_metrics["train/link_loss"])


def test_entities_without_an_anchor_are_learned_alone():
    data, alone = Graph(anchors()), Graph()
    mixed, plain = (trained(each, steps=0)[0] for each in (data, alone))
    known = torch.from_numpy(anchors()[0].known)
    assert torch.equal(mixed.entity_table()[~known], plain.entity_table()[~known])
    assert not torch.equal(mixed.entity_table()[known], plain.entity_table()[known])


@pytest.mark.parametrize(
    "settings", [{"anchor__rho": 2.0}, {"dim": 0}, {"gamma": -3.0}, {"optimizer__learning_rate": -1.0}]
)
def test_settings_out_of_range_name_their_key(settings):
    (name,) = settings
    with pytest.raises(KedrecError, match="model.init_args." + name.replace("__", ".")):
        built(KGE, **{"scorer": "transe_l1", **settings})


def test_clipping_of_rows_is_refused_in_one_line():
    trainer = Trainer(accelerator="cpu", max_steps=1, gradient_clip_val=1.0, logger=False, enable_checkpointing=False)
    with pytest.raises(KedrecError, match=r"trainer\.gradient_clip_val"):
        trainer.fit(KGE("transe_l1", dim=DIM), Graph())


@pytest.mark.parametrize("projection", ["pca", "learned"])
def test_entities_that_training_has_not_seen_are_settled_for_the_test(projection):
    model, _ = trained(Graph(anchors(everyone=True)), anchor__projection=projection, unseen_neighbours=2)
    model.vocabulary = Graph().vocabulary
    before = model.entity_table().clone()
    seen = np.array([[row, 0, row] for row in range(ENTITIES) if row not in (4, 9)])
    model.initialise_unseen(seen)
    after = model.entity_table().clone()
    moved = (after - before).abs().amax(1) > 1e-6
    assert moved.nonzero().flatten().tolist() == [4, 9]
    model.initialise_unseen(seen)
    torch.testing.assert_close(model.entity_table(), after)
    anchor, known = model.anchors(torch.tensor([4]))
    learned = (after[4] - (1 - model.anchor.rho) * anchor[0] * known[0]) / model.anchor.rho
    others = (
        before - (1 - model.anchor.rho) * torch.where(known, model.anchors(torch.arange(ENTITIES))[0], 0.0)
    ) / model.anchor.rho
    lengths = others.norm(dim=1)
    assert lengths.min() <= learned.norm() <= lengths.max()
