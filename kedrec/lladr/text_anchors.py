"""The matrices of text in which entities are anchored, after LLaDR (arXiv 2510.12181): names and descriptions."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality
from kedrec.lladr.entity_texts import EntityTexts
from kedrec.retrieval.bi_encoder import Vectors
from kedrec.retrieval.endpoint_encoder import TextEncoder, text_encoder
from kedrec.runtime.progress import tell
from kedrec.storage.artifact_store import Store

log = logging.getLogger(__name__)

_EMBEDDING = 1  # raise it when texts are embedded differently: vectors in stores are then computed again
_SLICE = 4096  # texts whose vectors are stored together


def text_modalities(texts: EntityTexts, encoder: str, store: Store) -> list[Modality]:
    """Return the modalities ``name`` and ``description``, each ``(entities, dim)``; LLaDR puts them side by side.

    An entity without a description has its name's vector as its description too; one without a name has neither. A
    text longer than the encoder's limit is cut off.

    Args:
        texts: of the entities.
        encoder: as `text_encoder` takes it: ``minilm``, a folder, a hub name, or a server's address and model.
        store: holds the vectors of each distinct text, names and descriptions separately: other descriptions do not
            embed the names again, nor does another masking embed any text again.

    Raises:
        KedrecError: the encoder cannot be loaded or gives NaN, or the store cannot be written.
    """
    model = text_encoder(encoder, store)
    names = _embedded("names", texts.names, (), model, store)
    descriptions = _embedded("descriptions", texts.descriptions, texts.masked, model, store)
    named, described = (np.array([bool(text) for text in column]) for column in (texts.names, texts.descriptions))
    without = named & ~described
    descriptions[without] = names[without]
    log.info(
        "anchors of %d entities: %s; %d names are used for missing descriptions",
        len(named),
        texts.counts,
        without.sum(),
    )
    return [Modality("name", names, named), Modality("description", descriptions, named | described)]


def _embedded(what: str, texts: Sequence[str], extra: Sequence[str], encoder: TextEncoder, store: Store) -> Vectors:
    """Return the vectors, ``(texts, dim)``, zero for empty texts; ``extra`` is embedded for the store only."""
    distinct = sorted({*texts, *extra} - {""})
    numbers = {text: number for number, text in enumerate(distinct)}
    places = np.array([numbers.get(text, -1) for text in texts])
    vectors = np.zeros((len(texts), encoder.dimension), np.float32)
    for start in range(0, len(distinct), _SLICE):
        part = distinct[start : start + _SLICE]
        content = hashlib.sha256(json.dumps(part).encode()).hexdigest()
        key = {"texts": content, "encoder": encoder.identity, "embedding": _EMBEDDING}

        def build(folder: Path, part: Sequence[str] = part) -> None:
            made = encoder.encode(part)
            if not np.isfinite(made).all():
                raise KedrecError(
                    f"data.init_args.anchors.encoder: NaN or infinity in the vectors of the entities' {what}; choose "
                    "another encoder"
                )
            np.save(folder / "vectors.npy", made, allow_pickle=False)

        stored = np.load(store.get("vectors", key, build) / "vectors.npy", allow_pickle=False)
        tell(f"{what} embedded", start + len(part), len(distinct))
        rows = np.flatnonzero((places >= start) & (places < start + len(part)))
        vectors[rows] = stored[places[rows] - start]
    return vectors
