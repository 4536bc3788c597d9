"""The size of an experiment's artefacts in the store, estimated from the sizes of its files."""

import json
from pathlib import Path

from lightning import LightningDataModule

from kedrec.kedrec_lm.question_data import QuestionData
from kedrec.kedrec_lm.question_settings import RetrievalSettings
from kedrec.lladr.triple_data import TripleData
from kedrec.sources.text.text_source import TextSource
from kedrec.sources.weights import BUNDLED_BASE, BUNDLED_ENCODER, encoder_folder

_PACKED = 4.0  # approximate size of text relative to its gzip or zstd file
_TOKEN = 5.0  # bytes of text a token, about
_LINKS = 144  # bytes that hnswlib stores beside a vector, with 16 links a node
_BASE = 272e6  # bytes of the bundled base: 134.5 million weights in 16 bits, and its tokenizer


def store_lines(data: LightningDataModule) -> list[str]:
    """Return a line for each kind of artefact with its size, as far as it is known."""
    lines = []
    if isinstance(data, QuestionData):
        if data.base == BUNDLED_BASE:
            lines.append(f"base: {_megabytes(_BASE)}, converted once")
        lines.append(_graph_line(data.pair_source.graph))
        if data.pair_source.retrieval.sources:
            lines.append(_texts_line(data.pair_source.texts, data.pair_source.retrieval))
    elif isinstance(data, TripleData):
        lines.append(_graph_line(data.graph_path))
        if "text" in data.anchors.sources:
            lines.append("vectors of the entities' texts: known when the graph is read")
    return ["", "the store, estimated from files:", *(f"  {text}" for text in lines)] if lines else []


def _graph_line(path: str) -> str:
    size = _text_bytes(path)
    if size is None:
        return f"graph: not known, {path} is fetched or not there yet"
    return f"graph: at most {_megabytes(size)}, its text; names once and 12 bytes a triple"


def _texts_line(texts: str | TextSource | None, retrieval: RetrievalSettings) -> str:
    size = _text_bytes(texts) if isinstance(texts, str) else None
    if size is None:
        return "passages, vectors, index: not known, the texts are fetched or not there yet"
    passages = size / (_TOKEN * retrieval.chunk_tokens)
    width = _width(retrieval.encoder)
    if width is None:
        return f"passages: about {_megabytes(size)}; vectors and index not known before the encoder is there"
    vectors, index = passages * 4 * width, passages * (4 * width + _LINKS)
    return (
        f"passages: about {_megabytes(size)}, {passages:,.0f} of them; vectors about {_megabytes(vectors)}, "
        f"index about {_megabytes(index)}"
    )


def _width(encoder: str) -> int | None:
    """Return the dimension of a local encoder; ``None`` for one that would be downloaded."""
    if encoder != BUNDLED_ENCODER and not Path(encoder).is_dir():
        return None
    config = json.loads((encoder_folder(encoder) / "config.json").read_text(encoding="utf-8"))
    return int(config["hidden_size"])


def _text_bytes(path: str) -> float | None:
    """Return the approximate bytes of the unpacked text of a file, or of the files in a folder."""
    named = Path(path)
    files = [named] if named.is_file() else sorted(named.iterdir()) if named.is_dir() else []
    sizes = [file.stat().st_size * (_PACKED if file.suffix in (".gz", ".zst") else 1.0) for file in files]
    return sum(sizes) if sizes else None


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"
