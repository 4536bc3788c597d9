"""Exports by the command, and what they must be like."""

import torch

from kedrec.export import main


def export(folder, form, place, *more):
    return main([str(folder), "--to", form, str(place), *map(str, more)])


def refused(capsys, place, *arguments):
    """The one line of an export that is refused and leaves nothing behind."""
    assert main([str(one) for one in arguments]) == 2
    found = capsys.readouterr()
    lines = [line for line in found.err.splitlines() if line.startswith("kedrec: ")]
    assert len(lines) == 1, found.err
    assert "Traceback" not in found.err
    if place is not None:
        assert not place.exists()
        assert not list(place.parent.glob(".*.partial"))
    return lines[0]


def prompts(tokenizer):
    texts = ("Which drug treats asthma, A or B?", "Disease: stroke\nA: aspirin\nB: insulin 12 units")
    return [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts]


def best_net(folder):
    """The run's model, put together from its checkpoint without kedrec.export."""
    from kedrec.training.experiment_objects import build
    from kedrec.training.loaded_run import load_best, open_run

    finished = open_run(folder)
    model = build(finished.experiment).model
    model.configure_model()
    load_best(finished, model)
    return model.net.float().eval(), model.tokenizer


def loaded_data_and_student(folder):
    """The run's data, ready for a test, and its student with its best weights."""
    from kedrec.training.experiment_objects import build
    from kedrec.training.loaded_run import load_best, make_ready, open_run

    finished = open_run(folder)
    built = build(finished.experiment)
    make_ready(built.data)
    built.model.configure_model()
    load_best(finished, built.model)
    return built.data, built.model


def largest_difference(one, other, tokenizer):
    with torch.inference_mode():
        return max(float((one(ids).logits - other(ids).logits).abs().max()) for ids in prompts(tokenizer))
