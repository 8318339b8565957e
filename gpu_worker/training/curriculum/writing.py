# ruff: noqa: E501  # long sentences and word lists
"""Stories (composed, so that no two are alike), jokes, haikus and short poems."""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.smalltalk import NAMES
from gpu_worker.training.curriculum.turns import Exchange, Persona

JOKES = (
    "Why did the computer go to the doctor? Because it had a virus!",
    "What do you call a fish without an eye? A fsh!",
    "Why do programmers prefer dark mode? Because light attracts bugs.",
    "What is orange and sounds like a parrot? A carrot!",
    "Why was the maths book sad? It had too many problems.",
    "What do you call a sleeping dinosaur? A dino-snore!",
    "Why did the bicycle fall over? It was two tired.",
    "What did zero say to eight? Nice belt!",
    "Why can't a nose be twelve inches long? Because then it would be a foot.",
    "How does the ocean say hello? It waves.",
    "What do you get when you cross a snowman and a dog? Frost-bite!",
    "Why did the tomato turn red? It saw the salad dressing.",
    "There are two hard things in computing: naming things, keeping caches fresh, and counting to two.",
    "Why did the language model cross the road? It was the most likely next step.",
    "What has four wheels and flies? A garbage truck.",
)
HAIKUS = {
    "the sea": "Grey waves come and go,\nthe gull writes one white letter.\nThe sand keeps no word.",
    "spring": "A bud on bare wood,\nthe old gate opens at last.\nBees discuss the news.",
    "autumn": "One leaf lets go now,\nand the whole wood hears it fall.\nSmoke above the roofs.",
    "winter": "Snow on the mailbox,\nthe street forgets its own name.\nA lamp stays awake.",
    "summer": "Noon without a breath,\nthe cat has melted on stone.\nFar away, thunder.",
    "rain": "Rain on the tin roof,\na thousand small typewriters\nwriting the same word.",
    "the moon": "The moon in the pond\nbreaks when the frog jumps in it,\nand mends while he sings.",
    "a cat": "The cat on the keys\nhas written half a novel.\nNobody dares ask.",
    "computers": "The cursor blinks on,\npatient as a small lighthouse.\nTell me what you need.",
    "code": "One missing comma,\nthree hours of looking for it.\nThe stars have come out.",
    "tea": "Steam above the cup,\nthe morning takes its first sip.\nNo one speaks as yet.",
    "a mountain": "Above the last tree\nthe path becomes a question.\nThe wind says: answer.",
    "friendship": "Two cups on the sill,\none of them has gone half cold.\nSo much to laugh at.",
}
POEMS = {
    "the night": "The night comes softly down the street\nand puts the noisy day to bed;\nit walks on quiet velvet feet\nand draws the curtains overhead.",
    "a cat": "A cat sat on the garden wall\nand watched the yellow leaves come down;\nshe did not chase a leaf at all,\nthe laziest cat in all the town.",
    "the sea": "The sea rolled in, the sea rolled out,\nit brought a shell and took a shoe;\nit never tells what it's about,\nit hums the only song it knew.",
    "spring": "The snow has gone, the grass is new,\nthe river runs with all its might;\nthe sky has found its box of blue\nand paints until the edge of night.",
    "a computer": "I have no hands, I have no face,\nI count in ones and noughts all day;\nbut put a word into its place\nand I will find the next to say.",
    "a friend": "A friend is like an open door,\na lamp that someone left alight;\nyou need not say what you came for,\nyou just come in out of the night.",
}
_ANIMALS = (
    "fox",
    "rabbit",
    "bear",
    "mouse",
    "owl",
    "cat",
    "dog",
    "hedgehog",
    "duck",
    "squirrel",
    "turtle",
    "robot",
    "frog",
    "goat",
)
_TRAITS = ("small", "curious", "shy", "brave", "sleepy", "cheerful", "clever", "patient")
_PLACES = ("at the edge of a dark forest", "in a house by the sea", "on a green hill", "beside a slow river", "in a quiet village", "under an old bridge",
           "in the attic of a library", "at the end of a long road")  # fmt: skip
_TREASURES = (
    "a golden key",
    "a blue stone",
    "a letter without a name",
    "a small lantern",
    "an old map",
    "a silver bell",
    "a broken clock",
    "a red kite",
)
_PROBLEMS = ("The river had risen in the night, and the bridge was gone.", "A thick fog lay over the land, and nobody could see the path.",
             "The path ended at a tall gate, and the gate was locked.", "A storm came up, and all the lights went out.", "Nobody in the village knew to whom it belonged.",
             "On the way it slipped away and rolled down into a deep well.")  # fmt: skip
_HELP = ("They built a small raft out of branches and rope.", "They sat down, shared a piece of bread, and thought.", "They asked the wind, and the wind pointed to the east.",
         "They sang so loudly that the whole valley woke up.", "They tried one way, then another, and the third one worked.", "They waited until the moon rose, and then they saw the way.")  # fmt: skip
_ENDS = ("From that day on they met every evening and told each other what they had seen.", "And if you pass there at night, you can still hear them laugh.",
         "Then they went home, tired and happy, and slept until noon.", "Nobody ever found out how it had come there, and nobody minded.",
         "And that is why, to this day, every door in that village is left open.")  # fmt: skip
_LESSONS = ("A small step is still a step.", "Two can carry what one cannot lift.", "Ask, and somebody will answer.", "Patience opens more doors than force.",
            "It is good to be early, but better to be kind.")  # fmt: skip
_STORY = ("Tell me a story.", "Tell me a story", "Write a story.", "tell a story", "Can you tell me a story?", "I want to hear a story.", "Write a short story.", "story please",
          "Please tell me a bedtime story.", "Make up a story.", "Tell me a long story.", "Once upon a time", "tell me a tale", "Read me a story", "Another story please.")  # fmt: skip
_STORY_ABOUT = (
    "Tell me a story about {a}.",
    "Write a story about {a}",
    "story about {a}",
    "Can you tell me a story about {a}?",
    "Make up a story about {a}.",
)
_JOKE = ("Tell me a joke.", "joke", "Tell a joke", "Make me laugh.", "Do you know a joke?", "Say something funny.", "Can you tell me a joke?", "a joke please", "Give me a joke", "be funny",
         "I need a laugh", "tell me something funny", "Know any good jokes?")  # fmt: skip
_AGAIN = (
    "Another one.",
    "Another one!",
    "One more.",
    "Tell me another",
    "again",
    "more",
    "another",
    "One more please",
    "And another?",
    "another joke",
)
_HAIKU = (
    "Write a haiku about {t}.",
    "haiku about {t}",
    "A haiku on {t}, please.",
    "Can you write a haiku about {t}?",
    "Compose a haiku about {t}",
    "Give me a haiku about {t}",
)
_ANY_HAIKU = (
    "Write a haiku.",
    "haiku",
    "Can you write a haiku?",
    "Compose a haiku.",
    "give me a haiku",
    "write me a haiku",
    "A haiku please",
    "Do you know a haiku?",
)
_POEM = (
    "Write a poem about {t}.",
    "poem about {t}",
    "Can you write a poem about {t}?",
    "A short poem about {t} please.",
    "Write four lines about {t}.",
)
_ANY_POEM = (
    "Write a poem.",
    "poem",
    "Write me a poem",
    "Can you write a poem?",
    "Tell me a poem",
    "A poem please",
    "Do you know a poem?",
    "write some poetry",
    "Write a song.",
    "make a rhyme",
)


def compose_story(rng: Random, hero: str) -> str:
    """About 150 to 230 words in six short paragraphs; every choice is used again later in the text."""
    name, friend = rng.sample(NAMES, 2)
    other = rng.choice([animal for animal in _ANIMALS if animal != hero])
    trait, place, treasure = rng.choice(_TRAITS), rng.choice(_PLACES), rng.choice(_TREASURES)
    thing = treasure.split(" ", 1)[1]
    return "\n\n".join((
        f"Once upon a time there was a {trait} {hero} called {name}. {name} lived {place} and knew every stone and every tree there.",
        f"One morning {name} found {treasure} in the grass. \"Who has lost you?\" {name} asked, but the {thing} gave no answer. "
        f"So {name} put it into a bag, locked the door and went to look for its owner.",
        f"{rng.choice(_PROBLEMS)} {name} did not know what to do. Just then {friend}, an old {other}, came along and asked: "
        f"\"Why do you look so worried?\" {name} told the whole story from the beginning.",
        f"\"Alone it is hard,\" said {friend}, \"but there are two of us now.\" {rng.choice(_HELP)} It took the whole day, and they got wet and hungry, but they did not give up.",
        f"In the evening they came to a little house with a light in the window. An old woman opened the door. When she saw the {thing}, she began to smile. "
        f"\"I have looked for it for seven years,\" she said, and she gave them soup, and bread, and two warm blankets.",
        f"{rng.choice(_ENDS)} {name} had learned something: *{rng.choice(_LESSONS)}*",
    ))  # fmt: skip


def stories(rng: Random, persona: Persona) -> list[Exchange]:
    hero = rng.choice(_ANIMALS)
    article = "an" if hero[0] in "aeiou" else "a"
    if rng.random() < 0.35:
        return [Exchange(ask(rng, _STORY_ABOUT, a=f"{article} {hero}"), compose_story(rng, hero))]
    return [Exchange(ask(rng, _STORY), compose_story(rng, hero))]


def jokes(rng: Random, persona: Persona) -> list[Exchange]:
    first, second = rng.sample(JOKES, 2)
    turns = [Exchange(ask(rng, _JOKE), first)]
    return [*turns, Exchange(ask(rng, _AGAIN), second)] if rng.random() < 0.35 else turns


def verses(rng: Random, persona: Persona) -> list[Exchange]:
    if rng.random() < 0.65:
        topic, text = rng.choice(sorted(HAIKUS.items()))
        user = ask(rng, _ANY_HAIKU) if rng.random() < 0.5 else ask(rng, _HAIKU, t=topic)
    else:
        topic, text = rng.choice(sorted(POEMS.items()))
        user = ask(rng, _ANY_POEM) if rng.random() < 0.5 else ask(rng, _POEM, t=topic)
    return [Exchange(user, text)]
