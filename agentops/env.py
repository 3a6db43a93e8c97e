"""Typed readers of the environment. A value that cannot be used stops the start, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"", "0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    """Read a yes or no.

    Raises:
        ImproperlyConfigured: the value is neither.
    """
    raw = os.environ.get(name)
    if raw is None:
        return default
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r} must be 1 or 0")


def number(name: str, default: float, *, least: float = 0) -> float:
    """Read a number not below `least`.

    Raises:
        ImproperlyConfigured: it is no number, or too small.
    """
    raw = os.environ.get(name, "")
    try:
        value = float(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} must be a number") from None
    if value < least:
        raise ImproperlyConfigured(f"{name}={raw!r} must be at least {least:g}")
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def mapping(name: str) -> dict[str, Any]:
    """Read a JSON object; nothing is an empty one.

    Raises:
        ImproperlyConfigured: it is something else.
    """
    try:
        value = json.loads(os.environ.get(name) or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object, like {{"bucket_name": "files"}}')
    return value


def mail_server(name: str, url: str) -> dict[str, object]:
    """Turn a URL like `smtp+starttls://user:password@host:587` into Django's settings.

    Raises:
        ImproperlyConfigured: it is no such URL.
    """
    parts = urlsplit(url)
    ports = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
    if url and (parts.scheme not in ports or not parts.hostname):
        raise ImproperlyConfigured(
            f"{name} must be a URL like smtp+starttls://user:password@host:587, smtps:// or smtp://"
        )
    return {
        "EMAIL_HOST": parts.hostname or "",
        "EMAIL_PORT": parts.port or ports.get(parts.scheme, 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+starttls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


def database(name: str, url: str) -> dict[str, object]:
    """Turn a `postgres://user:password@host:port/name` URL into Django's settings.

    Raises:
        ImproperlyConfigured: the URL is absent or not PostgreSQL's.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"{name} must be a URL like postgresql://user:password@host:5432/agentops; "
            "`make up` starts a PostgreSQL of its own and sets it"
        )
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(query.pop("host", parts.hostname or "")),
        "PORT": str(parts.port or ""),
        "OPTIONS": {key: unquote(value) for key, value in query.items()},
    }


def bounded(options: Mapping[str, Any], *, gone: int, idle: float) -> dict[str, Any]:
    """Add to a connection's options how long it may hang, and hang others; what is given stays.

    A server that vanished without a word is given up after `gone` seconds, whether it owes an
    answer (then it is probed) or has not confirmed what was sent. A transaction in which
    nothing is asked for `idle` seconds is ended by the server, with the locks it holds; 0: never.
    """
    wanted: dict[str, Any] = {
        "connect_timeout": gone,
        "keepalives_idle": max(gone // 3, 1),
        "keepalives_interval": max(gone // 6, 1),
        "keepalives_count": 4,
        "tcp_user_timeout": gone * 1000,
        **options,
    }
    return setting(wanted, "idle_in_transaction_session_timeout", round(idle * 1000) or None)


def setting(options: Mapping[str, Any], name: str, value: object | None) -> dict[str, Any]:
    """Add to a connection's options a setting of the server's; None adds none.

    A setting of that name that is given stays: of two the server takes the later.
    """
    if value is None:
        return dict(options)
    return {**options, "options": f"-c {name}={value} {options.get('options', '')}".strip()}
