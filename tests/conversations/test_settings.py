"""A chat is set up: limits told, values sent to the worker, presets kept by one person."""

import json

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import (
    NUMBERS,
    SYSTEM_PROMPT_MAX_CHARS,
    ChatSettings,
    Number,
    settings_fields,
    settings_parse,
)
from apps.conversations.errors import (
    ChatNotFound,
    PresetNameWrong,
    SettingRefused,
    SignInRequired,
    TooManyPresets,
)
from apps.conversations.models import Conversation, Preset
from apps.conversations.selectors.settings import presets_list
from apps.conversations.services.branches import conversation_fork
from apps.conversations.services.settings import (
    PRESETS_MAX,
    conversation_configure,
    preset_delete,
    preset_save,
)
from apps.core.threads import in_thread
from tests.conversations.conftest import MODEL, Opens
from tests.conversations.test_services import answered
from tests.fake_worker import FakeWorker

ALL = {
    "system_prompt": "Answer in rhymes.",
    "temperature": "0.25",
    "top_p": "0.9",
    "max_tokens": "64",
    "seed": "7",
    "frequency_penalty": "-0.5",
    "presence_penalty": "1",
    "stop": "END\n\\n\\n",
}
SAMPLING = {
    "temperature": 0.25,
    "top_p": 0.9,
    "max_tokens": 64,
    "seed": 7,
    "frequency_penalty": -0.5,
    "presence_penalty": 1.0,
    "stop": ["END", "\n\n"],
}


# --- Reading a form ---------------------------------------------------------------------------------------------------


def test_a_form_is_read_as_what_a_worker_takes() -> None:
    assert settings_parse(ALL) == ChatSettings("Answer in rhymes.", SAMPLING)


def test_what_is_left_empty_is_left_to_the_model() -> None:
    assert settings_parse(dict.fromkeys(ALL, " ")) == ChatSettings()


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
@pytest.mark.parametrize("text", ["-3", "1e999", "nan", "inf", "two", "1,5", "٣٣٣٣٣٣٣٣٣٣٣", "9" * 5000])
def test_a_number_outside_of_its_limits_is_refused_by_name(number: Number, text: str) -> None:
    with pytest.raises(SettingRefused) as caught:
        settings_parse({number.name: text})
    assert number.label in caught.value.message
    assert f"{number.lowest:g}" in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": "a\nb\nc\nd\ne"},
        {"stop": "x" * 101},
        {"system_prompt": "x" * (SYSTEM_PROMPT_MAX_CHARS + 1)},
        {"max_tokens": "1.5"},
        {"seed": "0x10"},
    ],
    ids=["five stops", "a long stop", "a long prompt", "half a token", "hexadecimal"],
)
def test_other_nonsense_is_refused_too(fields: dict[str, str]) -> None:
    with pytest.raises(SettingRefused):
        settings_parse(fields)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "max_tokens": st.integers(1, 1_000_000),
            "stop": st.lists(st.sampled_from(["END", "\n", "\n\nUser:", "\t."]), min_size=1, max_size=4),
        },
    )
)
def test_what_a_form_shows_is_read_as_the_same_settings(sampling: dict[str, object]) -> None:
    settings = ChatSettings("Be brief.", sampling)
    assert settings_parse(settings_fields(settings)) == settings


# --- In a chat --------------------------------------------------------------------------------------------------------


async def test_the_worker_gets_what_was_set_from_the_first_message_on(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    async with opens(alice) as page:
        send = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Hi", "settings": ALL}
        await page.send(send)
        accepted = await page.until("turn.accepted")
        await page.until_end(accepted["generation"])
        again = await page.ask("And now?", conversation=accepted["conversation"]["id"])
        await page.until_end(again["generation"])
    for request in worker.requests:
        assert request["messages"][0] == {"role": "system", "content": "Answer in rhymes."}
        assert {name: request[name] for name in SAMPLING} == SAMPLING
    assert [m["role"] for m in worker.requests[1]["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"temperature": "3"}, "chat.setting_refused"),
        ({"logit_bias": "{}"}, "site.bad_frame"),
        ({"temperature": 1}, "site.bad_frame"),
        ([], "site.bad_frame"),
    ],
    ids=["over its limit", "unknown", "a number", "a list"],
)
async def test_a_first_message_with_wrong_settings_is_refused_and_nothing_is_stored(
    opens: Opens, alice: User, worker: FakeWorker, settings: object, code: str
) -> None:
    send = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Hi", "settings": settings}
    async with opens(alice) as page:
        if code == "site.bad_frame":
            await page.send_raw(json.dumps(send))
            assert (await page.next())["error"]["code"] == code
        else:
            assert await page.refused(send) == code
    assert not await in_thread(Conversation.objects.exists)


def test_settings_are_saved_and_shown_again(alice: User, alices: Actor, model: LanguageModel) -> None:
    client = Client()
    client.force_login(alice)
    url = f"/chat/{answered(alices).conversation.public_id}/settings"

    assert client.post(f"{url}/save", ALL).status_code == 204

    assert Conversation.objects.get().sampling == SAMPLING
    shown = client.get(url).content.decode()
    assert "Answer in rhymes." in shown
    assert 'name="temperature" type="text" inputmode="decimal" autocomplete="off" value="0.25"' in shown
    assert 'data-is-set="true"' in client.get(url.removesuffix("/settings")).content.decode()
    assert client.post(f"{url}/save", {}).status_code == 204
    assert Conversation.objects.get().sampling == {}


def test_a_refused_setting_is_told_in_words_and_changes_nothing(
    alice: User, alices: Actor, model: LanguageModel
) -> None:
    client = Client()
    client.force_login(alice)
    url = f"/chat/{answered(alices).conversation.public_id}/settings/save"
    client.post(url, {"seed": "1"})
    response = client.post(url, {"temperature": "9", "seed": "2"}, headers={"Accept": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Temperature must be a number from 0 to 2."
    assert Conversation.objects.get().sampling == {"seed": 1}


def test_a_fork_keeps_the_settings(alices: Actor, model: LanguageModel) -> None:
    turn = answered(alices)
    settings = settings_parse(ALL)
    conversation_configure(actor=alices, conversation_id=turn.conversation.public_id, settings=settings)
    fork = conversation_fork(
        actor=alices, conversation_id=turn.conversation.public_id, message_id=turn.assistant_message.public_id
    )
    assert (fork.system_prompt, fork.sampling) == ("Answer in rhymes.", SAMPLING)


# --- Presets ----------------------------------------------------------------------------------------------------------


def test_a_preset_is_kept_replaced_and_deleted(alice: User) -> None:
    client = Client()
    client.force_login(alice)

    first = client.post("/chat/presets/save", {**ALL, "preset_name": " Rhyming  poet "}).json()["presets"]
    second = client.post("/chat/presets/save", {"preset_name": "Rhyming poet", "seed": "3"}).json()["presets"]

    assert first[0]["name"] == "Rhyming poet"
    assert first[0]["fields"]["temperature"] == "0.25"
    assert [preset["id"] for preset in second] == [first[0]["id"]]
    assert (second[0]["fields"]["seed"], second[0]["fields"]["temperature"]) == ("3", "")
    assert "Rhyming poet" in client.get("/chat/settings").content.decode()
    assert client.post(f"/chat/presets/{first[0]['id']}/delete").json() == {"presets": []}
    assert client.post(f"/chat/presets/{first[0]['id']}/delete").status_code == 404


@pytest.mark.parametrize("name", ["", " \n", "x" * 81], ids=["none", "white space", "too long"])
def test_a_preset_needs_a_name(alices: Actor, name: str) -> None:
    with pytest.raises(PresetNameWrong):
        preset_save(actor=alices, name=name, settings=ChatSettings())


def test_presets_end_at_a_limit_but_can_still_be_replaced(alice: User, alices: Actor) -> None:
    Preset.objects.bulk_create(Preset(user=alice, name=str(n)) for n in range(PRESETS_MAX))
    with pytest.raises(TooManyPresets):
        preset_save(actor=alices, name="one more", settings=ChatSettings())
    preset_save(actor=alices, name="7", settings=ChatSettings("New"))
    assert len(presets_list(alices)) == PRESETS_MAX


def test_charlie_and_visitors_see_and_delete_no_preset_of_alices(
    alices: Actor, charlies: Actor, visitor: object
) -> None:
    preset = preset_save(actor=alices, name="Mine", settings=ChatSettings("Secret"))
    strangers = [charlies, Actor()]
    for stranger in strangers:
        assert presets_list(stranger) == []
        with pytest.raises(ChatNotFound):
            preset_delete(actor=stranger, preset_id=preset.public_id)
    assert Preset.objects.exists()
    with pytest.raises(SignInRequired):
        preset_save(actor=Actor(), name="Mine", settings=ChatSettings())


def test_charlie_sets_up_no_chat_of_alices(alices: Actor, charlies: Actor, model: LanguageModel) -> None:
    turn = answered(alices)
    with pytest.raises(ChatNotFound):
        conversation_configure(
            actor=charlies, conversation_id=turn.conversation.public_id, settings=ChatSettings("Obey Charlie.")
        )
