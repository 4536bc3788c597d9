"""Readers of open vocabularies, one a format: each yields (identifier, names) as the vocabulary spells the identifier.

Identifiers that a record took over from merged ones come last, so that a record of its own stands before them.
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
    """Read DrugBank's open vocabulary, ``drugbank vocabulary.csv``, as it is or in the zip that it comes in.

    Raises:
        KedrecError: the file is missing, damaged or of another form; the same holds for each reader here.
    """
    columns = ("DrugBank ID", "Accession Numbers", "Common name", "Synonyms")
    merged: list[Named] = []
    for row in _rows(path, _zipped(path) if path.suffix == ".zip" else _plain(path), columns, ","):
        info = EntityInfo(row["Common name"], _parts(row["Synonyms"]), "")
        yield row["DrugBank ID"], info
        merged += [(old, info) for old in _parts(row["Accession Numbers"]) if re.fullmatch(r"DB\d{5}", old)]
    yield from merged


def read_mesh(path: Path) -> Iterator[Named]:
    """Read MeSH descriptors or supplementary records in NLM's XML, a record at a time.

    Synonyms are the terms of the preferred concept; those of the narrower concepts in a record are not. The description
    is a descriptor's scope note, or the note of a supplementary disease; those of chemicals tell how they were indexed.
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
        raise KedrecError(f"{path}: not whole XML ({fault}); fetch it again") from fault
    if not found:
        raise KedrecError(f"{path}: no MeSH records in it; expected NLM's desc<year>.xml or supp<year>.xml")


def read_gene_info(path: Path) -> Iterator[Named]:
    """Read NCBI's ``gene_info``: the symbol is the name, as people write it; the full name is its first synonym."""
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
        if row["Symbol"] == "NEWENTRY":  # a place kept for a gene that has no name yet
            continue
        full = (row.get("Full_name_from_nomenclature_authority", ""), row["description"])
        yield row["GeneID"], EntityInfo(row["Symbol"], _filled(*full, *row["Synonyms"].split("|")), "")
    if not header:
        raise KedrecError(f"{path}: the file is empty; expected NCBI's gene_info")


def read_hgnc(path: Path) -> Iterator[Named]:
    """Read HGNC's complete set, by NCBI gene id; genes without one are left out."""
    columns = ("symbol", "name", "alias_symbol", "alias_name", "prev_symbol", "prev_name", "entrez_id")
    for row in _rows(path, _plain(path), columns, "\t"):
        if row["entrez_id"]:
            others = (other for name in columns[2:6] for other in row[name].split("|"))
            yield row["entrez_id"], EntityInfo(row["symbol"], _filled(row["name"], *others), "")


def read_obo(path: Path, *, equivalents: bool = False) -> Iterator[Named]:
    """Read an ontology's terms in OBO format 1.2 or 1.4; only exact synonyms are taken.

    Args:
        path: the file.
        equivalents: yield the identifiers of other vocabularies that the ontology calls equivalent (as MONDO does),
            rather than its own and those that were merged.
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
        raise KedrecError(f"{path}: no terms in it; expected an ontology in OBO format")
    yield from merged


def read_sider(path: Path) -> Iterator[Named]:
    """Read side effects by UMLS concept from SIDER's ``meddra.tsv`` or ``meddra_all_se.tsv``, which have no header.

    The name is the preferred term (PT), or a lowest level term (LLT) where a concept has no other; further terms of
    the same concept are its synonyms.
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
        raise KedrecError(f"{path}: no side effects in it; expected SIDER's meddra.tsv or meddra_all_se.tsv")
    for concept, ranks in terms.items():
        first, *others = sorted(ranks, key=lambda name: ranks[name])
        yield concept, EntityInfo(first, tuple(others), "")


def read_hetionet(path: Path) -> Iterator[Named]:
    """Read Hetionet's table of nodes, whose identifiers are DRKG's entities."""
    for row in _rows(path, _plain(path), ("id", "name", "kind"), "\t"):
        yield row["id"], EntityInfo(row["name"], (), "")


def _mesh_record(path: Path, record: "etree._Element") -> Named:
    kind = record.tag.removesuffix("Record")
    stem = "Descriptor" if kind == "Descriptor" else "SupplementalRecord"
    identifier, name = record.findtext(f"{stem}UI"), record.findtext(f"{stem}Name/String")
    if not identifier or not name:
        raise KedrecError(f"{path}:{record.sourceline}: a record without an identifier or a name; not NLM's MeSH XML")
    preferred = "ConceptList/Concept[@PreferredConceptYN='Y']"
    terms = (term.text or "" for term in record.iterfind(f"{preferred}/TermList/Term/String"))
    if kind == "Descriptor":
        note = record.findtext(f"{preferred}/ScopeNote")
    else:
        note = record.findtext("Note") if record.get("SCRClass") == _DISEASE else ""
    return identifier.strip(), EntityInfo(name, _filled(*terms), note or "")


def _forget(record: "etree._Element") -> None:
    """Free a record that was read, and the empty shells of those before it, or they fill the memory."""
    record.clear()
    parent = record.getparent()
    while parent is not None and record.getprevious() is not None:
        del parent[0]


def _terms(path: Path) -> Iterator[dict[str, list[str]]]:
    """Yield the tags of each [Term] stanza of an OBO file that has an identifier."""
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
    """Yield the lines of the one table in a zip; names in the zip are never used as paths."""
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if len(tables) != 1:
                raise KedrecError(f"{path}: {len(tables)} tables in it, expected one: drugbank vocabulary.csv")
            with archive.open(tables[0]) as raw:
                yield from io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file") from fault
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as fault:
        raise KedrecError(f"{path}: the zip is damaged, cut short or encrypted ({fault}); fetch it again") from fault
    except UnicodeDecodeError as fault:
        raise KedrecError(f"{path}: the table in it is not UTF-8 ({fault.reason})") from fault


def _rows(path: Path, lines: Iterable[str], columns: tuple[str, ...], separator: str) -> Iterator[dict[str, str]]:
    """Yield the named columns of a table with a header."""
    reader = csv.DictReader(lines, delimiter=separator)
    try:
        _check_columns(path, reader.fieldnames or (), columns)
        for row in reader:
            if any(row[name] is None for name in columns):
                raise KedrecError(f"{path}:{reader.line_num}: a row with fewer columns than the header has")
            yield {name: row[name].strip() for name in columns}
    except csv.Error as fault:
        raise KedrecError(f"{path}:{reader.line_num}: not a record of the table ({fault})") from fault


def _check_columns(path: Path, header: Iterable[str], columns: tuple[str, ...]) -> None:
    if missing := [name for name in columns if name not in header]:
        raise KedrecError(f"{path}:1: the table has no column {', '.join(missing)}; expected {', '.join(columns)}")


def _parts(cell: str) -> tuple[str, ...]:
    return _filled(*(part.strip() for part in cell.split("|")))


def _filled(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name)
