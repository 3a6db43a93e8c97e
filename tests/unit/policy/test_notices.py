"""Where notices may go, how long they are tried, and how they are signed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from standardwebhooks.webhooks import Webhook

from policy.core.notices import PAUSES, pause
from policy.notifying import Message, new_secret, post, written
from policy.notifying.addresses import why_not_url
from policy.notifying.webhooks import _headers
from policy.secrets import Secret


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a?b=c",
        "https://93.184.215.14/in",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/in",
    ],
)
def test_a_public_address_over_tls_is_told(url: str) -> None:
    assert why_not_url(url, []) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://user:word@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com:99999/",
        "ftp://hooks.example.com/",
        "https:///path",
        "https://hooks.example.com/a b",
        "",
    ],
)
def test_what_is_inside_or_no_address_is_not(url: str) -> None:
    assert why_not_url(url, []) != ""


def test_the_operator_allows_a_host_or_one_port_of_it() -> None:
    assert why_not_url("http://127.0.0.1:9000/in", ["127.0.0.1:9000"]) == ""
    assert why_not_url("http://127.0.0.1:9001/in", ["127.0.0.1:9000"]) != ""
    assert why_not_url("http://hooks.internal/in", ["hooks.internal"]) == ""


def test_a_notice_is_tried_less_and_less_often_and_then_no_more() -> None:
    waits = [pause(n, 0.5) for n in range(1, len(PAUSES) + 2)]

    assert waits[-1] is None
    assert all(a < b for a, b in pairwise(waits[:-1]) if a and b)


def test_both_secrets_sign_while_one_takes_the_others_place() -> None:
    new, old = new_secret(), new_secret()
    message = Message(
        id="msg_1", event="approval.requested", body=b"{}", secrets=(Secret(new), Secret(old))
    )

    headers = _headers(message, datetime.now(UTC))

    for key in (new, old):
        assert Webhook(key).verify("{}", headers) == {}


def test_a_name_that_leads_inside_is_refused_when_it_is_looked_up() -> None:
    message = Message(
        id="m", event="e", body=b"{}", url="https://localhost/in", secrets=(Secret(new_secret()),)
    )

    tried = post(message, now=datetime.now(UTC), allowed=[])

    assert not tried.sent
    assert "not a public address" in tried.error


def test_a_body_is_the_same_at_every_attempt_and_holds_the_link() -> None:
    body = {"type": "approval.requested", "timestamp": "now", "data": {"approval": 7}}

    first, second = (written(body, base="https://ops.example.com/") for _ in range(2))

    assert first == second
    assert b"https://ops.example.com/admin/approvals/7/" in first
