"""An export behind a real server answers as the run does."""

import json

import pytest

from kedrec.export import main
from tests.support.exported_forms import loaded_data_and_student
from tests.support.trained_runs import trained
from tests.support.transformers_server import ask, transformers_serve

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi", reason="transformers serve needs the extra: pip install kedrec[serving]")
pytest.importorskip("uvicorn", reason="transformers serve needs the extra: pip install kedrec[serving]")


@pytest.fixture(scope="module")
def lively_base(tiny_base, tmp_path_factory):
    """The tiny LLaMA with weights so large that what it writes depends on all that it was asked."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("lively")
    config = AutoConfig.from_pretrained(tiny_base)
    config.initializer_range, config.tie_word_embeddings = 0.5, False
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


def test_a_server_writes_the_tokens_that_the_runs_own_model_writes(tiny_experiment, lively_base, tmp_path):
    """The tiny model is noise and chooses nothing: its likeliest tokens, one after the other, are what can be told."""
    import torch

    folder = trained(tiny_experiment, f"model.init_args.base={lively_base}", "trainer.max_epochs=1")
    place = tmp_path / "merged"
    assert main([str(folder), "--to", "merged", str(place), "--dtype", "float32"]) == 0
    data, student = loaded_data_and_student(folder)
    request = {**json.loads((place / "example.json").read_text()), "max_tokens": 12}
    prompt = torch.tensor([data.encoded["test"][0].prompt])
    net = student.net.float().eval()
    with torch.inference_mode():
        tokens = net.generate(input_ids=prompt, do_sample=False, max_new_tokens=12)[0, prompt.shape[1] :]
    expected = student.tokenizer.decode(tokens, skip_special_tokens=True)
    with transformers_serve(place, tmp_path / "log") as url:
        assert ask(url, request) == expected
        other = [dict(request["messages"][0]), {"role": "user", "content": "Something else altogether."}]
        assert ask(url, {**request, "messages": other}) != expected
