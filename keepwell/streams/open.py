"""From a URL to a log: the one place that knows which backends there are."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from keepwell.streams.log import Log, LogError

WHERE: Final = "Where the log is: sqlite:///FILE or kafka://HOST:PORT[,HOST:PORT]."
"""What the option and the setting say."""
FORMS: Final = "memory://, sqlite:///file.db (sqlite:////folder/file.db from the root) or kafka://host:9092[,host:9092]"


def open_log(
    url: str, *, topic_prefix: str = "", security: Mapping[str, str] | None = None, must_exist: bool = False
) -> Log:
    """The log that `url` names, opened.

    `memory://` is a new, empty log at each call. `topic_prefix` goes before group names and transactional ids on Kafka,
    where installations share one name space; the other logs know a group by its topic, whose name has the prefix already.
    `security` is what a Kafka cluster asks for (see `KafkaLog`). `must_exist` is for who looks for what others wrote: a
    file that is missing is then not made. Raises `LogError` for a URL of another form and where the log cannot be opened.

    >>> open_log("postgres://host")
    Traceback (most recent call last):
    keepwell.streams.log.LogError: 'postgres://host' is not the URL of a log: write memory://, sqlite:///file.db ...
    """
    parts = _split(url)
    if security and parts.scheme != "kafka":
        raise LogError(f"security settings are for kafka://, not for {parts.scheme}://: leave them out")
    if parts.scheme == "memory" and not parts.netloc and not parts.path:
        # The backends are imported where they are used: kafka-python alone takes longer than the rest of a command.
        from keepwell.streams.memory import MemoryLog

        return MemoryLog()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        from keepwell.streams.sqlite.log import SqliteLog

        path = Path(unquote(parts.path[1:]))
        if must_exist and not path.exists():
            raise LogError(
                f"{path}: there is no such log, and none was made: name the one that the services write, with --log or "
                "KEEPWELL_LOG (sqlite:///file.db is relative to the working folder); keepwell topics begins a new one"
            )
        return SqliteLog(path)
    if parts.scheme == "kafka" and parts.netloc and parts.path in ("", "/"):
        from keepwell.streams.kafka.log import KafkaLog

        return KafkaLog(_addresses(url, parts.netloc), security=security, group_prefix=topic_prefix)
    raise _not_a_log(url)


def lock_file(url: str, topic_prefix: str) -> Path | None:
    """The file that stands for an installation on this machine, to be locked by who wants it alone; None for `memory://`.

    It lies beside the file of an embedded log, and for a cluster in the folder for temporary files, one for each user.
    """
    parts = _split(url)
    if parts.scheme == "memory":
        return None
    if parts.scheme == "sqlite":
        database = _database(parts)
        return database.with_name(f"{database.name}.{topic_prefix}up")
    return _temporary(f"{_cluster(parts)} {topic_prefix}", "up")


def member_file(url: str, topic_prefix: str, service: str, instance: str) -> Path | None:
    """The file that stands for one running worker on this machine, to be locked while it runs; None for `memory://`."""
    parts = _split(url)
    if parts.scheme == "memory":
        return None
    where = str(_database(parts)) if parts.scheme == "sqlite" else _cluster(parts)
    return _temporary(f"{where} {topic_prefix} {instance}", service)


def _database(parts: SplitResult) -> Path:
    return Path(unquote(parts.path[1:])).resolve()


def _cluster(parts: SplitResult) -> str:
    return ",".join(sorted(parts.netloc.split(",")))


def _temporary(means: str, suffix: str) -> Path:
    name = hashlib.sha256(means.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"keepwell-{os.getuid()}-{name}.{suffix}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _not_a_log(url) from None
    if "@" in parts.netloc:
        raise LogError(
            "a URL is no place for a password, it is seen by everyone: use the settings for Kafka's security"
        )
    if parts.query or parts.fragment:
        raise _not_a_log(url)
    return parts


def _addresses(url: str, hosts: str) -> list[str]:
    if "@" in hosts:
        raise LogError(
            "a URL is no place for a password, it is seen by everyone: use the settings for Kafka's security"
        )
    addresses = hosts.split(",")
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise LogError(
                f"{address!r} in {url!r} is not an address of a Kafka broker: write host:port, as in host:9092"
            )
    return addresses


def _not_a_log(url: str) -> LogError:
    return LogError(f"{url!r} is not the URL of a log: write {FORMS}")
