"""What preparing an experiment's data would put into the store, as far as the sizes of files tell it."""

import json
from pathlib import Path

from lightning import LightningDataModule

from kedrec.kedrec_lm.question_data import QuestionData
from kedrec.kedrec_lm.question_settings import RetrievalSettings
from kedrec.lladr.triple_data import TripleData
from kedrec.sources.weights import BUNDLED_BASE, BUNDLED_ENCODER, encoder_folder

_PACKED = 4.0  # what text packed by gzip or zstd grows by, about
_TOKEN = 5.0  # bytes of text a token, about
_LINKS = 144  # bytes a vector that hnswlib keeps beside it, with 16 links a node
_BASE = 272e6  # bytes of the bundled base: 134.5 million weights in 16 bits, and its tokenizer


def store_lines(data: LightningDataModule) -> list[str]:
    """Return a line for each kind of artefact: what is known of its size."""
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
    return ["", "the store, of what files tell:", *(f"  {told}" for told in lines)] if lines else []


def _graph_line(path: str) -> str:
    size = _text_bytes(path)
    if size is None:
        return f"graph: not known, {path} is fetched or not there yet"
    return f"graph: at most {_megabytes(size)}, its text; names once and 12 bytes a triple"


def _texts_line(texts: str | None, retrieval: RetrievalSettings) -> str:
    size = _text_bytes(texts) if texts else None
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
    """Return the dimensions of an encoder that lies here; ``None`` for one that would be fetched."""
    if encoder != BUNDLED_ENCODER and not Path(encoder).is_dir():
        return None
    config = json.loads((encoder_folder(encoder) / "config.json").read_text(encoding="utf-8"))
    return int(config["hidden_size"])


def _text_bytes(path: str) -> float | None:
    """Return the bytes of the text in a file or in a folder's files, unpacked, about."""
    place = Path(path)
    files = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    sizes = [file.stat().st_size * (_PACKED if file.suffix in (".gz", ".zst") else 1.0) for file in files]
    return sum(sizes) if sizes else None


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"
