"""What every Kafka client of Keepwell shares: the way in, the time limits, plain words for errors, and quiet logs."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient

from keepwell.streams.log import Doubt, Fenced, LogError, OffsetGone

T = TypeVar("T")

TRANSACTION_SECONDS: Final = 15.0
"""After so long the broker aborts an open transaction (KAFKA.md (d)): readers wait no longer for a dead writer."""

UNDECIDED_SECONDS: Final = TRANSACTION_SECONDS + 15.0
"""After so long no transaction can still be open: the broker looks for overdue ones every 10 s (R6)."""

BOOTSTRAP_SECONDS: Final = 10.0
"""Time to find the cluster (KAFKA.md (d))."""

REQUEST_SECONDS: Final = 10.0
"""Time for one answer of the broker (KAFKA.md (d))."""

MESSAGE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of key, value and headers that one message may have; topics are created to hold it."""

FRAMING: Final = 64 * 1024
"""Bytes that Kafka may add to such a message, generously."""

_KEYS: Final = ("username", "password", "mechanism", "cafile")
_MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


def connection(bootstrap: Sequence[str], security: Mapping[str, str] | None) -> dict[str, object]:
    """The settings by which a client of kafka-python gets in.

    `security` None: plain TCP. Otherwise SASL over TLS with `username` and `password`, `mechanism` (default SCRAM-SHA-512)
    and `cafile` (default: the system's authorities). The host name is always checked. Raises `LogError` on a key it does not
    know or lacks; no message ever holds a password.
    """
    if not bootstrap:
        raise LogError("no Kafka broker is named: give at least one host:port")
    found: dict[str, object] = {
        "bootstrap_servers": list(bootstrap),
        "bootstrap_timeout_ms": ms(BOOTSTRAP_SECONDS),
        "request_timeout_ms": ms(REQUEST_SECONDS),
        "reconnect_backoff_max_ms": 1000,
    }
    if security is None:
        return found
    if unknown := sorted(security.keys() - set(_KEYS)):
        raise LogError(f"unknown security settings {', '.join(unknown)}: known are {', '.join(_KEYS)}")
    if missing := [key for key in ("username", "password") if not security.get(key)]:
        raise LogError(f"SASL needs {' and '.join(missing)}")
    mechanism = security.get("mechanism", _MECHANISMS[0])
    if mechanism not in _MECHANISMS:
        raise LogError(f"SASL mechanism {mechanism!r} is not supported: use one of {', '.join(_MECHANISMS)}")
    return found | {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": security["username"],
        "sasl_plain_password": _Secret(security["password"]),
        "ssl_context": _trust(security.get("cafile")),
    }


def build(client: Callable[..., T], settings: Mapping[str, object]) -> T:
    """A client of kafka-python, connected. Raises `LogError` that says what to check where it cannot get in."""
    hush()
    connections: list[Any] = []

    def connect(**wanted: Any) -> Any:
        connections.append(KafkaNetClient(**wanted))
        return connections[-1]

    try:
        return client(**settings, kafka_client=connect)
    except Exception as error:
        # The client is never handed out, and would leave its thread and sockets behind (KAFKA.md, F24).
        for made in connections:
            with contextlib.suppress(Exception):
                made.close()
        raise _refused(error, settings) from error


def explain(error: Exception, doing: str) -> LogError:
    """What an error of kafka-python means for a caller of the port. `doing` completes "while …"."""
    name = type(error).__name__
    if isinstance(error, errors.AuthorizationError):
        return LogError(f"the broker forbids it ({name}) while {doing}: {_RIGHTS.get(type(error), 'check the ACLs')}")
    if isinstance(error, errors.OffsetOutOfRangeError):
        return OffsetGone(f"records were deleted before they were read, noticed while {doing}")
    if isinstance(error, _FENCED):
        return Fenced(f"another member took over ({name}), noticed while {doing}")
    if isinstance(error, tuple(_REFUSED)):
        return LogError(f"the broker refuses a record ({name}) while {doing}: {_REFUSED[type(error)]}")
    return Doubt(f"Kafka failed with {name} while {doing}")


def explain_poll(consumer: Any, error: Exception, doing: str) -> LogError:
    """As `explain`, for an error of `consumer.poll`: that can also be one batch which cannot be unpacked, and then every poll
    meets it again, as the broker keeps what a sender wrote (KAFKA.md, F22)."""
    batch = consumer._fetcher._next_partition_records
    if batch is None or (isinstance(error, errors.KafkaError) and not isinstance(error, _UNREADABLE)):
        return explain(error, doing)
    topic, partition = batch.topic_partition
    codec = isinstance(error, errors.UnsupportedCodecError)
    why = (
        "it is compressed by a codec that is not installed here" if codec else f"it is damaged ({type(error).__name__})"
    )
    mend = "install lz4, python-snappy and zstandard" if codec else "mend what sends it"
    return LogError(
        f"{topic}[{partition}] has a batch of records, from offset {batch.next_fetch_offset} on, that cannot be read: {why}. "
        f"First {mend}. To go on without that batch, delete the records up to its end with kafka-delete-records.sh "
        "(kafka-dump-log.sh shows where that is), and start once with --accept-gap"
    )


def hush() -> None:
    """Keeps kafka-python at warnings, as its debug lines hold payloads and settings, and limits its talk of lost brokers.

    With a broker down it writes 3 to 6 lines a client and second (KAFKA.md, F24), and 10 while a transaction is undecided.
    """
    kafka = logging.getLogger("kafka")
    if kafka.level < logging.WARNING:
        kafka.setLevel(logging.WARNING)
    # A filter does not reach the children of its logger, so each of them needs it.
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith("kafka."):
            logging.getLogger(name).addFilter(_seldom)


def ms(seconds: float) -> int:
    """Seconds as kafka-python wants them."""
    return int(seconds * 1000)


class Seldom(logging.Filter):
    """Lets each place in the code speak once in `seconds`, and then tells how often it was kept silent."""

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """As `logging.Filter`."""
        place = (record.name, record.lineno)
        now = time.monotonic()
        last, silenced = self._said.get(place, (-self._seconds, 0))
        if now - last < self._seconds:
            self._said[place] = (last, silenced + 1)
            return False
        self._said[place] = (now, 0)
        if silenced:
            record.msg = f"{record.msg} ({silenced} more like this since)"
        return True


def _refused(error: Exception, settings: Mapping[str, object]) -> LogError:
    if isinstance(error, errors.KafkaTimeoutError):
        where = ", ".join(map(str, settings["bootstrap_servers"]))  # type: ignore[call-overload]  # a list, see above
        return LogError(
            f"no Kafka broker let us in at {where} within {BOOTSTRAP_SECONDS:.0f} s. From here these look alike, so check "
            "each: is the address right and the broker up; does its listener speak TLS where, and only where, a user name is "
            "set; are user name, password and mechanism right; does the CA file hold the authority of its certificate, and "
            "is the address one of its names. The lines of the logger kafka.net just before this one tell more."
        )
    if isinstance(error, OSError):
        return LogError(f"a Kafka client could not be made: {error.strerror or type(error).__name__}")
    if isinstance(error, errors.KafkaConfigurationError):
        return LogError(f"a Kafka client cannot be set up like this: {error}")
    return explain(error, "connecting")


def _trust(cafile: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise LogError(f"the CA file {cafile} cannot be used: {error.strerror or error}") from error


class _Secret(str):
    """A text that does not show itself when a dictionary that holds it is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


_seldom = Seldom()

_UNREADABLE: Final = (errors.CorruptRecordError, errors.UnsupportedCodecError)

_FENCED: Final = (errors.ProducerFencedError, errors.FencedInstanceIdError, errors.CommitFailedError)

_REFUSED: Final = {
    errors.MessageSizeTooLargeError: "raise max.message.bytes of the topic",
    errors.RecordListTooLargeError: "raise segment.bytes of the topic",
    errors.InvalidRecordError: "a compacted topic takes only records with a key",
}

_RIGHTS: Final = {
    errors.TopicAuthorizationFailedError: "a reader needs READ, a writer WRITE on the topic, and whoever creates it CREATE",
    errors.GroupAuthorizationFailedError: "it needs READ on the group",
    errors.TransactionalIdAuthorizationFailedError: "it needs WRITE on the transactional id",
    errors.ClusterAuthorizationFailedError: "it needs CREATE on the topic or the cluster",
}
