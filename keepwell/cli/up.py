"""`keepwell up`: everything in one process."""

from __future__ import annotations

import sys

from keepwell.cli._alone import alone
from keepwell.cli._options import Instance, IntakeHost, IntakePort, Interval, Keys, LogUrl, Prefix, Webhook
from keepwell.cli._together import Together, groups_of, settings_of
from keepwell.observe import setup_logging
from keepwell.streams.worker.process import stop_on_signals, tune_gc


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    host: IntakeHost = None,
    port: IntakePort = None,
    keys: Keys = None,
    interval: Interval = None,
    webhook: Webhook = None,
) -> None:
    """Run every service in one process, until Ctrl-C or SIGTERM; the notifier where a webhook is set."""
    flags = {
        "log": log, "topic_prefix": topic_prefix, "instance": instance, "ingest_host": host, "ingest_port": port,
        "keys": keys, "tick_interval": interval, "webhook": webhook,
    }  # fmt: skip
    settings = settings_of(flags, without=("clinician",))
    shared = settings["ingest"]
    setup_logging("up", shared.instance)
    stop = stop_on_signals()
    target = shared.open_log()
    try:
        with alone(shared, target, groups_of(settings)), Together(target, settings) as services:
            print(f"events: POST http://{services.addresses['ingest']}/v1/events   log: {shared.log}", file=sys.stderr)
            tune_gc()
            while not (stop.is_set() or services.stop.is_set()):
                stop.wait(0.2)
    finally:
        target.close()
