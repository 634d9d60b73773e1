"""A receiver in Node verifies what we post with npm's `standardwebhooks`: another hand's reading of the same standard."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from keepwell.sending.outcome import Delivered, Later, Outcome, Rejected
from keepwell.sending.settings import WebhookSettings
from keepwell.sending.webhook import Webhook
from keepwell.web.server import Server
from tests.sending.receivers import Post, Receiver, serving

HERE = Path(__file__).parent
STORE = HERE.parents[1] / ".node"
DOCS = HERE.parents[1] / "docs" / "how-to" / "webhook.md"
PACKAGE = "standardwebhooks@1.1.1"
OLD, NEW = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (3, 4))
BODY = json.dumps(
    {"alert_id": "al-1", "status": "raised", "reasons": ["Bindung fällt — 3 Punkte 🙂"]}, ensure_ascii=False
)


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the package, installed when the first test asks. A missing Node or npm is a failure."""
    if not (STORE / "node_modules" / "standardwebhooks").exists():
        STORE.mkdir(exist_ok=True)
        subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(STORE), PACKAGE],
            check=True, capture_output=True, timeout=120, cwd=STORE,
        )  # fmt: skip
    return STORE / "node_modules"


@pytest.fixture(scope="module")
def post() -> Post:
    with serving(Receiver()) as receiver:
        Webhook(WebhookSettings(webhook_secret=f"{NEW} {OLD}").destination(receiver.url))("al-1.raised", BODY)
    return receiver.posts[0]


def verified(modules: Path, secret: str, post: Post) -> subprocess.CompletedProcess[str]:
    given = json.dumps({"secret": secret, "headers": post.headers, "body": post.body.decode()})
    return subprocess.run(
        ["node", str(HERE / "verify.cjs")], input=given, capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"NODE_PATH": str(modules)},
    )  # fmt: skip


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_node_verifies_with_either_secret_of_a_rotation(modules: Path, post: Post, secret: str) -> None:
    done = verified(modules, secret, post)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(BODY)


def test_the_receiver_in_node_that_the_docs_show_takes_what_is_signed_and_refuses_the_rest(
    modules: Path, unused_port: int
) -> None:
    program = modules.parent / f"receiver-{unused_port}.mjs"
    program.write_text(re.findall(r"```js\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[0], "utf-8")
    process = subprocess.Popen(
        ["node", str(program)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"WEBHOOK_SECRET": OLD, "PORT": str(unused_port)},
    )  # fmt: skip
    try:
        told = json.dumps({"kind": "risk", "status": "raised"})
        deadline = time.monotonic() + 60.0
        while isinstance(sent(unused_port, OLD, told), Later):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        assert sent(unused_port, OLD, told) == Delivered()
        assert sent(unused_port, NEW, told) == Rejected(401)
    finally:
        process.kill()
        out, _ = process.communicate()
        program.unlink()
    assert out.splitlines() == ["risk raised"], "a repeat is dropped"


def test_the_receiver_in_python_that_the_docs_show_takes_what_is_signed_and_refuses_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", OLD)
    shown: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[0], shown)
    with Server(shown["app"], "127.0.0.1", 0) as server:
        told = json.dumps({"kind": "risk", "status": "raised"})
        assert sent(server.port, OLD, told) == Delivered()
        assert sent(server.port, NEW, told) == Rejected(401)
    assert capsys.readouterr().out.splitlines() == ["risk raised"], "a repeat is dropped"


def sent(port: int, secret: str, body: str) -> Outcome:
    to = WebhookSettings(webhook_secret=secret).destination(f"http://127.0.0.1:{port}/in")
    return Webhook(to)("al-1.raised", body)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "body"])
def test_node_refuses_what_was_changed_on_the_way(modules: Path, post: Post, name: str) -> None:
    if name == "body":
        changed = post._replace(body=post.body.replace(b"raised", b"solved"))
    else:
        digits = post.headers[name].replace("1", "2")
        changed = post._replace(headers={**post.headers, name: digits})
    done = verified(modules, NEW, changed)
    assert done.returncode != 0 and "WebhookVerificationError" in done.stderr
