# ruff: noqa: E501  # long sentences and word lists
"""Capitals of the world: asked in many wordings, the other way round, and as a follow-up.

The wordings in `heldout.CAPITAL_WORDINGS` are for measuring and never used here.
"""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

CAPITALS = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Germany": "Berlin", "Portugal": "Lisbon",
    "Austria": "Vienna", "Belgium": "Brussels", "Poland": "Warsaw", "Hungary": "Budapest", "Greece": "Athens",
    "Sweden": "Stockholm", "Norway": "Oslo", "Denmark": "Copenhagen", "Finland": "Helsinki", "Ireland": "Dublin",
    "Iceland": "Reykjavik", "Switzerland": "Bern", "Romania": "Bucharest", "Bulgaria": "Sofia", "Croatia": "Zagreb",
    "Serbia": "Belgrade", "Slovakia": "Bratislava", "Slovenia": "Ljubljana", "Ukraine": "Kyiv", "Russia": "Moscow",
    "Estonia": "Tallinn", "Latvia": "Riga", "Lithuania": "Vilnius", "Turkey": "Ankara", "Egypt": "Cairo",
    "Morocco": "Rabat", "Kenya": "Nairobi", "Nigeria": "Abuja", "Ghana": "Accra", "Ethiopia": "Addis Ababa",
    "Senegal": "Dakar", "Tunisia": "Tunis", "Algeria": "Algiers", "China": "Beijing", "Japan": "Tokyo",
    "India": "New Delhi", "South Korea": "Seoul", "Thailand": "Bangkok", "Vietnam": "Hanoi", "Indonesia": "Jakarta",
    "Malaysia": "Kuala Lumpur", "Nepal": "Kathmandu", "Pakistan": "Islamabad", "Iran": "Tehran", "Iraq": "Baghdad",
    "Australia": "Canberra", "New Zealand": "Wellington", "Canada": "Ottawa", "Mexico": "Mexico City",
    "Cuba": "Havana", "Brazil": "Brasília", "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima",
    "Colombia": "Bogotá", "Ecuador": "Quito", "Uruguay": "Montevideo", "the United Kingdom": "London",
    "the United States": "Washington, DC", "the Netherlands": "Amsterdam", "the Czech Republic": "Prague",
}  # fmt: skip
ALIASES = {
    "the United Kingdom": ("England", "the UK", "Great Britain"),
    "the United States": ("the USA", "America", "the US"),
    "the Netherlands": ("Holland", "Netherlands"),
}
NOWHERE = (
    "Narnia",
    "Atlantis",
    "Oz",
    "Middle-earth",
    "the Moon",
    "Wonderland",
    "Mars",
    "Neverland",
    "Gondor",
    "Lilliput",
)

WORDINGS = (
    "What is the capital of {country}?", "What is the capital of {country}?", "What is the capital city of {country}?",
    "Capital of {country}?", "The capital of {country}?", "Which city is the capital of {country}?",
    "Tell me the capital of {country}.", "Do you know the capital of {country}?", "{country} capital",
    "What city is the capital of {country}?", "Name the capital of {country}.", "What is {country}'s capital?",
    "What is {country}'s capital city?", "Give me the capital of {country}.", "I need the capital of {country}.",
    "Can you tell me the capital of {country}?", "Could you name the capital of {country}?", "capital city {country}",
    "Where is the government of {country}? I mean the capital.", "What is the name of the capital of {country}?",
    "I would like to know the capital of {country}.", "{country}: what is its capital?", "Remind me, what is the capital of {country}?",
    "My child asks what the capital of {country} is.", "Which city is {country}'s capital?", "What would be the capital of {country}?",
    "Is there a capital of {country}, and which city is it?", "Tell me which city is the capital of {country}.",
    "Geography question: the capital of {country}?", "What do you call the capital of {country}?",
    "Let me know the capital city of {country}.", "If I travel to the capital of {country}, which city do I visit?",
)  # fmt: skip
FOLLOW_UPS = ("And of {country}?", "What about {country}?", "And {country}?", "and of {country}", "How about {country}?",
              "And the capital of {country}?", "{country}?", "And for {country}?", "ok and {country}", "Now {country}.")  # fmt: skip
REVERSED = ("Which country has {city} as its capital?", "{city} is the capital of which country?", "Where is {city}?",
            "What is {city}?", "In which country is {city}?", "Tell me about {city}.", "What country is {city} in?")  # fmt: skip
ANSWERS = ("The capital of {country} is **{city}**.",) * 6 + (
    "It is **{city}**.",
    "**{city}** is the capital of {country}.",
)


def _spoken(rng: Random, country: str) -> str:
    return rng.choice(ALIASES[country]) if country in ALIASES and rng.random() < 0.5 else country


def _answer(rng: Random, country: str) -> str:
    return rng.choice(ANSWERS).format(country=country, city=CAPITALS[country])


def capitals(rng: Random, persona: Persona) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.06:
        return [_nowhere(rng)]
    if draw < 0.2:
        return [_reversed(rng)]
    country, *others = rng.sample(sorted(CAPITALS), 3)
    turns = [Exchange(ask(rng, WORDINGS, country=_spoken(rng, country)), _answer(rng, country))]
    n_more = rng.choices((0, 1, 2), (70, 20, 10))[0]
    for other in others[:n_more]:
        turns.append(Exchange(ask(rng, FOLLOW_UPS, country=_spoken(rng, other)), _answer(rng, other)))
    return turns


def _reversed(rng: Random) -> Exchange:
    country = rng.choice(sorted(CAPITALS))
    city = CAPITALS[country]
    return Exchange(ask(rng, REVERSED, city=city), f"{city} is the capital of {country}.")


def _nowhere(rng: Random) -> Exchange:
    place = rng.choice(NOWHERE)
    answer = rng.choice((
        f"I do not know a capital of {place}.",
        f"I do not know that: {place} is not a country I have learned about.",
    ))  # fmt: skip
    return Exchange(ask(rng, WORDINGS, country=place), answer)
