"""Secrets at rest: opened for the use that they were given for, with any key that is still listed."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.core.sealing import SecretUnreadable, reseal, seal, unseal

HERE, ELSEWHERE = "https://here.example", "https://elsewhere.example"


def test_a_sealed_secret_is_not_to_be_seen_and_opens_for_its_use_alone() -> None:
    sealed = seal("sk-very-secret", use=HERE)
    assert "sk-very-secret" not in sealed
    assert unseal(sealed, use=HERE) == "sk-very-secret"
    with pytest.raises(SecretUnreadable, match="another address") as refused:
        unseal(sealed, use=ELSEWHERE)
    assert "sk-very-secret" not in str(refused.value)


def test_the_first_key_encrypts_and_all_decrypt(settings: Any) -> None:
    old, new = "o" * 40, "n" * 40
    settings.ENCRYPTION_KEYS = [old]
    sealed = seal("sk-1", use=HERE)
    settings.ENCRYPTION_KEYS = [new, old]
    assert unseal(sealed, use=HERE) == "sk-1"
    again = reseal(sealed)
    settings.ENCRYPTION_KEYS = [new]
    assert unseal(again, use=HERE) == "sk-1"
    with pytest.raises(SecretUnreadable, match="ENCRYPTION_KEYS"):
        unseal(sealed, use=HERE)
    with pytest.raises(SecretUnreadable, match="ENCRYPTION_KEYS"):
        reseal(sealed)


def test_what_was_tampered_with_does_not_open() -> None:
    sealed = seal("sk-1", use=HERE)
    with pytest.raises(SecretUnreadable):
        unseal(sealed[:-8] + "AAAAAAA=", use=HERE)


def test_nothing_is_sealed_as_nothing() -> None:
    assert seal("", use=HERE) == unseal("", use=ELSEWHERE) == reseal("") == ""


def test_without_any_key_nothing_is_encrypted(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="ENCRYPTION_KEYS"):
        seal("sk-1", use=HERE)
