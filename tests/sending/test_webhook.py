"""The webhook after Standard Webhooks: names, signatures, and what each answer means."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import standardwebhooks

from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected
from keepwell.sending.settings import WebhookSettings
from keepwell.sending.webhook import Webhook, seconds_of
from tests.sending.receivers import Post, Receiver, Reply, serving

OLD, NEW = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
BODY = json.dumps({"alert_id": "al-1", "status": "raised", "reasons": ["Bindung fällt — 3 Punkte"]}, ensure_ascii=False)


def posted(receiver: Receiver, **settings: Any) -> Outcome:
    return Webhook(WebhookSettings(**settings).destination(receiver.url))("al-1.raised", BODY)


def test_a_post_has_the_headers_of_the_standard_and_the_alert_as_its_body() -> None:
    before = int(time.time())
    with serving(Receiver()) as receiver:
        assert posted(receiver, webhook_secret=OLD, webhook_token="t") == Delivered()
    (post,) = receiver.posts
    assert (post.id, post.headers["idempotency-key"]) == ("al-1.raised", "al-1.raised")
    assert before <= int(post.headers["webhook-timestamp"]) <= time.time()
    assert post.headers["webhook-signature"].startswith("v1,")
    assert (post.headers["content-type"], post.headers["authorization"]) == ("application/json", "Bearer t")
    assert post.body == BODY.encode()


def test_while_a_secret_is_rotated_receivers_verify_with_the_old_or_the_new_one() -> None:
    with serving(Receiver()) as receiver:
        posted(receiver, webhook_secret=f"{NEW} {OLD}")
    (post,) = receiver.posts
    for secret in (OLD, NEW):
        assert standardwebhooks.Webhook(secret).verify(post.body, dict(post.headers)) == json.loads(BODY)
    assert len(post.headers["webhook-signature"].split(" ")) == 2


def test_a_changed_body_or_another_secret_does_not_verify() -> None:
    with serving(Receiver()) as receiver:
        posted(receiver, webhook_secret=OLD)
    (post,) = receiver.posts
    for secret, body in ((NEW, post.body), (OLD, post.body.replace(b"al-1", b"al-2"))):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(secret).verify(body, dict(post.headers))


def test_without_a_secret_nothing_is_signed_and_without_a_token_nobody_is_named() -> None:
    with serving(Receiver()) as receiver:
        posted(receiver)
    (post,) = receiver.posts
    assert not {"webhook-signature", "authorization"} & post.headers.keys()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_only_an_answer_of_2xx_counts_as_taken(status: int) -> None:
    assert _answered((status, {})) == Delivered()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 408, 425, 429, 500, 502, 503, 504, 599])
def test_these_answers_are_asked_again(status: int) -> None:
    assert _answered((status, {})) == Later(f"the receiver answered {status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 451])
def test_these_answers_reject_the_alert_for_good(status: int) -> None:
    assert _answered((status, {})) == Rejected(status)


def test_410_is_the_end_of_the_receiver_not_of_the_alert() -> None:
    assert _answered((410, {})) == Gone()


def test_a_redirect_is_not_followed_and_the_token_does_not_leave() -> None:
    def elsewhere(_: Post) -> Reply:
        return 302, {"Location": other.url}

    with serving(Receiver()) as other, serving(Receiver(elsewhere)) as receiver:
        assert isinstance(posted(receiver, webhook_token="secret"), Later)
    assert other.posts == []


@pytest.mark.parametrize("status", [301, 429, 503])
def test_what_the_receiver_asks_for_with_retry_after_is_told(status: int) -> None:
    assert _answered((status, {"Retry-After": "120"})) == Later(f"the receiver answered {status}", 120.0)


def test_retry_after_is_read_as_seconds_or_as_a_date_and_nonsense_as_nothing() -> None:
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    seconds = now.timestamp()
    ahead = format_datetime(datetime(2026, 3, 2, 10, 2, tzinfo=UTC), usegmt=True)
    assert seconds_of(ahead, seconds) == 120.0
    assert seconds_of(ahead, seconds + 999) == 0.0
    assert [seconds_of(text, seconds) for text in (None, "", "soon", "-5", "1e9", "Mon, 99 Foo")] == [None] * 6
    assert seconds_of("9" * 400, seconds) == float("9" * 12), "no receiver brings a number that cannot be reckoned with"


def test_a_receiver_that_is_not_there_is_tried_later() -> None:
    outcome = Webhook(WebhookSettings().destination("http://127.0.0.1:9/in"))("al-1.raised", BODY)
    assert isinstance(outcome, Later) and not outcome.answered


def _answered(reply: Reply) -> Outcome:
    with serving(Receiver(lambda _: reply)) as receiver:
        return posted(receiver)
