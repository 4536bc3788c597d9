"""Documents from the web on pairs of disease and drug: trials, abstracts, open full texts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.runtime.progress import tell
from kedrec.sources.http.client import Web
from kedrec.sources.text import clinical_trials, entrez, pmc
from kedrec.sources.text.clinical_trials import TrialQuery
from kedrec.sources.text.documents import read_documents
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic

_OF_A_MIRROR = 50.0  # requests a second
_MERGE_VERSION = 2  # increase it with a change of `fetch`: stored documents are then merged again


@dataclass(frozen=True)
class WebTexts:
    """What is fetched for each pair, and from where.

    Attributes:
        email: yours, which NCBI asks for.
        abstracts: of PubMed for each pair, the most relevant, at most; 0 for none.
        full_texts: fetch the open full text of an article whose abstract was found, where PubMed Central has it.
        trials: fetch the studies of each pair from ClinicalTrials.gov.
        snapshot: any word, such as ``2026-11``; another word fetches everything again.
        trials_url, eutils_url, pmc_url: addresses of the services, for mirrors.
    """

    email: str
    abstracts: int = 100
    full_texts: bool = True
    trials: bool = True
    snapshot: str = ""
    trials_url: str = clinical_trials.STUDIES
    eutils_url: str = entrez.EUTILS
    pmc_url: str = pmc.BUCKET

    def check(self) -> None:
        """Raise faults that would otherwise appear only after hours of fetching.

        Raises:
            KedrecError: NCBI needs an address, and there is none.
        """
        if self.abstracts and "@" not in self.email:
            raise KedrecError(
                f"data.init_args.download.web.email: {self.email!r} is no address; NCBI wants that of the user who "
                "searches: set email=you@example.org, or the environment variable NCBI_EMAIL"
            )

    def requests(self, pairs: int) -> int:
        """Return about how many requests so many pairs take, without full texts, whose number is not known before."""
        return pairs * (int(self.trials) + 2 * bool(self.abstracts))

    def fetch(self, pairs: Sequence[tuple[str, str]], before: str | None, store: Store) -> Path:
        """Return a JSONL file of the documents on all pairs, each once, in the order of their ids.

        What was fetched is kept in the store, pair by pair, also after an interruption.

        Args:
            pairs: names of disease and drug.
            before: a day; documents that are not surely older are left out.
            store: keeps them.

        Raises:
            KedrecError: a service cannot be reached or refuses.
        """
        queries = sorted(set(pairs))
        urls = [self.trials_url, self.eutils_url, self.pmc_url]
        settings = {"abstracts": self.abstracts, "full_texts": self.full_texts, "trials": self.trials, "urls": urls}
        key = {"pairs": queries, "before": before, "snapshot": self.snapshot, "merging": _MERGE_VERSION, **settings}

        def build(folder: Path) -> None:
            files = self._fetch_all(queries, before, store)
            documents: dict[str, str] = {}
            for file in files:  # a full text comes after the abstract of the same article, and takes its place
                for line in file.read_text(encoding="utf-8").splitlines():
                    documents[json.loads(line)["id"]] = line
            text = "".join(f"{documents[name]}\n" for name in sorted(documents))
            write_atomic(folder / "passages.jsonl", text)

        return store.get("web-texts", key, build) / "passages.jsonl"

    def _fetch_all(self, pairs: Sequence[tuple[str, str]], before: str | None, store: Store) -> list[Path]:
        files: list[Path] = []
        key: dict[str, Any]
        common = {"before": before, "snapshot": self.snapshot}
        if self.trials:
            web = Web(rate=clinical_trials.RATE if self.trials_url == clinical_trials.STUDIES else _OF_A_MIRROR)
            for done, (disease, drug) in enumerate(pairs, start=1):
                query = TrialQuery(disease, drug)
                condition, intervention = query.expressions
                key = {"condition": condition, "intervention": intervention, "url": self.trials_url, **common}
                walk = partial(clinical_trials.fetch, web, [query], before=before, url=self.trials_url)
                files.append(_stored(store, "trials", key, walk))
                tell("ClinicalTrials.gov: pairs", done, len(pairs))
        if self.abstracts:
            rate = entrez.rate() if self.eutils_url == entrez.EUTILS else _OF_A_MIRROR
            service = entrez.Service(Web(rate=rate), self.email, url=self.eutils_url)
            for done, (disease, drug) in enumerate(pairs, start=1):
                term = f"{_quoted(disease)} AND {_quoted(drug)} AND hasabstract"
                key = {"term": term, "most": self.abstracts, "url": self.eutils_url, **common}
                search = partial(entrez.fetch, service, term, before=before, most=self.abstracts)
                files.append(_stored(store, "pubmed", key, search))
                tell("PubMed: pairs", done, len(pairs))
        if self.abstracts and self.full_texts:
            found = {document.id for file in files for document in _documents(file)}
            ids = sorted(one for one in found if one.startswith("PMC"))
            key = {"articles": ids, "url": self.pmc_url, **common}
            walk = partial(pmc.fetch, Web(rate=pmc.RATE), ids, before=before, url=self.pmc_url)
            files.append(_stored(store, "pmc", key, walk))
        return files


def _stored(store: Store, kind: str, key: dict[str, Any], fetch: Any) -> Path:
    def build(folder: Path) -> None:
        fetch(folder)

    return store.get(kind, key, build, resumable=True) / "documents.jsonl"


def _documents(file: Path) -> list[Any]:
    return list(read_documents(file)) if file.stat().st_size else []


def _quoted(name: str) -> str:
    """Return a name as a phrase of title and abstract in PubMed's syntax."""
    return '"' + " ".join(name.replace('"', " ").split()) + '"[tiab]'
