"""`keepwell up`: everything in one process."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from keepwell.cli._alone import alone
from keepwell.cli._options import Database, Instance, IntakeHost, IntakePort, Interval, Keys, LogUrl, Prefix, Webhook
from keepwell.cli._together import Together, groups_of, settings_of
from keepwell.observe import setup_logging
from keepwell.settings import Settings
from keepwell.streams.worker.process import stop_on_signals, tune_gc
from keepwell.web.keys import KeyFile
from services.clinician.database import open_engine
from services.clinician.people.first import first_links
from services.clinician.settings import ClinicianSettings
from services.ingest.settings import IngestSettings


def command(
    *,
    log: LogUrl = None,
    database: Database = None,
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
        "log": log, "database": database, "topic_prefix": topic_prefix, "instance": instance, "ingest_host": host,
        "ingest_port": port,
        "keys": keys, "tick_interval": interval, "webhook": webhook,
    }  # fmt: skip
    settings = settings_of(flags)
    shared = settings["ingest"]
    setup_logging("up", shared.instance)
    stop = stop_on_signals()
    target = shared.open_log()
    try:
        with alone(shared, target, groups_of(settings)), Together(target, settings) as services:
            print(f"events: POST http://{services.address}/v1/events   log: {shared.log}", file=sys.stderr)
            print(f"page for clinicians: http://{services.address}/", file=sys.stderr)
            _invite(services.address, settings)
            tune_gc()
            while not (stop.is_set() or services.stop.is_set()):
                stop.wait(0.2)
    finally:
        target.close()


def _invite(address: str, settings: Mapping[str, Settings]) -> None:
    """While there are no users: a link for the first administrator of each clinic that has an API key."""
    intake, clinician = settings["ingest"], settings["clinician"]
    assert isinstance(intake, IngestSettings) and isinstance(clinician, ClinicianSettings)
    keys = KeyFile(intake.keys).all() if intake.keys.exists() else ()
    engine = open_engine(clinician.database)
    try:
        found = first_links(engine, {key.clinic for key in keys}, time.time_ns() // 1000)
    finally:
        engine.dispose()
    for link in found:
        told = f"http://{address}/welcome?key={link.key.get_secret_value()}"
        print(f"first administrator of {link.clinic} (opens once, within the hour): {told}", file=sys.stderr)
