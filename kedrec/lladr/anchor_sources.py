"""The vectors that entities are anchored in, from the sources that the settings name."""

from collections.abc import Sequence

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality
from kedrec.lladr.entity_texts import EntityTexts
from kedrec.lladr.structure_anchors import fingerprint_modality, matrix_modality
from kedrec.lladr.text_anchors import text_modalities
from kedrec.lladr.triple_settings import AnchorSettings
from kedrec.sources.graph.molecules import find_smiles_file
from kedrec.storage.artifact_store import Store


def anchor_modalities(
    settings: AnchorSettings, graph_path: str, entities: Sequence[str], texts: EntityTexts | None, store: Store
) -> tuple[list[Modality], dict[str, str]]:
    """Return the modalities of the sources in their order, and what the run's card reports of them.

    Args:
        settings: name the sources.
        graph_path: the graph, beside which a file of SMILES may lie.
        entities: of the graph, by row.
        texts: of the entities; ``None`` where ``text`` is not among the sources.
        store: keeps the vectors of texts.

    Raises:
        KedrecError: a file of a source is missing or malformed, or the encoder cannot be loaded.
    """
    modalities: list[Modality] = []
    facts: dict[str, str] = {}
    for source in settings.sources:
        if texts and source == "text":
            modalities += text_modalities(texts, settings.encoder, store)
            facts["texts"] = f"{texts.counts}, encoder {settings.encoder}"
        elif source == "fingerprint":
            smiles = find_smiles_file(graph_path)
            if smiles is None:
                raise KedrecError(
                    f"{graph_path}: no compound_smiles.tsv beside it; remove `fingerprint` from "
                    "data.init_args.anchors.sources"
                )
            modalities.append(fingerprint_modality(entities, smiles))
        else:
            modalities.append(matrix_modality(source, entities))
    for modality in modalities:
        facts[f"anchor {modality.name}"] = f"{modality.known.sum()} entities, {modality.vectors.shape[1]} dims"
    return modalities, facts
