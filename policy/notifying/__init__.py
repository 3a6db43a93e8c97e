"""How a notice leaves: by a signed webhook or by e-mail, whatever may hang or say no."""

from policy.notifying.mail import mail
from policy.notifying.message import Message, Tried, written
from policy.notifying.webhooks import new_secret, post

__all__ = ["Message", "Tried", "mail", "new_secret", "post", "written"]
