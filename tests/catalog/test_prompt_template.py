"""The prompt format that an admin gives a model."""

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import LanguageModel


@pytest.fixture
def admin(db: None) -> Client:
    User.objects.create_superuser("root", "root@example.org", "correct horse")
    client = Client()
    assert client.login(username="root", password="correct horse")
    return client


def form(name: str, prompt_template: str) -> dict[str, str]:
    return {
        "name": name,
        "visibility": "public",
        "position": "100",
        "input_price": "0",
        "output_price": "0",
        "prompt_template": prompt_template,
    }


def test_an_admin_chooses_a_format_and_takes_it_back(admin: Client) -> None:
    model = LanguageModel.objects.create(name="tiny")
    page = f"/admin/catalog/languagemodel/{model.pk}/change/"
    for chosen in ("vicuna_v1.1", "OpenHermes-2.5-Mistral-7B", ""):
        assert admin.post(page, form("tiny", chosen)).status_code == 302
        model.refresh_from_db()
        assert model.prompt_template == chosen


@pytest.mark.parametrize("wrong", ["vicuna v1.1", "../secrets", "a\nb", "vicuna\n", "x" * 101, "wörter"])
def test_what_cannot_be_a_name_is_refused(db: None, wrong: str) -> None:
    model = LanguageModel(name="tiny", prompt_template=wrong)
    with pytest.raises(ValidationError) as caught:
        model.full_clean()
    assert list(caught.value.message_dict) == ["prompt_template"]
