"""Wires prompts: which channels the settings give, and what is done again and again about notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from keepwell.contract.outputs import Alert
from services.clinician.clinics import ClinicFacts
from services.clinician.prompts.digest import waiting
from services.clinician.prompts.hook import Hook
from services.clinician.prompts.mail import Mail
from services.clinician.prompts.outbox import Outbox, Sender
from services.clinician.prompts.raising import Channel, Prompts
from services.clinician.settings import ClinicianSettings


class Prompting(NamedTuple):
    """Prompts of a database: decided on, sent, forgotten in time."""

    prompts: Prompts
    outbox: Outbox

    def of_alerts(self, connection: sa.Connection, alerts: Sequence[Alert]) -> None:
        """Writes the notices of alerts, in the transaction that writes them."""
        self.prompts.of_alerts(connection, alerts)

    def turn(self) -> None:
        """Makes the digests that are due, and tries what is."""
        self.prompts.digests(self.outbox.engine, waiting(self.prompts.facts_of, self.prompts.now))
        self.outbox.send()
        self.outbox.prune()


def prompting_of(
    settings: ClinicianSettings, engine: sa.Engine, facts_of: Callable[[str], ClinicFacts], now: Callable[[], datetime]
) -> Prompting:  # fmt: skip
    """The prompts of a service: by mail and by webhook, as far as the settings have them; else none."""
    senders: dict[Channel, Sender] = {}
    if (server := settings.mail_server) is not None:
        senders["mail"] = Mail(server, settings.mail_from, settings.clinician_url, facts_of)
    if settings.prompt_webhook:
        senders["webhook"] = Hook(settings.destination(settings.prompt_webhook), settings.clinician_url)
    return Prompting(Prompts(frozenset(senders), facts_of, now), Outbox(engine, senders, facts_of, now))
