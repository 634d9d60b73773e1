"""`keepwell dead-letters`: look at refused records, put them back after a mend, or give them up."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from keepwell.cli._common import failed, say
from keepwell.cli._offline import moment
from keepwell.cli._options import LogUrl
from keepwell.cli._settings import read
from keepwell.settings import Settings
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.dead_letters import MAX_ATTEMPTS, Letter

app = typer.Typer(
    help="List, show, replay and drop records that were refused.", no_args_is_help=True, rich_markup_mode=None
)

Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Prefix of the installation's topics.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str | None, typer.Option(help="Only those refused with this code.")]
Since = Annotated[str | None, typer.Option(help="Only those refused at or after this time, RFC 3339.")]
Source = Annotated[str | None, typer.Option(help="Only those from this topic, full name.")]
Number = Annotated[int | None, typer.Option("--partition", help="Only those from this partition of the source.")]
Offset = Annotated[int | None, typer.Option(help="Only the one at this offset of the source.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Everything = Annotated[bool, typer.Option("--all", help="Needed where no filter is given.")]


@app.command("list")
def list_letters(
    *,
    reason: Reason = None,
    since: Since = None,
    source: Source = None,
    partition: Number = None,
    offset: Offset = None,
    limit: Annotated[int, typer.Option(min=1, help="Print so many at most; the counts cover all.")] = 50,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """List refused records by name, reason and place, without their content."""
    with _opened(log, topic_prefix) as (target, topic):
        found = dead_letters.letters(target, topic, _filter(reason, since, source, partition, offset))
    counts = dict(Counter(letter.reason for letter in found).most_common())
    if as_json:
        say({"total": len(found), "reasons": counts, "letters": [_row(letter) for letter in found[:limit]]}, True)
        return
    for letter in found[:limit]:
        print("  ".join(str(value) for value in _row(letter).values()))
    if len(found) > limit:
        print(f"… and {len(found) - limit} more (--limit)")
    say({"total": len(found), "reasons": counts}, False)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The letter's name, as `list` prints it first, such as 3/17.")],
    payload: Annotated[bool, typer.Option("--payload", help="Print key, headers and value too: client data.")] = False,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Show one refused record."""
    with _opened(log, topic_prefix) as (target, topic):
        try:
            found = dead_letters.find(target, topic, name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if found is None:
        failed(f"there is no dead letter {name}: `keepwell dead-letters list` shows those that there are")
    say(_row(found) | (_content(found) if payload else {}), as_json)


@app.command()
def replay(
    *,
    reason: Reason = None,
    since: Since = None,
    source: Source = None,
    partition: Number = None,
    offset: Offset = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Put records back where they came from, untouched. Exit 1 where some were refused too often to be put back."""
    wanted = _filter(reason, since, source, partition, offset)
    _need_a_choice(everything, reason, since, source, partition, offset)
    with _opened(log, topic_prefix) as (target, topic):
        done = dead_letters.replay(target, dead_letters.letters(target, topic, wanted), dry_run)
    say({"would_replay" if dry_run else "replayed": done.replayed, "left": done.refused_too_often}, as_json)
    if done.refused_too_often:
        failed(f"{done.refused_too_often} were refused {MAX_ATTEMPTS} times and left: look at them, then drop them")


@app.command()
def drop(
    *,
    reason: Reason = None,
    since: Since = None,
    source: Source = None,
    partition: Number = None,
    offset: Offset = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Give records up: they are listed no more, and leave the log with its retention."""
    wanted = _filter(reason, since, source, partition, offset)
    _need_a_choice(everything, reason, since, source, partition, offset)
    with _opened(log, topic_prefix) as (target, topic):
        count = dead_letters.drop(target, dead_letters.letters(target, topic, wanted), dry_run)
    say({"would_drop" if dry_run else "dropped": count}, as_json)


@contextmanager
def _opened(log: str | None, topic_prefix: str | None) -> Iterator[tuple[Log, str]]:
    """The log and the name of its topic of dead letters."""
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    with closing(settings.open_log(must_exist=True)) as target:
        yield target, Topics(settings.topic_prefix).dead_letters


def _filter(
    reason: str | None, since: str | None, source: str | None, partition: int | None, offset: int | None
) -> Callable[[Letter], bool]:
    begin = moment(since)
    first = None if begin is None else int(begin.timestamp() * 1000)

    def wanted(letter: Letter) -> bool:
        return (
            (reason is None or letter.reason == reason)
            and (first is None or letter.record.timestamp >= first)
            and (source is None or letter.source.topic == source)
            and (partition is None or letter.source.number == partition)
            and (offset is None or letter.source_offset == offset)
        )

    return wanted


def _need_a_choice(everything: bool, *filters: object) -> None:
    if not everything and all(value is None for value in filters):
        raise typer.BadParameter("say which (--reason, --since, --source, --partition, --offset), or --all")


def _row(letter: Letter) -> dict[str, Any]:
    """What a letter tells without its content: nothing here comes from the payload or the key."""
    return {
        "name": letter.name,
        "refused_at": datetime.fromtimestamp(letter.record.timestamp / 1000, UTC).isoformat(timespec="seconds"),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": f"{letter.source.topic}[{letter.source.number}]@{letter.source_offset}",
        "attempts": letter.attempts,
        "bytes": len(letter.record.value or b""),
    }


def _content(letter: Letter) -> dict[str, Any]:
    return {
        "key": _readable(letter.record.key),
        "headers": {name: _readable(value) for name, value in letter.headers},
        "value": _readable(letter.record.value),
    }


def _readable(value: bytes | None) -> str | None:
    """Text where it is UTF-8, else base64 after a word that says so."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(value).decode()}"
