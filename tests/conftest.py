"""What every test may ask for."""

import pytest

from apps.accounts.models import User


@pytest.fixture
def alice(db: None) -> User:
    """Owns what a test makes."""
    return User.objects.create_user("alice", "alice@example.org", "correct horse")


@pytest.fixture
def bob(db: None) -> User:
    """A peer of Alice's."""
    return User.objects.create_user("bob", "bob@example.org", "battery staple")


@pytest.fixture
def charlie(db: None) -> User:
    """A stranger: knocks on every door and finds it shut."""
    return User.objects.create_user("charlie", "charlie@example.org", "paper clip")
