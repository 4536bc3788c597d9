"""What the data module hands on: batches, and settings that reach the prompts."""

import pytest

from kedrec.config import build, compose
from kedrec.errors import KedrecError
from tests.running import REPOSITORY


def _data(experiment, folder, *overrides):
    data = build(compose(experiment, [f"out={folder}", *overrides])).data
    data.setup("fit")
    return data


def test_the_two_orders_of_a_question_train_in_one_batch(tiny_experiment, tmp_path):
    # The whole sample: of few rows the two orders meet in any case, as they are equally long.
    data = _data(tiny_experiment, tmp_path, "data.init_args.pairs=${sample:pairs.parquet}")
    rows = data.encoded["train"]
    for batch in data.train_dataloader().batch_sampler:
        first, second = (rows[row].question for row in batch)
        assert first.pair == second.pair
        assert first.drugs == second.drugs[::-1]


def test_one_order_is_trained_where_both_are_not_wanted(tiny_experiment, tmp_path):
    rows = _data(tiny_experiment, tmp_path, "data.init_args.both_orders=false").encoded["train"]
    assert len({row.question.pair for row in rows}) == len(rows)


def test_the_order_of_passages_reaches_the_prompts(tiny_experiment, tmp_path):
    def first_letters(order):
        data = _data(tiny_experiment, tmp_path, f"data.init_args.passage_order={order}")
        texts = [data.encoded["train"][row].prompt for row in range(len(data.encoded["train"]))]
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(data.base)
        return {tokenizer.decode(text).split("[1] (")[1][0] for text in texts}

    assert first_letters("question") == {"A"}
    assert first_letters("nearest") == {"A", "B"}


def _trained(folder, seed):
    """The embeddings of a run over the sample's graph, made at random."""
    import torch
    from safetensors.torch import save_file

    lines = (REPOSITORY / "kedrec" / "sample" / "triples.tsv").read_text().splitlines()
    ids = sorted({entity for line in lines for entity in line.split("\t")[::2]})
    place = folder / f"run{seed}" / "embeddings"
    place.mkdir(parents=True)
    rows = torch.randn(len(ids), 8, generator=torch.Generator().manual_seed(seed))
    save_file({"entity": rows}, place / "embeddings.safetensors")
    (place / "entities.tsv").write_text("".join(f"{one}\n" for one in ids))
    return place.parent


def test_a_runs_embeddings_say_which_drugs_are_similar_and_a_second_source_contests_them(tiny_experiment, tmp_path):
    small = [
        f"data.init_args.{name}={value}"
        for name, value in {
            "pairs": "null",
            "rationales": "null",
            "limits": "{train: 20, validation: 5, test: 5}",
            "balanced": "false",
        }.items()
    ]
    plain = _data(tiny_experiment, tmp_path, *small).pairs
    first, second = (
        _data(tiny_experiment, tmp_path, *small, f"data.init_args.embeddings={_trained(tmp_path, seed)}").pairs
        for seed in (0, 1)
    )
    easy = _data(tiny_experiment, tmp_path, *small, "data.init_args.hardness=[30, 40]").pairs
    drawn = [[pair.irrelevant for pair in pairs] for pairs in (plain, first, second, easy)]
    assert len({tuple(one) for one in drawn}) == 4
    assert all([pair.relevant for pair in pairs] == [pair.relevant for pair in plain] for pairs in (first, easy))

    indications = tmp_path / "indications.tsv"
    indications.write_text("".join(f"{pair.irrelevant}\t{pair.disease}\n" for pair in plain[:2]))
    facts = _data(tiny_experiment, tmp_path, *small, f"data.init_args.indications={indications}").facts
    assert facts["contested negatives"].startswith(f"2 of {len(plain)} by ")
    assert plain[1].irrelevant in facts["contested negatives"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hardness": "[3, 3]"}, r"data\.init_args\.hardness: \[3, 3\]"),
        ({"embeddings": "runs/x", "negatives": "random"}, r"data\.init_args\.embeddings: "),
        ({"embeddings": "no/such", "pairs": "null"}, r"embeddings\.safetensors: no such file; expected the folder"),
    ],
)
def test_settings_that_cannot_be_are_named(tiny_experiment, tmp_path, settings, expected):
    with pytest.raises(KedrecError, match=expected):
        _data(tiny_experiment, tmp_path, *(f"data.init_args.{name}={value}" for name, value in settings.items()))
