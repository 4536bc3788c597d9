"""What the data module hands on: batches, and settings that reach the prompts."""

import numpy as np
import pytest

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Vocabulary
from kedrec.lladr.kge import KGE
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY


def _data(experiment, folder, *overrides):
    data = build(compose(experiment, [f"out={folder}", *overrides])).data
    data.setup("fit")
    return data


def test_the_two_orders_of_a_question_train_in_one_batch(tiny_experiment, tmp_path):
    # The whole sample: of few rows the two orders meet in any case, as they are equally long.
    data = _data(tiny_experiment, tmp_path, "data.init_args.pairs.file=${sample:pairs.parquet}")
    rows = data.encoded["train"]
    for batch in data.train_dataloader().batch_sampler:
        first, second = (rows[row].question for row in batch)
        assert first.pair == second.pair
        assert first.drugs == second.drugs[::-1]


def test_one_order_is_trained_where_both_are_not_wanted(tiny_experiment, tmp_path):
    rows = _data(tiny_experiment, tmp_path, "data.init_args.loader.both_orders=false").encoded["train"]
    assert len({row.question.pair for row in rows}) == len(rows)


def test_the_order_of_passages_reaches_the_prompts(tiny_experiment, tmp_path):
    def first_letters(order):
        data = _data(tiny_experiment, tmp_path, f"data.init_args.prompt.passage_order={order}")
        texts = [data.encoded["train"][row].prompt for row in range(len(data.encoded["train"]))]
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(data.base)
        return {tokenizer.decode(text).split("[1] (")[1][0] for text in texts}

    assert first_letters("question") == {"A"}
    assert first_letters("nearest") == {"A", "B"}


def _trained(folder, seed):
    """The embeddings of a run over the sample's graph, made at random."""
    lines = (REPOSITORY / "kedrec" / "sample" / "triples.tsv").read_text().splitlines()
    ids = sorted({entity for line in lines for entity in line.split("\t")[::2]})
    kinds = sorted({line.split("\t")[1] for line in lines})
    model = KGE("distmult", dim=8, seed=seed)
    every = np.array([[ids.index(h), kinds.index(r), ids.index(t)] for h, r, t in (line.split("\t") for line in lines)])
    model.vocabulary = Vocabulary(ids, kinds, ids, [], every[::2].astype(np.int32))
    model.make_tables(len(ids), len(kinds))
    (folder / f"run{seed}").mkdir()
    model.export(folder / f"run{seed}")
    return folder / f"run{seed}"


def test_a_runs_embeddings_say_which_drugs_are_similar_and_a_second_source_contests_them(tiny_experiment, tmp_path):
    small = [
        f"data.init_args.{name}={value}"
        for name, value in {
            "pairs.file": "null",
            "rationales": "null",
            "pairs.limits": "{train: 20, validation: 5, test: 5}",
            "pairs.balanced": "false",
        }.items()
    ]
    plain = _data(tiny_experiment, tmp_path, *small).pairs
    learned = [
        _data(tiny_experiment, tmp_path, *small, f"data.init_args.pairs.embeddings={_trained(tmp_path, seed)}")
        for seed in (0, 1)
    ]
    first, second = (data.pairs for data in learned)
    spoken = {"embeddings" in row.question.heuristics for row in learned[0].encoded["train"]}
    assert spoken == {True, False}  # half of the graph was trained on
    easy = _data(tiny_experiment, tmp_path, *small, "data.init_args.pairs.hardness=[30, 40]").pairs
    drawn = [[pair.irrelevant for pair in pairs] for pairs in (plain, first, second, easy)]
    assert len({tuple(one) for one in drawn}) == 4
    assert all([pair.relevant for pair in pairs] == [pair.relevant for pair in plain] for pairs in (first, easy))

    indications = tmp_path / "indications.tsv"
    indications.write_text("".join(f"{pair.irrelevant}\t{pair.disease}\n" for pair in plain[:2]))
    facts = _data(tiny_experiment, tmp_path, *small, f"data.init_args.pairs.indications={indications}").facts
    assert facts["contested negatives"].startswith(f"2 of {len(plain)} by ")
    assert plain[1].irrelevant in facts["contested negatives"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pairs.hardness": "[3, 3]"}, r"data\.init_args\.pairs\.hardness: \[3, 3\]"),
        ({"pairs.hardness": "[5, 20]"}, r"data\.init_args\.pairs\.hardness: balanced sampling"),
        (
            {"pairs.embeddings": "no/such", "pairs.file": "null"},
            r"embeddings\.safetensors: no such file; expected the folder",
        ),
    ],
)
def test_settings_that_cannot_be_are_named(tiny_experiment, tmp_path, settings, expected):
    with pytest.raises(KedrecError, match=expected):
        _data(tiny_experiment, tmp_path, *(f"data.init_args.{name}={value}" for name, value in settings.items()))
