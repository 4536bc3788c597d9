"""Notes of a CSV file with the columns id, title and text."""

import csv
import hashlib
from pathlib import Path

from kedrec.sources.text.documents import Document
from kedrec.sources.text.text_source import TextSource


class CsvNotes(TextSource):
    def __init__(self, path: str):
        self.path = Path(path)

    def documents(self):
        with self.path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield Document(row["id"], "notes", row["title"], row["text"])

    def identity(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()
