"""Secrets at rest are each tenant's own, and show themselves to nobody."""

from __future__ import annotations

import pickle
from uuid import UUID

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import SecretUnreadable
from policy.secrets import Secret, decrypt, encrypt

ANN, BOB = UUID(int=1), UUID(int=2)


@given(st.text())
def test_what_was_stored_is_read_back(text: str) -> None:
    assert decrypt(ANN, encrypt(ANN, text)) == text


def test_another_tenant_cannot_read_it() -> None:
    with pytest.raises(SecretUnreadable):
        decrypt(BOB, encrypt(ANN, "sk"))


def test_a_changed_key_is_named_as_the_reason() -> None:
    stored = encrypt(ANN, "sk")

    with (
        override_settings(SECRET_KEY="another"),
        pytest.raises(SecretUnreadable, match="SECRET_KEY"),
    ):
        decrypt(ANN, stored)


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("sk-123")

    assert "sk-123" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "sk-123"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
