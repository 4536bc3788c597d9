"""Cuts documents into passages of about a given number of tokens, at sentence ends."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from kedrec.errors import KedrecError
from kedrec.sources.text.documents import Document
from kedrec.text.passage import Passage
from kedrec.text.sentences import sentences

TokenCounter = Callable[[Sequence[str]], list[int]]

_BATCH = 1000  # documents whose sentences are counted in one call


def chunk(documents: Iterable[Document], count_tokens: TokenCounter, size: int = 200) -> Iterator[Passage]:
    """Yield the passages of each document, in order.

    A document of more than ``size`` tokens gives passages of about equal length, each of whole sentences and at most
    an eighth above ``size``; only a sentence longer than ``size`` is cut, between two words.

    Args:
        documents: what to cut.
        count_tokens: the number of the encoder's tokens of each text, e.g. ``Encoder.count_tokens``.
        size: tokens of a passage, about, without its title.

    Raises:
        KedrecError: two passages would have the same id.
    """
    if size < 1:
        raise KedrecError(f"the size of a passage must be 1 token or more, not {size}")
    seen: set[str] = set()
    stream = iter(documents)
    while batch := list(islice(stream, _BATCH)):
        split = [sentences(document.text) for document in batch]
        counts = iter(count_tokens([sentence for parts in split for sentence in parts]))
        for document, parts in zip(batch, split, strict=True):
            sized = list(zip(parts, islice(counts, len(parts)), strict=True))
            for number, text in enumerate(_pack(sized, count_tokens, size), start=1):
                passage = _passage(document, text, number)
                if passage.id in seen:
                    raise KedrecError(
                        f"two passages have the id {passage.id!r}, the second from the document {document.id!r}; give "
                        "this document an id that no other has (passage ids are ID, ID#2, ...)"
                    )
                seen.add(passage.id)
                yield passage


def _passage(document: Document, text: str, number: int) -> Passage:
    return Passage(
        id=document.id if number == 1 else f"{document.id}#{number}",
        document=document.id,
        source=document.source,
        title=document.title,
        text=text,
        date=document.date,
        license=document.license,
        url=document.url,
    )


def _pack(sized: list[tuple[str, int]], count_tokens: TokenCounter, size: int) -> Iterator[str]:
    """Yield texts of nearly equal lengths from (sentence, tokens), each closed nearest to its share."""
    pieces = [piece for sentence, tokens in sized for piece in _cut(sentence, tokens, count_tokens, size)]
    total = max(1, sum(tokens for _, tokens in pieces))
    share = total / -(-total // size)
    held: list[str] = []
    begun, reached = 0, 0  # tokens of the document before this passage, and before the next sentence
    for text, tokens in pieces:
        goal = (round(begun / share) + 1) * share
        if held and (reached + tokens / 2 > goal or reached + tokens - begun > size + size // 8):
            yield " ".join(held)
            held, begun = [], reached
        held.append(text)
        reached += tokens
    if held:
        yield " ".join(held)


def _cut(sentence: str, tokens: int, count_tokens: TokenCounter, size: int) -> Iterator[tuple[str, int]]:
    """Yield the sentence whole, or the pieces of at most ``size`` tokens between its words if it is longer."""
    if tokens <= size:
        yield sentence, tokens
        return
    held: list[str] = []
    length = 0
    words = sentence.split(" ")
    for word, cost in zip(words, count_tokens(words), strict=True):
        if held and length + cost > size:
            yield " ".join(held), length
            held, length = [], 0
        held.append(word)
        length += cost
    yield " ".join(held), length
