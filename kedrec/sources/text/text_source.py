"""Where documents come from: files, or a class from outside the package."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from kedrec.sources.text.documents import Document, documents_hash, read_documents, unique_documents
from kedrec.storage.hashing import key_hash


class TextSource(ABC):
    """Documents that are not files of a form that kedrec reads.

    A text source of your own is a subclass in a module of your own, named by ``texts: {class_path: my_module.Source}``
    in the settings of the data; arguments of its constructor are ``init_args``.
    """

    @abstractmethod
    def documents(self) -> Iterable[Document]:
        """Return the documents; an id that occurs twice belongs to the same text."""

    @abstractmethod
    def identity(self) -> str:
        """Return a text that changes whenever `documents` returns others.

        Passages, vectors and pairs are kept in the store under it: while it stays the same, `documents` is not called
        again.
        """


Texts = str | Path | TextSource
"""A file or folder of documents, or a text source."""


def documents_of(texts: Texts) -> Iterator[Document]:
    """Yield the documents of files or of a text source.

    Raises:
        KedrecError: as `read_documents`; or two different texts share one id.
    """
    if not isinstance(texts, TextSource):
        return read_documents(texts)
    name = texts_name(texts)
    return unique_documents((f"{name}: document {row}", one) for row, one in enumerate(texts.documents(), start=1))


def documents_identity(texts: Texts) -> str:
    """Return a hash that changes with the documents, in hex."""
    if not isinstance(texts, TextSource):
        return documents_hash(texts)
    return key_hash({"class_path": texts_name(texts), "identity": texts.identity()})


def texts_name(texts: Texts) -> str:
    """Return what messages call texts: the path, or the class path of a text source."""
    return f"{type(texts).__module__}.{type(texts).__qualname__}" if isinstance(texts, TextSource) else str(texts)
