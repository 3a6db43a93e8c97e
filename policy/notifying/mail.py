"""E-mail notices, through the mail server that the operator set."""

from __future__ import annotations

import re
import smtplib
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMessage

from policy.notifying.message import Message, Tried

NO_SERVER: Final = "no mail server is set: the operator gives one as AGENTOPS_SMTP_URL"
SUBJECTS: Final = {
    "approval.requested": "Approval wanted: {tool}",
    "approval.escalated": "Approval escalated: {tool}",
    "approval.expiring": "Approval about to run out: {tool}",
    "approval.decided": "Approval decided: {tool}",
    "approval.expired": "Approval ran out: {tool}",
    "approval.withdrawn": "Approval no longer needed: {tool}",
    "budget.alerted": "{percent} % of a budget used up: {unit} of the {scope}",
}
FIRST: Final = (
    *("tool", "risk", "agent", "run", "state", "expires_at", "decision", "by"),
    *("scope", "unit", "bar", "percent", "used", "limit"),
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")


def mail(message: Message) -> Tried:
    """Send a message to all of its addresses at once, and say what came of it; raises nothing."""
    if not settings.EMAIL_HOST:
        return Tried(sent=False, error=NO_SERVER)
    data = message.data
    subject = SUBJECTS.get(message.event, message.event).format_map(data)
    letter = EmailMessage(
        subject=_CONTROLS.sub(" ", subject)[:200],
        body=_text(data),
        to=list(message.addresses),
        headers={"Message-ID": f"<{message.id}@agentops>", "Auto-Submitted": "auto-generated"},
    )
    try:
        letter.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return Tried(sent=False, error=f"{type(error).__name__}: {error}"[:300])
    return Tried(sent=True)


def _text(data: Any) -> str:
    known = [name for name in FIRST if data.get(name) not in (None, "")]
    more = [name for name in data if name not in (*FIRST, "link", "approval", "kind")]
    asks = "Look at it, and decide it there if it is yours to decide:"
    lines = [f"{name.replace('_', ' ')}: {_shown(data[name])}" for name in (*known, *more)]
    return "\n".join([*lines, "", asks if "approval" in data else "Look at it:", data["link"], ""])


def _shown(value: Any) -> str:
    return _CONTROLS.sub(" ", value if isinstance(value, str) else str(value))
