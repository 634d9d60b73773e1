"""Mail through a real SMTP server: encrypted, with a link and nothing of anybody, and every refusal told by its kind."""

from __future__ import annotations

import email
import email.policy
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from keepwell.contract.say import Language, render
from keepwell.sending.outcome import Delivered, Later, Outcome, Rejected
from services.clinician.clinics import ClinicFacts
from services.clinician.prompts.addresses import MailServer
from services.clinician.prompts.mail import SUBJECT, Mail
from services.clinician.prompts.outbox import Prompt
from services.clinician.prompts.raising import Kind

PROMPT = Prompt("n-0123", "digest", "u-1", "north", "anna@north.example")
BASE = "https://keepwell.north.example"
HERE = "127.0.0.1"


class Box:
    """Keeps what arrives; answers to RCPT and DATA as it is told."""

    def __init__(self, rcpt: str = "250 OK", data: str = "250 OK") -> None:
        self.rcpt, self.data = rcpt, data
        self.got: list[Any] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:  # fmt: skip
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.encrypted.append(session.ssl is not None)
        return self.data


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def served(box: Box, unused_port: int) -> Iterator[int]:
    controller = Controller(box, hostname=HERE, port=unused_port)
    controller.start()
    yield unused_port
    controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key, file = (tmp_path_factory.mktemp("tls") / name for name in ("key.pem", "cert.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


def sent(
    port: int, prompt: Prompt = PROMPT, language: Language = "en", server: MailServer | None = None, **more: Any
) -> Outcome:
    facts = ClinicFacts(zone=ZoneInfo("Europe/Berlin"), language=language)
    there = server or MailServer(HERE, port, tls=False, this_machine=True)
    return Mail(there, "keepwell@north.example", BASE + "/", lambda _: facts, **more)(prompt)


@pytest.mark.parametrize("kind", list(SUBJECT))
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_mail_has_a_subject_a_link_and_nothing_of_anybody(
    served: int, box: Box, kind: Kind, language: Language
) -> None:
    assert sent(served, PROMPT._replace(kind=kind), language) == Delivered()
    (letter,) = box.got
    assert (letter["from"], letter["to"]) == ("keepwell@north.example", "anna@north.example")
    assert letter["message-id"] == "<n-0123@north.example>" and letter["auto-submitted"] == "auto-generated"
    assert letter.get_content_type() == "text/plain"
    text = letter.get_content()
    assert re.findall(r"\S+://\S+", text) == [f"{BASE}/", f"{BASE}/notices"]
    assert not re.search(r"\d", letter["subject"] + text.replace(BASE, "")), "no count, no name of anybody"
    assert ("list" in text or "Liste" in text) and letter["subject"] == render(SUBJECT[kind], language)


@pytest.mark.parametrize(
    ("rcpt", "data", "outcome"),
    [
        ("550 no such user anna@north.example", "250 OK", Rejected(550)),
        ("451 try later", "250 OK", Later("the mail server answered 451")),
        ("250 OK", "452 full", Later("the mail server answered 452", answered=False)),
        ("250 OK", "554 no", Later("the mail server answered 554", answered=False)),
    ],
)
def test_a_refusal_is_told_by_its_code_alone(box: Box, served: int, rcpt: str, data: str, outcome: Outcome) -> None:
    box.rcpt, box.data = rcpt, data
    assert sent(served) == outcome


def test_a_server_that_is_not_there_is_tried_later(unused_port: int) -> None:
    outcome = sent(unused_port)
    assert outcome == Later("the mail server cannot be used: ConnectionRefusedError", answered=False)


def test_a_server_elsewhere_that_offers_no_encryption_gets_no_mail(served: int, box: Box) -> None:
    outcome = sent(served, server=MailServer(HERE, served, tls=False, this_machine=False))
    assert isinstance(outcome, Later) and not outcome.answered
    assert box.got == []


@pytest.mark.parametrize("tls", [True, False])
def test_mail_is_handed_over_encrypted_with_a_log_in_to_who_the_certificate_says(
    box: Box, unused_port: int, certificate: Path, tls: bool
) -> None:
    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"kw", b"secret")
        return AuthResult(success=right, handled=False)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    options: dict[str, Any] = {"authenticator": authenticate, "auth_require_tls": not tls}
    if tls:
        options["ssl_context"] = context
    else:
        options |= {"tls_context": context, "require_starttls": True}
    controller = Controller(box, hostname=HERE, port=unused_port, **options)
    controller.start()
    try:
        right = MailServer(HERE, unused_port, tls, this_machine=False, user="kw", password=SecretStr("secret"))
        assert sent(unused_port, server=right, trust=trust) == Delivered()
        assert box.encrypted == [not tls], "of a connection encrypted from the start the server does not tell"
        wrong = sent(unused_port, server=right._replace(password=SecretStr("guess")), trust=trust)
        assert wrong == Later("the mail server answered 535", answered=False)
        stranger = sent(unused_port, server=right)
        assert stranger == Later("the mail server cannot be used: SSLCertVerificationError", answered=False)
    finally:
        controller.stop()
    assert len(box.got) == 1
