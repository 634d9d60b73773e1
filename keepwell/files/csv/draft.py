"""A draft of a mapping, from the tables themselves: what columns seem to be, and what a person has to check or fill in.

It is a beginning, never a decision: what cannot be known stays to be filled in, and a mapping that holds such a place is
refused. Columns that may name or reach a person are left out, and said.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

from keepwell.files.csv.cells import MappingError, alike
from keepwell.files.csv.dialect import Dialect
from keepwell.files.csv.mapping import FILL_IN, Table
from keepwell.files.csv.moments import likely_formats
from keepwell.files.csv.numbers import PLAIN, likely_forms
from keepwell.files.csv.tables import TableFile

Kind = Literal["person", "moment", "status", "score", "number", "id", "text", "empty"]

_ROWS: Final = 1000
"""Rows looked at."""
_STATUSES: Final = 12
"""Different contents that a column of statuses has at most."""
_LETTERS: Final = 30
"""The longest content that is shown in a draft: a longer one is a sentence about somebody."""

_PERSON: Final = re.compile(
    r"(^|[^a-z])(first|last|sur|fore|full|given|family|nick|patient|client)?[ _]?name|vorname|nachname|pr[eé]nom|"
    r"\bnom\b|nombre|apellido|e-?mail|phone|mobile|telefon|handy|fax|birth|geburt|\bgeb\b|\bdob\b|naissance|"
    r"nacimiento|address|adresse|anschrift|street|stra(ss|ß)e|post ?code|\bplz\b|\bzip\b|insur|versich|\bssn\b|"
    r"nhs (no|number)",
    re.IGNORECASE,
)
_MAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
_PHONE: Final = re.compile(r"(\+|00?)[\d /()\-]{7,}")
_ID: Final = re.compile(
    r"(^|[^a-z])(id|nr|no|num|number|key|code|ref|case|fall|file|akte|dossier)($|[^a-z])|id$", re.IGNORECASE
)

_EPISODE: Final = (
    "episode",
    "case",
    "fall",
    "file",
    "akte",
    "dossier",
    "referral",
    "course",
    "patient",
    "client",
    "klient",
)
_CLIENT: Final = ("client", "klient", "patient", "person")
_CLINICIAN: Final = (
    "clinician",
    "therapist",
    "therapeut",
    "counsellor",
    "counselor",
    "provider",
    "practitioner",
    "staff",
)
_OPENED: Final = (
    "opened",
    "referral",
    "referred",
    "admission",
    "aufnahme",
    "beginn",
    "start of treatment",
    "intake date",
)
"""Words in a column's name that tell what it is; the first that is found decides."""

_STATUS: Final = re.compile(r"status|state|statut|outcome|attend|result|ergebnis|kommen", re.IGNORECASE)

_VISITS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("appointment.missed", (
        "noshow", "dna", "didnotattend", "notattend", "missed", "fail", "nichterschienen", "versäumt", "absent",
    )),
    ("appointment.cancelled", ("cancel", "canc", "canx", "abgesagt", "storn", "annul", "afgezegd")),
    ("session.attended", (
        "attend", "arriv", "came", "seen", "completed", "present", "présent", "erschienen", "wahrgenommen",
    )),
)  # fmt: skip
"""By type of event, how statuses of visits that mean it are written, as `alike` has them; the first found decides."""

_INSTRUMENTS: Final = {
    "ors": "ORS", "srs": "SRS", "waisr": "WAI-SR", "phq9": "PHQ-9", "phq-9": "PHQ-9", "gad7": "GAD-7", "gad-7": "GAD-7",
    "oq45": "OQ-45", "oq-45": "OQ-45", "core10": "CORE-10", "core-10": "CORE-10",
}  # fmt: skip
"""Instruments known by name, as the names of columns have them."""


class Draft(NamedTuple):
    """The draft as TOML, and what was left out of it, a sentence each."""

    text: str
    warnings: Sequence[str]


def draft_mapping(files: Sequence[Path]) -> Draft:
    """Drafts a mapping for some tables. Raises `MappingError` where one of them cannot be read."""
    tables: dict[str, _Looked] = {}
    for path in sorted(files):
        name = re.sub(r"\W+", "_", path.name.partition(".")[0]).strip("_").lower() or "table"
        if name in tables:
            raise MappingError(f"{path.name}: another file would have the table {name} too; draft one file of a kind")
        tables[name] = _look(path)
    lines = [
        "# A draft by keepwell import-csv --draft. Nothing in it is decided: check each line against what your system means.",
        "# It shows statuses as they stand in the tables: look before you pass it on.",
        f"# Fill in what stands between < and >, then: keepwell import-csv DRAFT {' '.join(path.name for path in files)}",
        "",
        f"zone = {_fill_in('the time zone of the moments without offset, such as Europe/Berlin')}",
        f"source = {_fill_in('/CLINIC/SYSTEM, such as /north/booking')}",
    ]
    for name, looked in tables.items():
        lines += ["", *_table(name, looked)]
    for name, looked in tables.items():
        for event in filter(None, _events(name, looked)):
            lines += ["", *event]
    warnings = [
        f"{looked.path.name}: column `{column.name}` is left out: it may name or reach a person. Replace identifiers by "
        "pseudonyms before the import"
        for looked in tables.values() for column in looked.columns if column.kind == "person"
    ]  # fmt: skip
    return Draft("\n".join(lines) + "\n", warnings)


# ── what columns seem to be ─────────────────────────────────────────────────────────────────────────────


class _Column(NamedTuple):
    name: str
    kind: Kind
    contents: Sequence[str]
    """Of a status, its contents, the most frequent first."""
    formats: Sequence[str | None]
    numbers: Sequence[str]
    """Of numbers and scores, its cells."""
    unique: bool


class _Looked(NamedTuple):
    path: Path
    dialect: Dialect
    columns: Sequence[_Column]

    def of(self, kind: Kind, *words: str) -> Iterator[_Column]:
        """The columns of a kind with one of some words in their names, in the order of the words."""
        for word in words or ("",):
            yield from (column for column in self.columns if column.kind == kind and word in column.name.lower())


def _look(path: Path) -> _Looked:
    file = TableFile(path, Table(path.name), frozenset(), lambda path: path.open("rb"))
    rows = [row.cells for row, damage in islice(file.rows(), _ROWS) if not damage]
    names = [name for name in dict.fromkeys(file.columns) if name]
    return _Looked(path, file.dialect, [_column(name, [row[name] for row in rows]) for name in names])


def _column(name: str, cells: Sequence[str]) -> _Column:
    held = [cell for cell in cells if cell]
    contents = [content for content, _ in Counter(held).most_common()]
    unique = len(contents) == len(cells)
    column = _Column(name, "text", (), (), (), unique)
    if not held:
        return column._replace(kind="empty")
    if "{" in name or "}" in name:  # no text of a mapping can hold such a column
        return column
    if _PERSON.search(name) or any(_MAIL.search(cell) for cell in held):
        return column._replace(kind="person")
    formats = likely_formats(held[:200]) if not held[0].strip().isdigit() else []
    if formats:
        return column._replace(kind="moment", formats=formats)
    are_numbers = bool(likely_forms(held))
    if are_numbers and _instrument(name):
        return column._replace(kind="score", numbers=contents)
    if any(_PHONE.fullmatch(cell.strip()) for cell in held):
        return column._replace(kind="person")
    if _ID.search(name) or any(word in name.lower() for word in (*_EPISODE, *_CLINICIAN)):
        plain = all(cell.isascii() and not re.search(r"\s", cell) for cell in held)
        return column._replace(kind="id" if plain else "person")
    if are_numbers:
        return column._replace(kind="number", numbers=contents)
    named = _STATUS.search(name) or any(map(_visit, contents))
    if named and len(contents) <= _STATUSES and all(map(_is_status, contents)):
        one_each = {alike(content): content for content in reversed(contents)}
        return column._replace(kind="status", contents=list(reversed(one_each.values())))
    return column


def _is_status(content: str) -> bool:
    return len(content) <= _LETTERS and not re.search(r"\d{2}", content)


def _instrument(name: str) -> str | None:
    """The instrument that a column is named after."""
    found = [full for known, full in _INSTRUMENTS.items() if alike(name).startswith(known)]
    return found[0] if found else None


# ── what is written of them ─────────────────────────────────────────────────────────────────────────────


def _table(name: str, looked: _Looked) -> Iterator[str]:
    yield f"[tables.{name}]"
    yield f"file = {_quoted(looked.path.name)}"
    yield f"delimiter = {_quoted(looked.dialect.delimiter)}"
    yield f"encoding = {_quoted(looked.dialect.encoding)}"
    for doubt in looked.dialect.doubts:
        yield f"# check: {doubt}"
    numbers = [cell for column in looked.columns for cell in column.numbers]
    first, *others = likely_forms(numbers) or [PLAIN]
    if first != PLAIN:
        yield from first.lines
    if others:
        yield f"# check: its numbers may also be read with {' or with '.join(' and '.join(form.lines) for form in others)}"
    if numbers and not likely_forms(numbers):
        yield "# check: no form reads all of its numbers; say decimal and thousands"
    yield "# its columns:"
    for column in looked.columns:
        yield f"#   {_shown(column.name)}: {_told(column)}"


def _told(column: _Column) -> str:
    words: dict[Kind, str] = {
        "person": "LEFT OUT: may name or reach a person",
        "moment": f"moments, {' or '.join(form or 'ISO 8601' for form in column.formats)}",
        "status": f"statuses: {', '.join(map(_shown, column.contents))}",
        "score": "scores of an instrument",
        "number": "numbers",
        "id": "an id" + ("" if column.unique else ", repeated"),
        "text": "text, left out",
        "empty": "empty",
    }
    return words[column.kind]


class _Event(NamedTuple):
    """An event of a draft. `once` an episode, or once a row; `where` and `data` are lines of it."""

    type: str | None
    label: str
    when: _Column | None
    where: Sequence[str] = ()
    data: Sequence[str] = ()
    once: bool = False


def _events(name: str, looked: _Looked) -> Iterator[Sequence[str]]:
    opened = next(looked.of("moment", *_OPENED), None)
    client = next(looked.of("id", *_CLIENT), None)
    when = next((column for column in looked.of("moment") if column is not opened), opened)
    events = []
    if opened is not None and client is not None:
        data = [f"client_id = {_column_text(client)} # check: a pseudonym", *_clinician(looked, required=True)]
        events.append(_Event("episode.opened", "opened", opened, data=data, once=True))
    unguessed: list[str] = []
    for status in looked.of("status"):
        found = [_Event(kind, kind.partition(".")[2], when, where, _visit_data(looked, kind))
                 for kind in ("session.attended", "appointment.missed", "appointment.cancelled")
                 if (where := _where(status, kind))]  # fmt: skip
        rest = [content for content in status.contents if _visit(content) is None]
        if found and rest:
            unguessed += [
                f"# No event was guessed for {_shown(status.name)} = {', '.join(map(_shown, rest))}. Write one, or say under",
                f"# [tables.{name}] that these are meant to be left out:",
                f"#   left_out = {{ {_quoted(status.name)} = [{', '.join(map(_quoted, rest))}] }}",
            ]
        events += found
    for score in looked.of("score"):
        instrument = _instrument(score.name) or ""
        data = [
            f"instrument = {_quoted(instrument)}",
            f'scores = {{ total = {{ text = {_column_text(score)}, as = "number" }} }} # check: the total, or a part of it?',
        ]
        where = [f'where = {{ {_quoted(score.name)} = "*" }}']
        events.append(_Event("measure.completed", alike(score.name), when, where, data))
    for event in events or [_Event(None, "event", when)]:
        yield _written(name, looked, event)
    yield unguessed


def _written(name: str, looked: _Looked, event: _Event) -> list[str]:
    episodes = sorted(looked.of("id", *_EPISODE), key=lambda column: column.unique)
    rows = sorted(looked.of("id"), key=lambda column: not column.unique)
    key = next(iter(episodes if event.once else rows), None)
    id_ = (
        f"{name}-{event.label}-{{{key.name}}}"
        if key
        else f"{FILL_IN}a text with the row's own key in it, as {{column}}>"
    )
    subject = f"ep-{{{episodes[0].name}}}" if episodes else f"{FILL_IN}the episode of care, such as ep-{{column}}>"
    type_ = event.type or f"{FILL_IN}what a row tells: one of the types of the contract>"
    return [
        "[[events]]",
        f"table = {_quoted(name)}",
        *event.where,
        f"type = {_quoted(type_)}",
        f"id = {_quoted(id_)} # check: the same whenever the row is exported again, and no other row's",
        *(["first = true"] if event.once and key is not None and not key.unique else []),
        f"subject = {_quoted(subject)} # check: 1 to 128 letters, digits, . _ ~ -",
        *_time(event.when),
        *(["", "[events.data]", *event.data] if event.data else []),
    ]


def _where(status: _Column, kind: str) -> list[str]:
    contents = [content for content in status.contents if _visit(content) == kind]
    return [f"where = {{ {_quoted(status.name)} = [{', '.join(map(_quoted, contents))}] }}"] if contents else []


def _time(when: _Column | None) -> list[str]:
    if when is None:
        return [f"time = {_fill_in('when it happened: a text with a column in it')}"]
    first, *others = when.formats
    also = f", or {' or '.join(form or 'ISO 8601' for form in others)}" if others else ""
    form = f", format = {_quoted(first)}" if first else ""
    check = f"# check{also}: when it happened, to the minute, and known then"
    return [f"time = {{ text = {_column_text(when)}{form} }} {check}"]


def _visit_data(looked: _Looked, kind: str) -> list[str]:
    visit = next((column for column in looked.of("id") if column.unique), None)
    if visit is not None:
        lines = [f"appointment_id = {_column_text(visit)}"]
    else:
        lines = [f"appointment_id = {_fill_in('the id of the appointment, as {column}')}"]
    if kind == "appointment.cancelled":
        return [*lines, f"initiator = {_fill_in('who cancelled: client, clinician or clinic')}"]
    return [*lines, *_clinician(looked, required=False)] if kind == "session.attended" else lines


def _clinician(looked: _Looked, *, required: bool) -> list[str]:
    column = next(looked.of("id", *_CLINICIAN), None)
    if column is not None:
        return [f"clinician_id = {_column_text(column)} # check: a pseudonym"]
    return [f"clinician_id = {_fill_in('the clinician or team, a pseudonym')}"] if required else []


def _visit(status: str) -> str | None:
    form = alike(status).replace("-", "")
    return next((kind for kind, signs in _VISITS if any(sign in form for sign in signs)), None)


def _column_text(column: _Column) -> str:
    return _quoted(f"{{{column.name}}}")


def _fill_in(what: str) -> str:
    return _quoted(f"{FILL_IN}{what}>")


def _quoted(text: str) -> str:
    """A text in TOML, which quotes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(text: str) -> str:
    """A text in a comment."""
    return f"`{''.join(letter if letter.isprintable() else '?' for letter in text)}`"
