"""A tokenizer learned from the texts that it is used on."""

from collections.abc import Iterable
from typing import Any, cast

from transformers import PreTrainedTokenizerFast

PAD, END = "<pad>", "</s>"


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer: any text can be read and written, and equal texts give an equal tokenizer.

    Args:
        texts: from which the merges are learned.
        size: most tokens; at least 258, the bytes and the two special ones.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    # With the leading space a name has the same tokens at the beginning of a text and within it.
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
