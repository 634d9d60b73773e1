"""Every metric of Keepwell, declared once. `python -m keepwell.metrics` prints their reference page.

No label may hold anything that comes from a payload, nor a pseudonym: labels are groups, partitions, reasons, kinds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


class MetricRow(NamedTuple):
    """One metric as the reference page tells it. `name` is the full name that Prometheus sees."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    unit: str
    help: str


REGISTRY: Final = CollectorRegistry()
TABLE: Final[list[MetricRow]] = []

# From a batch of one event (7 ms on Kafka, KAFKA.md (e)) to the longest that a transaction may take (15 s).
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
# Restores and requests reach further: years of state on a slow disk.
_LONG_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)


def _counter(name: str, unit: str, text: str, labels: Sequence[str] = ()) -> Counter:
    TABLE.append(MetricRow(f"keepwell_{name}_total", "counter", tuple(labels), unit, text))
    return Counter(name, text, labels, namespace="keepwell", registry=REGISTRY)


def _gauge(name: str, unit: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    TABLE.append(MetricRow(f"keepwell_{name}", "gauge", tuple(labels), unit, text))
    return Gauge(name, text, labels, namespace="keepwell", registry=REGISTRY)


def _histogram(name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
    TABLE.append(MetricRow(f"keepwell_{name}", "histogram", tuple(labels), "seconds", text))
    return Histogram(name, text, labels, namespace="keepwell", registry=REGISTRY, buckets=buckets)


RECEIVED = _counter("events_received", "records", "Records worked off and committed, accepted or refused.", ["group"])
ACCEPTED = _counter("events_accepted", "records", "Records that were valid and had their effect.", ["group"])
REFUSED = _counter(
    "events_refused", "records", "Records that became dead letters, by the code of the reason.", ["group", "reason"]
)
UNKNOWN_MEMBERS = _counter(
    "unknown_members", "members", "Members of `data` that the contract does not know; they are ignored.", ["group"]
)
LAG = _gauge("lag", "records", "Records of an owned partition still to be worked off.", ["group", "partition"])
PARTITIONS = _gauge("partitions", "partitions", "Partitions that this worker owns and has restored.", ["group"])
BATCH_SECONDS = _histogram("batch_seconds", "One batch: computing the step and committing it.", _SECONDS, ["group"])
COMMIT_SECONDS = _histogram("commit_seconds", "One commit, from hand-over to durable.", _SECONDS, ["group"])
RESTORE_SECONDS = _histogram(
    "restore_seconds", "From gaining a partition to its state being restored.", _LONG_SECONDS, ["group"]
)
RESTORED = _counter("records_restored", "records", "Changelog records read to restore state.", ["group"])
REBUILDS = _counter(
    "rebuilds",
    "rebuilds",
    "Times a worker dropped its memory and began anew, by cause: Doubt, Fenced.",
    ["group", "cause"],
)
GAPS_ACCEPTED = _counter(
    "gaps_accepted", "gaps", "Starts above records that were deleted unread, allowed by --accept-gap.", ["group"]
)
SCORES = _counter("scores", "scores", "Scores written.")
ALERTS = _counter("alerts", "alerts", "Alerts written, by kind and status.", ["kind", "status"])
NOTIFIED = _counter(
    "notified",
    "posts",
    "Posts of alerts by what became of them: sent; retried (to be tried again); rejected or undelivered (a dead letter).",
    ["result"],
)
PROMPTED = _counter(
    "prompts",
    "notices",
    "Notices to clinicians (digest, push, safety) by what became of them: sent; retried; needless or over_budget (not sent); "
    "dead (given up).",
    ["kind", "result"],
)
TICK_AGE = _gauge("tick_age_seconds", "seconds", "Age of the newest tick of the clock that was worked in.")
MODEL = _gauge("model_in_use", "1", "1 for each release in use, by role (champion, shadow).", ["release", "role"])
RELEASES_REFUSED = _counter(
    "releases_refused",
    "tries",
    "Tries to use a release that was refused, by reason: not_found, unreadable, changed, format, foreign, content, "
    "unsigned.",
    ["reason"],
)
HTTP_REQUESTS = _counter("http_requests", "requests", "HTTP requests answered, by status.", ["service", "status"])
HTTP_EVENTS = _counter(
    "http_events", "events", "Events that came over HTTP: accepted, or the code of the refusal.", ["result"]
)
HTTP_SECONDS = _histogram("http_seconds", "From an HTTP request to its answer.", _SECONDS, ["service"])

# Of `keepwell monitor --metrics`: each has labels, so that where nothing was judged there is no sample, and no 0.
ERASURES = _counter("erasures", "clients", "Erasures carried out: every record of the client has its deletion.")
MONITOR_AS_OF = _gauge("monitor_as_of_seconds", "seconds", "Until when outcomes were known, in Unix time.", ["release"])
MONITOR_MOMENTS = _gauge("monitor_moments", "moments", "Moments of episodes in the window.", ["release"])
MONITOR_PSI = _gauge(
    "monitor_psi",
    "1",
    "Population stability index of a feature or risk (kind) against the data of training; biased upwards by chance.",
    ["release", "kind", "name"],
)
MONITOR_DRIFT = _gauge(
    "monitor_drift",
    "1",
    "Whether it came in otherwise by more than chance: 0 no, 1 some (PSI from 0.1), 2 much (from 0.25).",
    ["release", "kind", "name"],
)
MONITOR_RATIO = _gauge(
    "monitor_observed_expected", "1", "What came true over what was foretold; 1 is right.", ["release", "output"]
)
MONITOR_SLOPE = _gauge("monitor_calibration_slope", "1", "Slope of calibration; 1 is right.", ["release", "output"])
MONITOR_ECE = _gauge("monitor_ece", "1", "Expected calibration error.", ["release", "output"])
MONITOR_AUROC = _gauge("monitor_auroc", "1", "How well risks tell apart; .5 is chance.", ["release", "output"])
MONITOR_ANSWERED = _gauge("monitor_alerts_answered", "share", "Alerts that got an answer, by kind.", ["kind"])
MONITOR_ANSWER_HOURS = _gauge("monitor_answer_hours", "hours", "Median time to the first answer, by kind.", ["kind"])
MONITOR_GAPS = _gauge("monitor_gaps", "share", "Moments whose score named a gap, by kind of gap.", ["kind"])
MONITOR_GAPS_MORE = _gauge(
    "monitor_gaps_commoner", "clinics", "Clinics in which a gap is commoner than usual, by kind of gap.", ["kind"]
)
MONITOR_SUGGESTS = _gauge(
    "monitor_suggests",
    "1",
    "1 for what is suggested: nothing, wait, look (at how data come in), recalibrate, retrain.",
    ["release", "kind"],
)
MONITORED: Final = (
    MONITOR_AS_OF, MONITOR_MOMENTS, MONITOR_PSI, MONITOR_DRIFT, MONITOR_RATIO, MONITOR_SLOPE, MONITOR_ECE, MONITOR_AUROC,
    MONITOR_ANSWERED, MONITOR_ANSWER_HOURS, MONITOR_GAPS, MONITOR_GAPS_MORE, MONITOR_SUGGESTS,
)  # fmt: skip
"""In the order of the file."""

for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=REGISTRY)


def reference() -> str:
    """The reference page, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "What `/metrics` of each service tells, in the text format of Prometheus. No label holds anything about a client.",
        "Those that begin with `keepwell_monitor_` are written by `keepwell monitor`, to a file for the node exporter.",
        "Besides these, the Python client's own `process_…` and `python_…` metrics.",
        "",
        "<!-- Generated by `python -m keepwell.metrics`; do not edit. -->",
        "",
        "| metric | kind | unit | labels | what it tells |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in TABLE:
        labels = ", ".join(f"`{label}`" for label in row.labels) or "none"
        lines.append(f"| `{row.name}` | {row.kind} | {row.unit} | {labels} | {row.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
