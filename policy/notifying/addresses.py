"""Where messages may go: public addresses over TLS, and what the operator allows."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

LONGEST_URL: Final = 500
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def why_not_url(url: str, allowed: Collection[str]) -> str:
    """Say why nothing is sent to this URL; empty where it may be.

    `allowed` are the operator's: hosts, or hosts with a port, that may be inside and need no TLS.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        return f"this is no URL: {error}"
    faults = [
        (
            parts.scheme not in {"http", "https"} or not parts.hostname,
            "it must begin with https:// and name a host",
        ),
        (bool(parts.username or parts.password), "it must not hold a user or a password"),
        (
            bool(parts.fragment) or len(url) > LONGEST_URL or not url.isprintable() or " " in url,
            f"it has no # or blanks, and {LONGEST_URL} characters at most",
        ),
    ]
    host = parts.hostname or ""
    if not is_allowed(host, port, allowed):
        plain = "it must begin with https://, unless the operator allows its host"
        faults += [(parts.scheme != "https", plain), (True, why_not_address(host))]
    return next((why for is_wrong, why in faults if is_wrong), "")


def is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Say whether the operator named this host, or this host and port."""
    shown = f"[{host}]" if ":" in host else host
    return bool({host, shown, f"{shown}:{port}"} & set(allowed))


def why_not_address(text: str) -> str:
    """Say why nothing is sent to this address; empty where it is public, or a name."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    inner = _inside(address)
    if not inner.is_global or inner.is_multicast:
        return f"{text} is not a public address; the operator may allow its host"
    return ""


def _inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Give the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo and address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or teredo or address
