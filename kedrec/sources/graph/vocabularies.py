"""Names of DRKG's entities from open vocabularies that a user has, or lets kedrec fetch."""

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import split_id
from kedrec.sources.graph.entity_names import HEADER, EntityInfo
from kedrec.sources.graph.open_vocabularies import VOCABULARIES, Vocabulary, find_vocabulary
from kedrec.sources.http.client import Progress, Web
from kedrec.sources.http.responses import shown, without_secrets
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import line_blocks
from kedrec.storage.hashing import Key, file_hash

KIND = "vocabulary"  # of the artefact

_MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK", ".zst": b"\x28\xb5\x2f\xfd"}


def vocabulary_file(
    name: str,
    store: Store,
    source: str | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    web: Web | None = None,
) -> Path:
    """Return the file of a vocabulary, fetched once; a download that was stopped goes on.

    Args:
        name: one of `VOCABULARIES`.
        store: where a fetched file is kept.
        source: another address or a local file; ``None`` takes the official address.
        sha256: of the file, in hex.
        progress: told the bytes of the download so far and in all.
        web: what to fetch with.

    Raises:
        KedrecError: no such vocabulary, one that a user fetches himself, or a file that cannot be fetched or is
            damaged; nothing is then in the store.
    """
    vocabulary = find_vocabulary(name)
    if source is not None and not source.startswith(("https://", "http://")):
        return _local(Path(source), sha256)
    url = source or vocabulary.url
    host = (urlsplit(url).hostname or "") if url else ""
    if url is None or host == "drugbank.com" or host.endswith(".drugbank.com"):
        page = vocabulary.page or VOCABULARIES["drugbank"].page
        raise KedrecError(f"{vocabulary.title}: not fetched by kedrec; get it from {page} and name the local file")
    file = re.sub(r"[^\w.-]", "_", urlsplit(url).path.rpartition("/")[2]).lstrip(".") or "vocabulary"

    def build(folder: Path) -> None:
        place = folder / file
        if not place.is_file():
            starts = _MAGIC.get(place.suffix, b"")
            (web or Web()).download(url, place, sha256=sha256, starts=starts, progress=progress)
        try:
            _check(vocabulary, place)
        except KedrecError as fault:
            place.unlink()  # the next start would find it damaged again
            raise KedrecError(f"{shown(url)}: {str(fault).replace(str(place), file)}") from fault

    return store.get(KIND, vocabulary_key(name, url, sha256), build, resumable=True) / file


def vocabulary_key(name: str, source: str | None = None, sha256: str | None = None) -> Key:
    """Return what names a fetched vocabulary, of kind `KIND`, in a store: for a plan that asks `Store.holds`."""
    url = source or find_vocabulary(name).url or ""
    return {"vocabulary": name, "source": without_secrets(url), "sha256": sha256.lower() if sha256 else None}


def build_entities(entities: Iterable[str], vocabularies: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Write the names of entities as `kedrec.sources.graph.entity_names` reads them; list those without a name.

    Each entity has its line, in the given order, an empty one where no vocabulary knows it. The first vocabulary that
    knows an entity names it; later ones add synonyms, and a description where there is none. An identifier of several
    (``Gene::5595;5594``) is named by all of them, joined by "and".

    Args:
        entities: such as ``Compound::DB00945``; one that comes again is passed over.
        vocabularies: name, one of `VOCABULARIES`, to file; their order is the order of preference.
        out: the file, ``.tsv``, ``.tsv.gz`` or ``.tsv.zst``; ``unmapped.tsv`` (type, prefix, entity) appears beside it.

    Returns:
        Counts: ``entities``, ``named``, ``described``; ``by_vocabulary``, how many each named; ``unmapped``: type to
        prefix of the identifier to how many have no name.

    Raises:
        KedrecError: no such vocabulary, or a file that cannot be read.
    """
    order = list(dict.fromkeys(entities))
    wanted = {part for entity in order for part in _single(entity)}
    found, named_by = _look_up(wanted, vocabularies)
    lines = ["\t".join(HEADER)]
    unmapped = ["type\tprefix\tentity"]
    counts: dict[str, Counter[str]] = {}
    described = 0
    for entity in order:
        info = _joined([found.get(part) for part in _single(entity)])
        if info is None:
            kind, prefix = _kind_of(entity)
            unmapped.append(f"{kind}\t{prefix}\t{entity}")
            counts.setdefault(kind, Counter())[prefix] += 1
            lines.append(f"{entity}\t\t\t")
            continue
        described += bool(info.description)
        lines.append("\t".join((entity, info.name, "|".join(info.synonyms), info.description)))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out.with_name("unmapped.tsv"), "".join(f"{line}\n" for line in unmapped))
    _write("".join(f"{line}\n" for line in lines), out)
    return {
        "entities": len(order),
        "named": len(order) - len(unmapped) + 1,
        "described": described,
        "by_vocabulary": named_by,
        "unmapped": {kind: dict(counts[kind].most_common()) for kind in sorted(counts)},
    }


def _local(path: Path, sha256: str | None) -> Path:
    if not path.is_file():
        raise KedrecError(f"{path}: no such file; expected a vocabulary")
    if sha256 is not None and (found := file_hash(path)) != sha256.lower():
        raise KedrecError(f"{path}: the file has the SHA-256 {found}, not {sha256}; fetch it again or correct the hash")
    return path


def _check(vocabulary: Vocabulary, place: Path) -> None:
    """Raise if a fetched file is no whole file of its form: it is unpacked to its end, and one record is read."""
    if next(vocabulary.read(place), None) is None:
        raise KedrecError(f"{place}: no names in it")
    if place.suffix != ".zip":
        for _ in line_blocks(place):
            pass


def _look_up(wanted: set[str], vocabularies: Mapping[str, Path]) -> tuple[dict[str, EntityInfo], dict[str, int]]:
    """Return the names of the wanted entities, and how many each vocabulary named first."""
    found: dict[str, EntityInfo] = {}
    named_by: dict[str, int] = {}
    for name, path in vocabularies.items():
        seen: set[str] = set()
        known = len(found)
        for entity, raw in find_vocabulary(name).entries(path):
            if entity in wanted and entity not in seen:
                seen.add(entity)
                info = _merged(found.get(entity), raw)
                if info.name:
                    found[entity] = info
        named_by[name] = len(found) - known
    return found, named_by


def _merged(first: EntityInfo | None, later: EntityInfo) -> EntityInfo:
    """Return both as one, in the form of the table: one line, single spaces, no ``|`` in a name, none twice."""
    if first is None:
        first = EntityInfo(_line(later.name), (), "")
    names = {first.name.replace("|", "/").casefold(): first.name}
    for name in (*first.synonyms, later.name, *later.synonyms):
        line = _line(name).replace("|", "/")
        names.setdefault(line.casefold(), line)
    names.pop("", None)
    return EntityInfo(first.name, tuple(names.values())[1:], first.description or _line(later.description))


def _line(text: str) -> str:
    return " ".join(text.split())


def _single(entity: str) -> list[str]:
    """Return the entities that an identifier of several stands for: GNBR joins genes by ``;`` and MeSH by ``|``."""
    kind, identifier = split_id(entity)
    return [f"{kind}::{part}" for part in re.split("[;|]", identifier)]


def _joined(infos: list[EntityInfo | None]) -> EntityInfo | None:
    known = [info for info in infos if info is not None]
    if len(known) < len(infos):
        return None
    return known[0] if len(known) == 1 else EntityInfo(" and ".join(info.name for info in known), (), "")


def _kind_of(entity: str) -> tuple[str, str]:
    """Return an entity's type and how its identifier begins: ``CHEMBL``, ``pubchem``, ``number``."""
    kind, identifier = split_id(entity)
    prefix = re.match(r"[^\d:;|]*", identifier)
    return kind, (prefix[0] if prefix and prefix[0] else "number" if identifier else "blank")


def _write(text: str, out: Path) -> None:
    pack = {".gz": lambda content: gzip.compress(content, mtime=0), ".zst": zstandard.ZstdCompressor(level=10).compress}
    content = pack.get(out.suffix, bytes)(text.encode())
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
