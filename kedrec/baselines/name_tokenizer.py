"""A tokenizer made from the texts that it is for, where there is none to download."""

from collections.abc import Iterable
from typing import Any, cast

from transformers import PreTrainedTokenizerFast

PAD, END = "<pad>", "</s>"


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer: any text can be read and written, and equal texts give an equal tokenizer.

    Args:
        texts: what the merges are learned from.
        size: most tokens, at least the 256 bytes and the two special ones.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    # The space in front makes a name the same tokens where a text begins with it and where it stands within one.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ending = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, ending)])
    fast: Any = PreTrainedTokenizerFast
    return cast(PreTrainedTokenizerFast, fast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END))
