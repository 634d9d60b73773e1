"""The clinic's OpenID provider: what is asked of it, and that nothing forged, stale or of somebody else is believed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from authlib.oidc.core.util import create_half_hash
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from pydantic import SecretStr
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.clinician.people import oidc
from services.clinician.people.oidc import NoProvider, NotBelieved, OidcClient, Provider, proof_of, vouched
from tests.services.clinician.people.made import DAY, START
from tests.services.clinician.provider import ACCESS, ANNA, AT, CODE, NAMES, SECRET, FakeProvider, asked_for, rsa

PROOF = proof_of(SecretStr("what a browser's cookie holds"))
SECONDS = START // 1_000_000


class Meeting(NamedTuple):
    """A provider, and we who ask it."""

    there: FakeProvider
    ours: Provider

    def redeem(self, sender: str | None = None, at: int = START) -> Mapping[str, Any]:
        return asyncio.run(self.ours.redeem(CODE, PROOF, sender, at))

    def refused(self, why: str, sender: str | None = None, at: int = START) -> None:
        with pytest.raises(NotBelieved, match=why):
            self.redeem(sender, at)


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    with FakeProvider(SECONDS).serving() as there:
        there.nonce = PROOF.nonce
        yield Meeting(there, Provider(there.client(), NAMES))


def test_a_browser_is_sent_with_state_nonce_and_the_challenge_of_a_secret_that_stays_here(meeting: Meeting) -> None:
    asked = asked_for(asyncio.run(meeting.ours.door(PROOF, START)))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(PROOF.verifier.encode()).digest()).rstrip(b"=").decode()
    assert (asked.address, asked.challenge) == (f"{meeting.there.url}/auth", challenge)
    assert {name: asked.sent[name] for name in asked.sent if name not in ("state", "nonce", "code_challenge")} == {
        "client_id": "keepwell", "response_type": "code", "scope": "openid profile", "code_challenge_method": "S256",
        "redirect_uri": f"{AT}/login/provider/callback",
    }  # fmt: skip
    assert (asked.state, asked.nonce) == (PROOF.state, PROOF.nonce)
    assert len({PROOF.state, PROOF.nonce, PROOF.verifier}) == 3 and len(PROOF.verifier) == 43
    assert proof_of(SecretStr("another")).state != PROOF.state


def test_a_code_is_redeemed_with_the_verifier_and_the_secret_of_the_client(meeting: Meeting) -> None:
    assert meeting.redeem()["sub"] == ANNA["sub"]
    assert meeting.there.form == {
        "grant_type": "authorization_code", "code": CODE, "code_verifier": PROOF.verifier,
        "redirect_uri": f"{AT}/login/provider/callback",
    }  # fmt: skip
    basic = base64.b64encode(f"keepwell:{SECRET}".encode()).decode()
    assert meeting.there.headers["authorization"] == f"Basic {basic}"


def test_a_provider_that_takes_a_secret_in_the_form_alone_gets_it_there(meeting: Meeting) -> None:
    meeting.there.facts["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    meeting.redeem()
    assert meeting.there.form["client_secret"] == SECRET and "authorization" not in meeting.there.headers


def test_a_public_client_sends_its_name_alone(meeting: Meeting) -> None:
    public = Meeting(meeting.there, Provider(meeting.there.client(secret=None), NAMES))
    public.redeem()
    assert meeting.there.form["client_id"] == "keepwell" and "authorization" not in meeting.there.headers
    assert "client_secret" not in meeting.there.form and meeting.there.form["code_verifier"] == PROOF.verifier


def test_facts_and_keys_are_asked_for_once_an_hour(meeting: Meeting) -> None:
    for at in (START, START + 1, START + oidc.KEPT_US - 1):
        meeting.there.now = at // 1_000_000
        meeting.redeem(at=at)
    assert (meeting.there.asked["discovery"], meeting.there.asked["jwks"]) == (1, 1)
    meeting.there.now = SECONDS + 3600
    meeting.redeem(at=START + oidc.KEPT_US)
    assert (meeting.there.asked["discovery"], meeting.there.asked["jwks"]) == (2, 2)


CLAIMS: dict[str, Mapping[str, Any]] = {
    "nonce of another log-in": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another client": {"aud": "somebody-else"},
    "another client, asked for by us": {"aud": "somebody-else", "azp": "keepwell"},
    "several clients, for another one": {"aud": ["keepwell", "somebody-else"], "azp": "somebody-else"},
    "several clients, for nobody in particular": {"aud": ["keepwell", "somebody-else"]},
    "no client": {"aud": None},
    "another issuer": {"iss": "https://elsewhere.example"},
    "an issuer that begins like ours": {"iss": "http://127.0.0.1"},
    "no issuer": {"iss": None},
    "expired": {"exp": SECONDS - oidc.LEEWAY},
    "never expires": {"exp": None},
    "expires at a word": {"exp": "tomorrow"},
    "not yet valid": {"nbf": SECONDS + 3600},
    "issued tomorrow": {"iat": SECONDS + DAY // 1_000_000},
    "not issued": {"iat": None},
    "nobody": {"sub": None},
    "nobody's name": {"sub": ""},
    "a number for a name": {"sub": 7},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_token_with_a_wrong_claim_is_not_believed(meeting: Meeting, claims: Mapping[str, Any]) -> None:
    meeting.there.token = meeting.there.signed(claims)
    meeting.refused("^ID token: ")


def test_a_token_of_several_clients_that_is_for_us_is_believed(meeting: Meeting) -> None:
    half = create_half_hash(ACCESS, "RS256")
    assert half is not None
    meeting.there.token = meeting.there.signed(
        {"aud": ["keepwell", "x"], "azp": "keepwell", "at_hash": half.decode(), "exp": SECONDS - oidc.LEEWAY + 1}
    )
    assert meeting.redeem()["sub"] == ANNA["sub"]


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(there: FakeProvider) -> str:
    _, claims, _ = there.signed().split(".")
    return f"{encoded({'alg': 'none'})}.{claims}."


def by_public_key(there: FakeProvider) -> str:
    claims = there.signed().split(".")[1]
    told = f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{claims}"
    assert isinstance(there.key, RSAKey)
    mac = hmac.new(there.key.as_pem(private=False), told.encode(), hashlib.sha256).digest()
    return f"{told}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def by_secret(there: FakeProvider) -> str:
    return there.signed(key=OctKey.import_key(SECRET.encode() * 2, {"kid": "first"}), alg="HS256")


def by_own_key(there: FakeProvider) -> str:
    return there.signed(key=(key := rsa("first")), jwk=key.as_dict(private=False))


def changed(there: FakeProvider) -> str:
    head, _, signature = there.signed().split(".")
    return f"{head}.{encoded({'sub': 'somebody else'})}.{signature}"


def without_end(there: FakeProvider) -> str:
    return there.signed().rsplit(".", 1)[0] + "."


FORGED: dict[str, Callable[[FakeProvider], str]] = {
    "no signature": unsigned,
    "the public key as a shared secret": by_public_key,
    "the client's secret": by_secret,
    "another key of the same name, brought along": by_own_key,
    "other claims under the signature": changed,
    "the signature cut off": without_end,
    "a word": lambda _: "token",
    "two dots": lambda _: "..",
    "a list": lambda _: f"{encoded([])}.{encoded([])}.AAAA",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_not_believed(meeting: Meeting, forge: Callable[[FakeProvider], str]) -> None:
    meeting.there.token = forge(meeting.there)
    meeting.refused("^ID token: ")


def test_a_shared_secret_among_the_published_keys_signs_nothing(meeting: Meeting) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared"})
    meeting.there.token = meeting.there.signed(key=secret, alg="HS256")
    meeting.there.besides = [secret.as_dict(private=True)]
    meeting.refused("UnsupportedAlgorithm")


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (lambda: ECKey.generate_key("P-256", {"kid": "e"}), "ES256"),
        (lambda: OKPKey.generate_key("Ed25519", {"kid": "o"}), "Ed25519"),
        (lambda: rsa("p"), "PS256"),
    ],
)
def test_keys_of_other_kinds_sign_too(meeting: Meeting, key: Callable[[], Any], alg: str) -> None:
    meeting.there.key = key()
    meeting.there.published = [meeting.there.key]
    meeting.there.token = meeting.there.signed(alg=alg)
    assert meeting.redeem()["sub"] == ANNA["sub"]


def test_a_token_that_names_no_key_is_believed_of_the_only_one(meeting: Meeting) -> None:
    meeting.there.token = meeting.there.signed(kid=None)
    assert meeting.redeem()["sub"] == ANNA["sub"]


def test_new_keys_are_fetched_when_a_token_names_one_and_old_ones_are_gone_then(meeting: Meeting) -> None:
    meeting.redeem()
    old, meeting.there.key = meeting.there.key, rsa("second")
    meeting.there.published = [meeting.there.key]
    meeting.redeem()
    assert meeting.there.asked["jwks"] == 2
    meeting.there.token = meeting.there.signed(key=old)
    meeting.refused("InvalidKeyId")


def test_an_unknown_key_is_looked_for_once(meeting: Meeting) -> None:
    meeting.redeem()
    meeting.there.token = meeting.there.signed(key=rsa("unknown"))
    meeting.refused("InvalidKeyId")
    assert meeting.there.asked["jwks"] == 2


def test_an_answer_that_names_another_sender_is_not_believed(meeting: Meeting) -> None:
    meeting.refused("iss of the answer", sender="https://elsewhere.example")
    assert meeting.there.asked["token"] == 0, "the code goes nowhere"
    assert meeting.redeem(sender=meeting.there.url)
    meeting.there.facts["authorization_response_iss_parameter_supported"] = True
    later = Meeting(meeting.there, Provider(meeting.there.client(), NAMES))
    later.refused("iss of the answer")


def test_a_code_that_is_used_or_unknown_proves_nobody(meeting: Meeting) -> None:
    asyncio.run(meeting.ours.door(PROOF, START))
    meeting.there.answer = JSONResponse({"error": "invalid_grant"}, 400)
    meeting.refused("^code$")
    meeting.there.answer = JSONResponse({"access_token": "x", "token_type": "Bearer"})
    meeting.refused("no ID token")


ANSWERS: dict[str, Callable[[], Response]] = {
    "an error": lambda: Response("a page", 500),
    "a page": lambda: Response("<p>Welcome"),
    "a list": lambda: JSONResponse([]),
    "not known": lambda: JSONResponse({"error": "invalid_client"}, 401),
    "nonsense": lambda: JSONResponse({"expires_in": [], "expires_at": []}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_provider_that_answers_something_else_is_none(meeting: Meeting, answer: Callable[[], Response]) -> None:
    asyncio.run(meeting.ours.door(PROOF, START))
    meeting.there.answer = answer()
    with pytest.raises(NoProvider):
        meeting.redeem()
    fresh = Provider(meeting.there.client(), NAMES)
    with pytest.raises(NoProvider):
        asyncio.run(fresh.door(PROOF, START))
    meeting.there.answer = None
    assert asyncio.run(fresh.door(PROOF, START)), "a failure is not kept"


def test_a_redirect_is_not_followed(meeting: Meeting) -> None:
    asyncio.run(meeting.ours.door(PROOF, START))
    meeting.there.answer = RedirectResponse(f"{meeting.there.url}/elsewhere", 307)
    with pytest.raises(NoProvider):
        meeting.redeem()
    with pytest.raises(NoProvider):
        asyncio.run(Provider(meeting.there.client(), NAMES).door(PROOF, START))
    assert meeting.there.asked["elsewhere"] == 0


@pytest.mark.parametrize(
    "facts",
    [
        {"issuer": "https://elsewhere.example"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "http://id.example/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": 7},
    ],
)
def test_facts_that_are_not_the_providers_or_not_safe_open_no_door(meeting: Meeting, facts: dict[str, Any]) -> None:
    meeting.there.facts = facts
    with pytest.raises(NoProvider):
        asyncio.run(meeting.ours.door(PROOF, START))


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
def test_neither_code_nor_trust_goes_over_an_open_line(meeting: Meeting, name: str) -> None:
    meeting.there.facts = {name: "http://id.example/"}
    with pytest.raises(NoProvider, match=name):
        meeting.redeem()


def test_nobody_there_and_nobody_answering_are_no_provider(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    client = OidcClient(f"http://127.0.0.1:{unused_port}", "keepwell", None, AT, "openid")
    with pytest.raises(NoProvider, match="ConnectError"):
        asyncio.run(Provider(client, NAMES).door(PROOF, START))
    monkeypatch.setattr(oidc, "LONGEST", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = client._replace(issuer=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(NoProvider, match="TimeoutError"):
            asyncio.run(Provider(slow, NAMES).door(PROOF, START))


def test_the_way_out_is_the_providers_where_it_offers_one(meeting: Meeting) -> None:
    assert asyncio.run(meeting.ours.way_out(START)) is None
    meeting.there.facts["end_session_endpoint"] = f"{meeting.there.url}/end?realm=north"
    out = asyncio.run(Provider(meeting.there.client(), NAMES).way_out(START))
    assert out == (
        f"{meeting.there.url}/end?realm=north&client_id=keepwell"
        "&post_logout_redirect_uri=https%3A%2F%2Fkeepwell.example%2Flogin"
    )


def test_claims_say_who_and_as_what() -> None:
    found = vouched(ANNA, NAMES, "https://id.example")
    assert found == ("https://id.example", "5f1c", "Anna", "north", "clinician", "c-4")
    groups = {**ANNA, "keepwell_role": ["staff", "supervisor", 7], "keepwell_clinic": ["north"]}
    assert vouched(groups, NAMES, "i") == ("i", "5f1c", "Anna", "north", "supervisor", None)
    assert vouched({**ANNA, "preferred_username": 7}, NAMES, "i") is not None


@pytest.mark.parametrize(
    "claims",
    [
        {"keepwell_clinic": None}, {"keepwell_clinic": ""}, {"keepwell_clinic": "North!"}, {"keepwell_clinic": 7},
        {"keepwell_clinic": ["north", "south"]}, {"keepwell_clinic": "north/../south"}, {"keepwell_role": None},
        {"keepwell_role": "chief"}, {"keepwell_role": ["supervisor", "administrator"]}, {"keepwell_role": "Administrator"},
        {"keepwell_clinician": None}, {"keepwell_clinician": "c 4"}, {"keepwell_clinician": "x" * 129},
        {"keepwell_role": {"supervisor": True}},
    ],
)  # fmt: skip
def test_claims_that_are_missing_or_mean_nothing_vouch_for_nobody(claims: Mapping[str, Any]) -> None:
    told = {name: value for name, value in {**ANNA, **claims}.items() if value is not None}
    assert vouched(told, NAMES, "https://id.example") is None
