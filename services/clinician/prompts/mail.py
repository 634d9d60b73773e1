"""Notices by mail: a subject and a link, over SMTP with TLS; nothing in it says whom or what it is about."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from keepwell.contract.say import Said, render
from keepwell.sending.outcome import Delivered, Later, Outcome, Rejected
from services.clinician.clinics import ClinicFacts
from services.clinician.prompts.addresses import MailServer
from services.clinician.prompts.outbox import Prompt
from services.clinician.prompts.raising import Kind
from services.clinician.sentences import words

SECONDS: Final = 10.0
"""So long each step of a conversation with the mail server may take; ours."""
SUBJECT: Final[dict[Kind, Said]] = {
    "digest": words("mail_digest"), "push": words("mail_push"), "safety": words("mail_safety"),
}  # fmt: skip
TEXT: Final[dict[Kind, Said]] = {
    "digest": words("mail_digest_text"), "push": words("mail_push_text"), "safety": words("mail_safety_text"),
}  # fmt: skip


class Mail:
    """Sends prompts from an address, with a link to the page at `base`, in the language of the clinic."""

    def __init__(
        self, server: MailServer, sender: str, base: str, facts_of: Callable[[str], ClinicFacts],
        trust: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._server = server
        self._sender = sender
        self._base = base.rstrip("/")
        self._facts_of = facts_of
        self._trust = trust or ssl.create_default_context()

    def __call__(self, prompt: Prompt) -> Outcome:
        """Hands one mail over, and says what became of it. Errors are told by their kind alone: servers repeat addresses."""
        assert prompt.mail is not None
        try:
            with self._connected() as smtp:
                smtp.send_message(self._letter(prompt, prompt.mail))
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            return Rejected(code) if code >= 500 else Later(f"the mail server answered {code}")
        except smtplib.SMTPResponseException as error:
            return Later(f"the mail server answered {error.smtp_code}", answered=False)
        except (OSError, smtplib.SMTPException) as error:
            return Later(f"the mail server cannot be used: {type(error).__name__}", answered=False)
        return Delivered()

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        smtp = (
            smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=self._trust)
            if server.tls
            else smtplib.SMTP(server.host, server.port, timeout=SECONDS)
        )
        try:
            if not server.tls and not server.this_machine:
                smtp.starttls(context=self._trust)
            if server.user is not None and server.password is not None:
                smtp.login(server.user, server.password.get_secret_value())
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _letter(self, prompt: Prompt, to: str) -> EmailMessage:
        language = self._facts_of(prompt.clinic).language
        letter = EmailMessage()
        letter["From"], letter["To"] = self._sender, to
        letter["Subject"] = render(SUBJECT[prompt.kind], language)
        letter["Date"] = formatdate()
        letter["Message-ID"] = f"<{prompt.name}@{self._sender.rpartition('@')[2].rstrip('>')}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
        lines = [
            render(TEXT[prompt.kind], language), f"{self._base}/", render(words("mail_why"), language),
            f"{self._base}/notices",
        ]  # fmt: skip
        letter.set_content("\n\n".join(lines) + "\n")
        return letter
