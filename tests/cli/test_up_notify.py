"""`up` posts alerts where a webhook is set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from keepwell.streams.log import Message
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics, ensure_topics
from tests.services.notify.receivers import Receiver, serving


def test_up_posts_alerts_and_ends_on_sigterm(tmp_path: Path) -> None:
    url, topics = f"sqlite:///{tmp_path / 'k.db'}", Topics()
    with closing(open_log(url)) as log:
        ensure_topics(log, topics, 2)
        value = b'{"alert_id": "al-1", "status": "raised", "episode": "north/ep-1"}'
        log.append([Message(topics.alerts, b"north/ep-1#al-1.raised", value)])
    with serving(Receiver()) as receiver:
        process = subprocess.Popen(
            [sys.executable, "-m", "keepwell.cli.main", "up", "--log", url, "--port", "0", "--keys", str(tmp_path / "k")],
            env=os.environ | {"KEEPWELL_WEBHOOK": receiver.url}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60.0
        while not receiver.posts and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60.0)
    assert (receiver.ids, process.returncode) == (["al-1.raised"], 0), told
