"""The admin's page of policies says what happens now, for every category and surface."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.moderation.choices import Action
from apps.moderation.models import Policy, Rule
from apps.moderation.selectors import decided, policy_table

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_category_has_its_action_on_each_surface_and_defaults_are_shown(rude: Rule) -> None:
    Rule.objects.create(name="Nur Deutsch", category="language", kind="only_lang", pattern="de")
    for surface, direction, category, action in (
        ("chat", "in", "rude", "redact"),
        ("chat", "out", "", "flag"),
        ("api", "in", "", "allow"),
        ("arena", "in", "spam", "flag"),
    ):
        Policy.objects.create(surface=surface, direction=direction, category=category, action=action)
    allow, flag, redact, refuse = Action.ALLOW, Action.FLAG, Action.REDACT, Action.REFUSE
    # Chat, API and arena, each what is sent and what is answered.
    assert {row.category: row.cells for row in policy_table(decided())} == {
        "language": (refuse, flag, allow, None, refuse, None),
        "rude": (redact, flag, allow, None, refuse, None),
        "spam": (refuse, flag, allow, None, flag, None),
        "unchecked": (flag, flag, flag, None, flag, None),
        "unknown-language": (allow, allow, allow, None, allow, None),
        "": (refuse, flag, allow, None, refuse, None),
    }


def test_the_page_shows_it_and_says_when_nobody_looks(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    page = reverse("admin:moderation_policy_changelist")
    assert "every text passes" in client.get(page).content.decode()
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother")
    shown = client.get(page).content.decode()
    for words in (
        "What happens now",
        '<th scope="row">rude</th><td>refuse</td><td>not looked at</td>',
        "everything else",
    ):
        assert words in shown
