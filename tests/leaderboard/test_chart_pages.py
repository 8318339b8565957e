"""Charts as they are kept and shown: drawn once, by the board that they are of, and only with what somebody may see."""

import csv
import io
import re

import pytest
from django.test import Client
from pytest_django import Settings

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena.models import Arena, ArenaKind, Contestant
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard import chart_services
from apps.leaderboard.chart_services import charts_draw, told
from apps.leaderboard.charts.kinds import Kind
from apps.leaderboard.models import Chart, Snapshot
from tests.leaderboard.support import answered, command, vote

pytestmark = pytest.mark.django_db

ADDRESS = "/leaderboard/of/public/charts"
OF_A_CHART = (ADDRESS, f"{ADDRESS}/wins", f"{ADDRESS}/wins.csv", f"{ADDRESS}/wins.json")


def test_a_chart_comes_with_its_table_and_its_files(client: Client, votes: None) -> None:
    assert "nothing to draw yet" in client.get(ADDRESS).content.decode()
    assert client.get(f"{ADDRESS}/wins.csv").status_code == 404
    command("build")
    page = client.get(f"{ADDRESS}/wins").content.decode()
    assert "<svg" in page
    assert 'role="img" aria-label="A square of 3 models' in page
    assert re.search(r'<th scope="row" dir="auto">ant</th>(<td>(–|\d+%)</td>){3}', page)
    told_rows = client.get(f"{ADDRESS}/wins.json").json()["rows"]
    rows = list(csv.DictReader(io.StringIO(client.get(f"{ADDRESS}/wins.csv").content.decode())))
    assert [(row["model"], row["opponent"]) for row in rows] == [(row["model"], row["opponent"]) for row in told_rows]
    assert float(rows[0]["won"]) == told_rows[0]["won"]
    assert client.get(f"{ADDRESS}/nothing").status_code == 404
    assert client.get(f"{ADDRESS}/nothing.csv").status_code == 404


def test_pairs_add_up_to_the_votes(arena: Arena, three: list[Contestant]) -> None:
    ant, bug, cow = three
    for a, b in ((ant, bug), (bug, ant), (bug, cow), (cow, ant), (ant, bug)):
        vote(a, b)
    command("build", "--min-battles", "1")
    met = told(Snapshot.objects.get(), Actor()).met
    assert {(pair.first, pair.second): (pair.won, pair.lost, pair.tied) for pair in met} == {
        ("ant", "bug"): (2, 1, 0),
        ("ant", "cow"): (0, 1, 0),
        ("bug", "cow"): (1, 0, 0),
    }


def test_no_request_draws_and_nothing_is_drawn_twice(
    client: Client, arena: Arena, votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("build")
    assert Chart.objects.exists()
    monkeypatch.setattr(chart_services, "draw", lambda spec: pytest.fail("drawn again"))
    assert charts_draw(arena) == 0
    for kind in Kind:
        assert client.get(f"{ADDRESS}/{kind}").status_code == 200


def test_a_new_price_draws_what_shows_it(client: Client, arena: Arena, votes: None) -> None:
    command("build")
    assert not Chart.objects.filter(kind=Kind.PRICE).exists()
    LanguageModel.objects.filter(name="ant").update(output_price=3)
    assert charts_draw(arena) == 1
    assert "<td>3</td>" in client.get(f"{ADDRESS}/price").content.decode()
    LanguageModel.objects.filter(name="ant").update(output_price=0)
    assert charts_draw(arena) == 0
    assert "nothing to draw yet" in client.get(f"{ADDRESS}/price").content.decode()


def test_charts_of_an_older_board_are_shown_until_the_new_ones_are_there(
    client: Client, arena: Arena, three: list[Contestant], votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("build")
    vote(three[0], three[1])
    with monkeypatch.context() as patch:
        patch.setattr("apps.leaderboard.management.commands.leaderboard.charts_draw", lambda arena: 0)
        command("build")
    assert "40 votes" in client.get(ADDRESS).content.decode()
    charts_draw(arena)
    assert "41 votes" in client.get(ADDRESS).content.decode()
    assert set(Chart.objects.values_list("snapshot", flat=True)) == {Snapshot.objects.latest("pk").pk}


def test_a_model_that_somebody_may_not_see_is_in_no_chart_of_theirs(
    client: Client, alice: User, arena: Arena, votes: None
) -> None:
    command("build")
    LanguageModel.objects.filter(name="bug").update(visibility=Visibility.MEMBERS)
    Contestant.objects.filter(name="bug").update(is_automatic=True)
    # The charts that are there were drawn when everybody saw it: nobody gets them any more.
    assert "nothing to draw yet" in client.get(ADDRESS).content.decode()
    charts_draw(arena)
    for path in OF_A_CHART:
        assert b"bug" not in client.get(path).content
    assert b"cow" in client.get(ADDRESS).content
    client.force_login(alice)
    for path in OF_A_CHART:
        assert b"bug" in client.get(path).content


def test_two_that_are_read_alike_are_told_apart(client: Client, votes: None) -> None:
    LanguageModel.objects.update(display_name="Insect")
    Contestant.objects.update(is_automatic=True)
    command("build")
    page = client.get(ADDRESS).content.decode()
    assert "Insect (ant)" in page
    assert "Insect (bug)" in page


def test_speed_is_the_median_of_the_arenas_own_answers(alice: User, votes: None) -> None:
    answered(Contestant.objects.get(name="ant"), alice, tokens_per_s=[10.0, 40.0, 30.0])
    answered(Contestant.objects.get(name="bug"), alice, tokens_per_s=[8.0, 9.0])
    command("build")
    speeds = {model.key: model.tokens_per_s for model in told(Snapshot.objects.get(), Actor()).models}
    assert speeds == {"ant": 30.0, "bug": 8.5, "cow": None}


def test_charlie_finds_no_charts_of_a_private_arena(client: Client, charlie: User, arena: Arena, votes: None) -> None:
    command("build")
    Arena.objects.update(kind=ArenaKind.PRIVATE)
    client.force_login(charlie)
    for path in OF_A_CHART:
        assert client.get(path).status_code == 404


def test_where_visitors_may_not_chat_they_see_no_charts(client: Client, votes: None, settings: Settings) -> None:
    command("build")
    settings.VISITORS_MAY_CHAT = False
    for path in OF_A_CHART:
        assert client.get(path)["Location"].startswith("/accounts/login/")
