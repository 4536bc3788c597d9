"""What the data module hands on: batches, and settings that reach the prompts."""

from kedrec.config import build, compose


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
