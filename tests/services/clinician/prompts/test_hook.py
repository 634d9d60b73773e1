"""Prompts by webhook, taken by a real receiver: signed as alerts are, naming an account and no client."""

from __future__ import annotations

import base64
import json

import standardwebhooks

from keepwell.sending.outcome import Delivered
from keepwell.sending.settings import WebhookSettings
from services.clinician.prompts.hook import Hook
from services.clinician.prompts.outbox import Prompt
from tests.sending.receivers import Receiver, serving

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


def test_a_prompt_says_who_is_to_look_and_where_signed_under_a_name_of_its_own() -> None:
    with serving(Receiver()) as receiver:
        hook = Hook(WebhookSettings(webhook_secret=SECRET).destination(receiver.url), "https://kw.example/")
        assert hook(Prompt("n-0123", "safety", "u-1", "north", "anna@north.example")) == Delivered()
    (post,) = receiver.posts
    told = standardwebhooks.Webhook(SECRET).verify(post.body, dict(post.headers))
    assert told == json.loads(post.body) == {
        "type": "prompt", "id": "n-0123", "kind": "safety", "clinic": "north", "user": "u-1", "link": "https://kw.example/",
    }  # fmt: skip
    assert post.id == "n-0123"
