"""How long after an event is posted its alert is on a page that is open in a browser, without a reload."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack

from playwright.sync_api import Browser

from benchmarks.figures import Figure, Plan, at_most
from tests.browser.clinic import HERS, WholeClinic
from tests.browser.tools import running_chromium
from tests.postgres import Postgres, from_pypi

EACH = 3
"""Events of a round."""
PATIENCE_MS = 60_000


def measure(plan: Plan) -> list[Figure]:
    """From the request to the intake until the alert can be seen; all services are one process."""
    with running_chromium() as browser:
        with WholeClinic() as clinic:
            figures = [_on("files", clinic, browser, plan)]
        if plan.kafka is not None:
            with ExitStack() as opened:
                database = opened.enter_context(opened.enter_context(Postgres(from_pypi())).database())
                log, prefix = f"kafka://{plan.kafka}", f"b{uuid.uuid4().hex[:10]}."
                clinic = opened.enter_context(WholeClinic(log=log, database=database, prefix=prefix))
                figures.append(_on("Kafka and PostgreSQL", clinic, browser, plan))
    return figures


def _on(name: str, clinic: WholeClinic, browser: Browser, plan: Plan) -> Figure:
    context = browser.new_context(base_url=clinic.url)
    context.set_default_timeout(PATIENCE_MS)
    cookies = clinic.cookies("clinician")
    context.add_cookies([{"name": one, "value": value, "url": clinic.url} for one, value in cookies.items()])
    page = context.new_page()
    page.goto("/")
    samples = []
    for number in range(plan.rounds * EACH):
        subject = f"seen-{number}"
        clinic.tell(subject, "episode.opened", client_id=f"p-{subject}", clinician_id=HERS)
        clinic.tell(subject, "session.attended")
        row = page.locator(f"[data-episode='north/{subject}']")
        row.wait_for()
        clinic.settle()
        began = time.perf_counter()
        clinic.tell(subject, "rupture.noted", kind="withdrawal", pillar="tasks")
        row.locator("[data-alert]").wait_for()
        samples.append(time.perf_counter() - began)
    context.close()
    return Figure(f"{name}: event posted → alert on the open page", samples, "s", at_most(2.0))
