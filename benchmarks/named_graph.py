"""A graph with the names of its entities, namesakes told as pairs are drawn: what several benchmarks start from."""

from typing import Any


def load_named(place: str) -> tuple[Any, dict[str, tuple[str, ...]], Any]:
    """Return the graph, entity -> the names texts call it by, and for each row the row of the namesake that is kept."""
    from kedrec.graph.knowledge_graph import load_graph
    from kedrec.graph.named_graph import spoken_names
    from kedrec.graph.synonyms import canonical_rows
    from kedrec.sources.graph.entity_names import find_entities_file, load_entity_info
    from kedrec.storage.artifact_store import Store

    graph = load_graph(place, Store())
    file = find_entities_file(place)
    infos = load_entity_info(file) if file else {}
    spoken = {entity: tuple(spoken_names(entity, infos.get(entity))) for entity in graph.entities}
    return graph, spoken, canonical_rows(graph, spoken.__getitem__, ("Compound", "Disease"))
