"""Readers of open vocabularies, one per format; each yields (identifier, names), identifiers as in the vocabulary.

Identifiers of merged records come last, so that an identifier with a record of its own comes first.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.storage.compressed_text import line_blocks, text_lines

if TYPE_CHECKING:
    from lxml import etree

Named = tuple[str, EntityInfo]

_DISEASE = "3"  # SCRClass of a MeSH supplementary record
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w*)')
_MODIFIERS = re.compile(r"(?<!\\)\s*\{[^{}]*=[^{}]*\}\s*(!.*)?$")
_ESCAPED = re.compile(r"\\(.)")
_BLANKS = {"n": " ", "t": " ", "W": " "}


def read_drugbank(path: Path) -> Iterator[Named]:
    """Read DrugBank's open vocabulary: ``drugbank vocabulary.csv``, or the zip that DrugBank ships.

    Raises:
        KedrecError: the file is missing, damaged or has another format; so does every reader in this module.
    """
    columns = ("DrugBank ID", "Accession Numbers", "Common name", "Synonyms")
    merged: list[Named] = []
    for row in _rows(path, _zipped(path) if path.suffix == ".zip" else _plain(path), columns, ","):
        info = EntityInfo(row["Common name"], _parts(row["Synonyms"]), "")
        yield row["DrugBank ID"], info
        merged += [(old, info) for old in _parts(row["Accession Numbers"]) if re.fullmatch(r"DB\d{5}", old)]
    yield from merged


def read_mesh(path: Path) -> Iterator[Named]:
    """Read MeSH descriptors or supplementary records from NLM's XML, one record at a time.

    Synonyms are the terms of the preferred concept; terms of narrower concepts in a record are not used. The
    description is a descriptor's scope note, or the note of a supplementary disease; notes of chemicals are about
    indexing and are not used.
    """
    from lxml import etree

    parser = etree.XMLPullParser(
        events=("end",),
        tag=("DescriptorRecord", "SupplementalRecord"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    found = False
    try:
        for block in line_blocks(path, 1 << 20):
            parser.feed(block)
            for _, record in parser.read_events():
                assert isinstance(record, etree._Element)
                found = True
                yield _mesh_record(path, record)
                _forget(record)
        parser.close()
    except etree.XMLSyntaxError as fault:
        raise KedrecError(f"{path}: the XML is damaged or cut short ({fault}); download it again") from fault
    if not found:
        raise KedrecError(f"{path}: it holds no MeSH records; expected NLM's desc<year>.xml or supp<year>.xml")


def read_gene_info(path: Path) -> Iterator[Named]:
    """Read NCBI's ``gene_info``: the symbol is the name, the full name the first synonym."""
    header: list[str] = []
    for line, content in text_lines(path):
        cells = content.rstrip("\r").split("\t")
        if not header:
            header = [cell.lstrip("#") for cell in cells]
            _check_columns(path, header, ("GeneID", "Symbol", "Synonyms", "description"))
            continue
        if len(cells) != len(header):
            raise KedrecError(f"{path}:{line}: {len(cells)} columns, expected {len(header)} ({', '.join(header)})")
        row = {name: "" if cell == "-" else cell for name, cell in zip(header, cells, strict=True)}
        if row["Symbol"] == "NEWENTRY":  # a placeholder for a gene without a name
            continue
        full = (row.get("Full_name_from_nomenclature_authority", ""), row["description"])
        yield row["GeneID"], EntityInfo(row["Symbol"], _filled(*full, *row["Synonyms"].split("|")), "")
    if not header:
        raise KedrecError(f"{path}: the file is empty; expected NCBI's gene_info")


def read_hgnc(path: Path) -> Iterator[Named]:
    """Read HGNC's complete set, by NCBI gene id; genes without such an id are left out."""
    columns = ("symbol", "name", "alias_symbol", "alias_name", "prev_symbol", "prev_name", "entrez_id")
    for row in _rows(path, _plain(path), columns, "\t"):
        if row["entrez_id"]:
            others = (other for name in columns[2:6] for other in row[name].split("|"))
            yield row["entrez_id"], EntityInfo(row["symbol"], _filled(row["name"], *others), "")


def read_obo(path: Path, *, equivalents: bool = False) -> Iterator[Named]:
    """Read the terms of an ontology in OBO format 1.2 or 1.4; only exact synonyms are used.

    Args:
        path: the file.
        equivalents: yield the identifiers of other vocabularies that the ontology calls equivalent (as MONDO does)
            instead of its own and merged ones.
    """
    merged: list[Named] = []
    found = False
    for tags in _terms(path):
        found = True
        name = _plain_text(_MODIFIERS.sub("", tags.get("name", [""])[0])).removeprefix("obsolete ")
        synonyms = (_QUOTED.match(value) for value in tags.get("synonym", ()))
        definition = _QUOTED.match(tags.get("def", [""])[0])
        info = EntityInfo(
            name,
            _filled(*(_plain_text(match[1]) for match in synonyms if match and match[2] == "EXACT")),
            _plain_text(definition[1]).removeprefix("OBSOLETE. ") if definition else "",
        )
        if equivalents:
            for value in tags.get("xref", ()):
                if "MONDO:equivalentTo" in value:
                    yield value.split()[0], info
            continue
        yield tags["id"][0].split()[0], info
        merged += [(value.split()[0], info) for value in tags.get("alt_id", ())]
    if not found:
        raise KedrecError(f"{path}: it holds no terms; expected an ontology in OBO format")
    yield from merged


def read_sider(path: Path) -> Iterator[Named]:
    """Read side effects by UMLS concept from SIDER's ``meddra.tsv`` or ``meddra_all_se.tsv``, which have no header.

    The name is the preferred term (PT), or a lowest-level term (LLT) if the concept has no preferred one; its other
    terms are synonyms.
    """
    terms: dict[str, dict[str, int]] = {}
    for line, content in text_lines(path):
        cells = content.rstrip("\r").split("\t")
        if len(cells) == 4:  # concept, type, MedDRA's number (the two in either order), name
            concept, name = cells[0], cells[3]
            kind = cells[2] if cells[1].isdigit() else cells[1]
        elif len(cells) >= 6:
            kind, concept, name = cells[-3:]
        else:
            raise KedrecError(f"{path}:{line}: {len(cells)} columns, expected SIDER's meddra.tsv or meddra_all_se.tsv")
        if re.fullmatch(r"C\d{7}", concept) and name.strip():
            rank = {"PT": 0, "LLT": 1}.get(kind, 2)
            ranks = terms.setdefault(concept, {})
            ranks[name] = min(rank, ranks.get(name, rank))
    if not terms:
        raise KedrecError(f"{path}: it holds no side effects; expected SIDER's meddra.tsv or meddra_all_se.tsv")
    for concept, ranks in terms.items():
        first, *others = sorted(ranks, key=lambda name: ranks[name])
        yield concept, EntityInfo(first, tuple(others), "")


def read_hetionet(path: Path) -> Iterator[Named]:
    """Read Hetionet's table of nodes; its identifiers are DRKG's entity ids."""
    for row in _rows(path, _plain(path), ("id", "name", "kind"), "\t"):
        yield row["id"], EntityInfo(row["name"], (), "")


def _mesh_record(path: Path, record: "etree._Element") -> Named:
    kind = record.tag.removesuffix("Record")
    stem = "Descriptor" if kind == "Descriptor" else "SupplementalRecord"
    identifier, name = record.findtext(f"{stem}UI"), record.findtext(f"{stem}Name/String")
    if not identifier or not name:
        raise KedrecError(f"{path}:{record.sourceline}: a record lacks its identifier or name; expected NLM's MeSH XML")
    preferred = "ConceptList/Concept[@PreferredConceptYN='Y']"
    terms = (term.text or "" for term in record.iterfind(f"{preferred}/TermList/Term/String"))
    if kind == "Descriptor":
        note = record.findtext(f"{preferred}/ScopeNote")
    else:
        note = record.findtext("Note") if record.get("SCRClass") == _DISEASE else ""
    return identifier.strip(), EntityInfo(name, _filled(*terms), note or "")


def _forget(record: "etree._Element") -> None:
    """Free the memory of a record that was read, and of the emptied records before it."""
    record.clear()
    parent = record.getparent()
    while parent is not None and record.getprevious() is not None:
        del parent[0]


def _terms(path: Path) -> Iterator[dict[str, list[str]]]:
    """Yield the tags of each [Term] stanza with an identifier in an OBO file."""
    tags: dict[str, list[str]] | None = None
    for _, content in text_lines(path):
        line = content.strip()
        if line.startswith("["):
            if tags and "id" in tags:
                yield tags
            tags = {} if line == "[Term]" else None
        elif tags is not None and ": " in line and not line.startswith("!"):
            tag, _, value = line.partition(": ")
            tags.setdefault(tag, []).append(value.strip())
    if tags and "id" in tags:
        yield tags


def _plain_text(value: str) -> str:
    return _ESCAPED.sub(lambda match: _BLANKS.get(match[1], match[1]), value)


def _plain(path: Path) -> Iterator[str]:
    return (f"{content}\n" for _, content in text_lines(path))


def _zipped(path: Path) -> Iterator[str]:
    """Yield the lines of the only CSV file in a zip; names in the zip are never used as paths."""
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if len(tables) != 1:
                raise KedrecError(f"{path}: it holds {len(tables)} CSV files, expected one: drugbank vocabulary.csv")
            with archive.open(tables[0]) as raw:
                yield from io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file") from fault
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as fault:
        raise KedrecError(f"{path}: the zip is damaged, cut short or encrypted ({fault}); download it again") from fault
    except UnicodeDecodeError as fault:
        raise KedrecError(f"{path}: the table in it is not UTF-8 ({fault.reason})") from fault


def _rows(path: Path, lines: Iterable[str], columns: tuple[str, ...], separator: str) -> Iterator[dict[str, str]]:
    """Yield the named columns of a table with a header."""
    reader = csv.DictReader(lines, delimiter=separator)
    try:
        _check_columns(path, reader.fieldnames or (), columns)
        for row in reader:
            if any(row[name] is None for name in columns):
                raise KedrecError(f"{path}:{reader.line_num}: the row has fewer columns than the header")
            yield {name: row[name].strip() for name in columns}
    except csv.Error as fault:
        raise KedrecError(f"{path}:{reader.line_num}: not a valid CSV record ({fault})") from fault


def _check_columns(path: Path, header: Iterable[str], columns: tuple[str, ...]) -> None:
    if missing := [name for name in columns if name not in header]:
        raise KedrecError(f"{path}:1: the table lacks the columns {', '.join(missing)}; expected {', '.join(columns)}")


def _parts(cell: str) -> tuple[str, ...]:
    return _filled(*(part.strip() for part in cell.split("|")))


def _filled(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name)
