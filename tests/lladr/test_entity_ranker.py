"""What the test of any ranking model leaves: figures with intervals, a record an answer, and the drugs it names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer

from kedrec.lladr.entity_ranker import Ranker
from kedrec.lladr.triple_data import TripleData
from tests.support.forked_command import run_ranks
from tests.support.nested_settings import built

TREATS = "DRUGBANK::treats::Compound:Disease"
DRUGS, DISEASES = 160, 30
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def graph(tmp_path, store):
    """Drugs of which few treat many diseases, and genes of diseases."""
    draw = np.random.default_rng(0)
    chance = 1 / np.arange(1, DRUGS + 1) ** 0.7
    edges = {
        (int(draw.choice(DRUGS, p=chance / chance.sum())), disease) for disease in range(DISEASES) for _ in range(9)
    }
    edges |= {(drug, drug % DISEASES) for drug in range(DRUGS)}
    lines = [f"Compound::{drug}\t{TREATS}\tDisease::{disease}" for drug, disease in sorted(edges)]
    lines += [f"Disease::{disease}\tHetionet::DaG::Disease:Gene\tGene::{disease % 4}" for disease in range(DISEASES)]
    (tmp_path / "triples.tsv").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


class Fixed(Ranker):
    """Scores by a rule of the number in an entity's name and in the disease's."""

    many_processes = True

    def __init__(self, rule):
        super().__init__(0)
        self.rule = rule

    def setup(self, stage):
        self.vocabulary = self.read_vocabulary()
        self.number = torch.tensor([int(name.partition("::")[2]) for name in self.vocabulary.entities])

    def answer_scores(self, entity, relation, missing, entities=None):
        answers = self.number if entities is None else self.number[entities]
        return self.rule(self.number[entity][:, None], answers[None, :]).double()


def popular(given, answer):
    return -(answer + 0 * given)


def spread(given, answer):
    return -((answer - 7 * given) % DRUGS)


def ranked(graph, rule, **processes):
    """The model and its figures."""
    data = built(
        TripleData,
        str(graph),
        loader__batch_size=4,
        negatives__chunks=2,
        split__test=0.3,
        split__validation=0.1,
        split__unseen_diseases=3,
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,  # data share themselves out, as in `fit`
        **processes,
    )
    model = Fixed(rule)
    (found,) = trainer.test(model, data, verbose=False)
    return model, found


def test_a_model_that_always_names_the_same_drugs_is_found_out(graph):
    same, other = (ranked(graph, rule)[1] for rule in (popular, spread))
    assert same["test/repurposing/top10_share"] > 0.8
    assert same["test/repurposing/top10_distinct"] < 20
    assert other["test/repurposing/top10_share"] < 0.35
    assert other["test/repurposing/top10_distinct"] > 5 * same["test/repurposing/top10_distinct"]
    assert same["test/pairs/by_degree/mrr"] == other["test/pairs/by_degree/mrr"] > 0


def test_figures_have_intervals_over_the_diseases_of_the_set(graph):
    model, found = ranked(graph, spread)
    ranks = model.records["ranks"]
    for name in ("pairs", "diseases"):
        of = [row for row in ranks if row["set"] == name]
        assert found[f"test/{name}/diseases"] == len({row["disease"] for row in of})
        assert len(of) == 2 * found[f"test/{name}/n"]
        for kind in ("all", "typed", "degree_matched", "by_degree", "lladr_published", "lladr_filtered"):
            for metric in ("mr", "mrr", "hits@1", "hits@3", "hits@10", "auc"):
                low, value, high = (found[f"test/{name}/{kind}/{metric}{end}"] for end in ("_low", "", "_high"))
                assert low <= value <= high
                assert low < high
        assert f"test/{name}/lladr_filtered/mrr_expected_low" in found
        assert f"test/{name}/degree_matched/n" in found
    parts = [
        name for name in found if name.endswith("/mrr") and {"head", "tail", "relation", "degree"} & {*name.split("/")}
    ]
    assert {name.split("/")[-2] for name in parts} >= {"head", "tail"}
    for name in parts:
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
        assert found[f"{name.removesuffix('mrr')}n"] > 0


def test_records_are_the_ranks_that_the_figures_are_the_means_of(graph):
    model, found = ranked(graph, spread)
    for name in ("pairs", "diseases"):
        for kind in ("all", "typed"):
            ranks = np.array([row[kind] for row in model.records["ranks"] if row["set"] == name])
            assert found[f"test/{name}/{kind}/mr"] == pytest.approx(ranks.mean())
            assert found[f"test/{name}/{kind}/mrr"] == pytest.approx((1 / ranks).mean())
    triples = {tuple(line.split("\t")) for line in (graph / "triples.tsv").read_text().splitlines()}
    for row in model.records["ranks"]:
        assert (row["head"], row["relation"], row["tail"]) in triples
        assert row["missing"] in ("head", "tail")
        assert row["disease"] == row["tail"]
        assert row["typed"] <= row["all"]
    assert json.loads(json.dumps(model.records)) == model.records


TOGETHER = """
import json
from pathlib import Path

import torch.distributed

from tests.lladr.test_entity_ranker import ranked, spread

model, found = ranked({graph!r}, spread, devices=2, strategy="ddp")
told = {{"ranks": model.records["ranks"], "rows": model.predictions, "found": found}}
Path({folder!r}, f"{{torch.distributed.get_rank()}}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_two_processes_leave_what_one_does(graph, tmp_path):
    model, found = ranked(graph, spread)
    script = tmp_path / "processes.py"
    script.write_text(TOGETHER.format(graph=str(graph), folder=str(tmp_path)))
    done = run_ranks(2, module=str(script))
    assert done.returncode == 0, done.stderr
    for process in (0, 1):
        told = json.loads((tmp_path / f"{process}.json").read_text())
        assert told == {"ranks": model.records["ranks"], "rows": model.predictions, "found": found}
