"""An arena with three models and votes, for tests of boards and pages; and random boards, for those of ratings."""

from random import Random

import numpy as np
import pytest

from apps.accounts.models import User
from apps.arena.models import Arena, Contestant, Verdict
from apps.catalog.models import LanguageModel
from apps.leaderboard.rating.battles import Battles
from tests.leaderboard.simulated import battles_drawn, strengths_drawn
from tests.leaderboard.support import vote


@pytest.fixture
def arena(db: None) -> Arena:
    return Arena.objects.get()


@pytest.fixture
def three(arena: Arena) -> list[Contestant]:
    names = ("ant", "bug", "cow")
    models = [LanguageModel.objects.create(name=name, organisation=f"{name} lab", licence="MIT") for name in names]
    return [
        Contestant.objects.get_or_create(arena=arena, name=model.name, defaults={"model": model})[0] for model in models
    ]


@pytest.fixture
def votes(three: list[Contestant], alice: User, bob: User) -> None:
    random = Random(4)
    for _ in range(40):
        a, b = random.sample(three, 2)
        vote(a, b, random.choice(list(Verdict)), user=random.choice([alice, bob, None]))


@pytest.fixture(params=range(3))
def drawn(request: pytest.FixtureRequest) -> Battles:
    random = np.random.default_rng(request.param)
    return battles_drawn(strengths_drawn(8, random), 1500, random, tie=0.2, n_voters=60)
