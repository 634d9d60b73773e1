"""Renews the catalogue of every sentence a person can see: its template, its translations, and what programs read of them.

`python docs/catalogue.py` finds the sentences in the code and in the data that people read, and brings
keepwell/contract/locale up to date: what is new has no translation yet, what is gone is dropped. `--check` only names the
files that are out of date, and then exits 1. `--reading` tells how easy the English reads.
"""

from __future__ import annotations

import argparse
import re
import string
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import keepwell
from keepwell.alerting.playbook import PLAYBOOK
from keepwell.contract.say import DOMAIN, LANGUAGES, LOCALE
from keepwell.contract.words import VOCABULARIES

PACKAGE: Final = Path(keepwell.__file__).parent
FOLDERS: Final = ("keepwell", "services/clinician")
"""Where sentences for people stand."""
KEYWORDS: Final = {"said": None, "counted": (2, 3), "pair": (1, 2)}
"""The functions of keepwell/contract/say.py that take sentences, and which of their arguments these are."""
OF_SENDERS: Final = frozenset(("refusal",))
"""Vocabularies that only people who send events read."""
TEMPLATE: Final = LOCALE / f"{DOMAIN}.pot"


class _Undated(Catalog):
    """A catalogue whose header holds nothing that changes by itself."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        kept = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")
        return [(name, value) for name, value in super().mime_headers if name in kept]

    @mime_headers.setter
    def mime_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        super()._set_mime_headers(headers)


def template() -> Catalog:
    """Every sentence as it stands in the code, the vocabularies and the playbook."""
    found = _Undated(project=DOMAIN, header_comment="# What people read of Keepwell.", charset="utf-8", fuzzy=False)
    for folder in FOLDERS:
        rows = extract_from_dir(PACKAGE.parent / folder, keywords=KEYWORDS, method_map=[("**.py", "python")])
        for name, _, message, _, _ in sorted(rows, key=lambda row: (row[0], row[1])):
            found.add(message, locations=[(f"{folder}/{name}", 0)])
    for title, vocabulary in VOCABULARIES.items():
        for text in vocabulary.says.values() if title not in OF_SENDERS else ():
            found.add(text, locations=[("keepwell/contract/words.py", 0)])
    for entry in PLAYBOOK:
        for text in (entry.text, entry.why):
            found.add(text, locations=[("keepwell/alerting/playbook.toml", 0)])
    return found


def translation(language: str) -> Catalog:
    """The translation of a language, with what the template has and nothing else."""
    with po_of(language).open("rb") as file:
        held = read_po(file, locale=language, domain=DOMAIN)
    found = _Undated(locale=language, header_comment="# What people read of Keepwell.", charset="utf-8", fuzzy=False)
    for message in template():
        if message.id:
            told = held.get(message.id)
            kept = told.string if told is not None and told.id == message.id else None
            found.add(message.id, kept, locations=message.locations)
    return found


def po_of(language: str) -> Path:
    """Where the translation of a language stands, for people; the one for programs beside it ends in `.mo`."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def files() -> Iterator[tuple[Path, bytes]]:
    """Every file of the catalogue with what it has to hold."""
    yield TEMPLATE, _po(template())
    for language in LANGUAGES[1:]:
        found = translation(language)
        yield po_of(language), _po(found)
        compiled = BytesIO()
        write_mo(compiled, found)
        yield po_of(language).with_suffix(".mo"), compiled.getvalue()


def _po(catalog: Catalog) -> bytes:
    written = BytesIO()
    write_po(written, catalog, width=110, include_lineno=False, omit_header=False)
    return written.getvalue()


# ── reading level ───────────────────────────────────────────────────────────────────────────────────────


def reading(sentences: Sequence[str]) -> tuple[float, float]:
    """Words a sentence, and Flesch's reading ease (Flesch 1948, J Appl Psychol 32:221): 60 to 70 is plain English.

    Syllables are counted as groups of vowels, less a silent e at the end: a rule of thumb, right to about a tenth.
    """
    words = [re.findall(r"[A-Za-z']+", sentence) for sentence in sentences]
    count = sum(map(len, words))
    syllables = sum(_syllables(word.lower()) for each in words for word in each)
    return count / len(words), 206.835 - 1.015 * count / len(words) - 84.6 * syllables / count


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith("le") and groups > 1
    return max(groups - silent, 1)


def sentences() -> list[str]:
    """The English sentences, with what fills their places left out."""
    told = [message.id if isinstance(message.id, str) else message.id[-1] for message in template() if message.id]
    pieces = ("".join(part for part, *_ in string.Formatter().parse(text)) for text in told)
    return [one for text in pieces for one in re.split(r"(?<=[.?!;]) ", text) if len(one.split()) > 2]


def main() -> int:
    """Exit 0: written, or up to date; 1: `--check` found some that are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file is out of date")
    parser.add_argument("--reading", action="store_true", help="tell how easy the English reads, and end")
    asked = parser.parse_args()
    if asked.reading:
        length, ease = reading(sentences())
        sys.stdout.write(f"{len(sentences())} sentences, {length:.1f} words each, Flesch reading ease {ease:.0f}\n")
        return 0
    stale = [(path, held) for path, held in files() if not path.exists() or path.read_bytes() != held]
    for path, held in stale:
        if asked.check:
            sys.stderr.write(f"{path.relative_to(PACKAGE.parent)} is out of date: run `make docs`\n")
            continue
        path.write_bytes(held)
        sys.stdout.write(f"wrote {path.relative_to(PACKAGE.parent)}\n")
    return 1 if asked.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
