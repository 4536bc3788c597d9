"""Models small enough to be made at random for a test run, and an experiment that uses them."""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.support import process_guard
from tests.support.shared_between_workers import made_once, shared_root
from tests.support.small_data_set import write_small_data_set
from tests.support.small_lladr import write_small_lladr

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Started in the background, as by nohup, a process and its children are deaf to Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def pytest_configure():
    process_guard.install()


def pytest_collection_modifyitems(items):
    """Mark what is slow by its kind; the longest tests first, so that no worker is left alone with them at the end."""
    for item in items:
        if any(item.get_closest_marker(kind) for kind in ("real_weights", "slurm")):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("real_weights") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    process_guard.guard(item)
    try:
        return (yield)
    finally:
        process_guard.unguard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a fast test that started a process even where the refusal was caught."""
    found = yield
    if started := process_guard.started():
        pytest.fail(f"started a process without being marked slow: {'; '.join(started)}")
    return found


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A LLaMA of 2 layers and 32 dimensions with a byte-level tokenizer of its own and a chat template."""
    return made_once(shared_root(tmp_path_factory) / "tiny_base", _write_tiny_base)


def _write_tiny_base(folder):
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train([str(REPOSITORY / "kedrec" / "sample" / "passages.jsonl")], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=fast.eos_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A store that all tests of one run share; named in the environment, as a user would."""
    folder = shared_root(tmp_path_factory) / "store"
    folder.mkdir(exist_ok=True)
    os.environ["KEDREC_STORE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_experiment(tmp_path_factory, tiny_base, tiny_encoder_folder, store):
    """The default experiment in little: the sample, cut to a few pairs, and the tiny models."""

    def write(folder):
        folder.mkdir()
        _write_tiny_experiment(folder, tiny_base, tiny_encoder_folder)

    return made_once(shared_root(tmp_path_factory) / "tiny_experiment", write) / "tiny.yaml"


def _write_tiny_experiment(folder, base, encoder):
    from kedrec.splits.pairs import load_pairs, save_pairs

    pairs = load_pairs(REPOSITORY / "kedrec" / "sample" / "pairs.parquet")
    few = {"train": 10, "validation": 2, "test": 3}
    save_pairs([pair for split, n in few.items() for pair in [p for p in pairs if p.split == split][:n]], folder / "p")
    content = {
        "use": {"model": "student_smollm2", "data": "sample", "trainer": "laptop", "logger": "csv"},
        "model": {
            "init_args": {
                "base": str(base),
                "optimizer": {"learning_rate": 0.01},
                "max_new_tokens": 8,
                "lora": {"layers_to_transform": None, "r": 4},
            }
        },
        "data": {
            "init_args": {
                "pairs": {"file": str(folder / "p")},
                "retrieval": {"encoder": str(encoder)},
                "loader": {"batch_size": 2},
            }
        },
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "max_steps": -1,
            "val_check_interval": 10,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }
    content["trainer"]["callbacks"] = [
        {
            "class_path": "kedrec.training.checkpoints.KeepLast",
            "init_args": {"folder": "${run_dir}/checkpoints", "every": 3},
        },
        {"class_path": "tests.support.kill_at_step.Kill"},
        {"class_path": "tests.support.watch_gathered_parameters.Watch"},
    ]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))


WORDS = """
    aspirin warfarin metformin insulin asthma diabetes stroke pain blood sugar heart lung trial patients drug treats
    prevents causes adults children dose risk of in the for a with and is treatment query passage : . , # 1 2 3
    """.split()  # noqa: SIM905


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory):
    """A sentence-transformers folder: BERT of 2 layers and 32 dimensions, mean pooling, normalised."""
    return made_once(shared_root(tmp_path_factory) / "tiny_encoder", _write_tiny_encoder)


def _write_tiny_encoder(folder):
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {token: row for row, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for row, (path, kind) in enumerate(kinds.items())
            ]
        )
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    )


@pytest.fixture(scope="session")
def real_data():
    """The folder of real files; a test that asks for it is skipped where there is none."""
    if "KEDREC_REAL_DATA" not in os.environ:
        pytest.skip("needs KEDREC_REAL_DATA")
    return Path(os.environ["KEDREC_REAL_DATA"])


@pytest.fixture(scope="session")
def small_lladr(tmp_path_factory, tiny_encoder_folder, store):
    """LLaDR in little, an experiment's file."""

    def write(folder):
        folder.mkdir()
        write_small_lladr(folder / "small.yaml", tiny_encoder_folder)

    return made_once(shared_root(tmp_path_factory) / "small_lladr", write) / "small.yaml"


@pytest.fixture(scope="session")
def small_data_set(tmp_path_factory, tiny_base, tiny_encoder_folder):
    """An experiment's file whose pairs and rationales `kedrec.prepare` makes of the sample's graph and texts."""

    def write(folder):
        folder.mkdir()
        write_small_data_set(folder / "small.yaml", tiny_base, tiny_encoder_folder)

    return made_once(shared_root(tmp_path_factory) / "small_data_set", write) / "small.yaml"
