# ruff: noqa: E501  # long sentences and word lists
"""How to do small things, as Markdown lists; a few long ones, and tips."""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

SHORT = (
    ("make tea", "Boil fresh water.|Put a tea bag into a cup.|Pour the hot water over it.|Wait three to five minutes.|Take the bag out, and add milk or sugar if you like."),
    ("make coffee", "Boil some water and let it rest for a moment.|Put two spoons of ground coffee into a filter.|Pour the water slowly over the coffee.|Wait until it has dripped through."),
    ("boil an egg", "Bring a small pot of water to the boil.|Lower the egg in with a spoon.|Cook it six minutes for soft, ten for hard.|Cool it under cold water and peel it."),
    ("plant a seed", "Fill a pot with loose soil.|Press the seed in, twice as deep as it is thick.|Water it gently.|Put the pot in a warm, bright place.|Keep the soil moist until the seed sprouts."),
    ("make a Git commit", "Look at your changes with `git status`.|Add the files: `git add FILE`.|Commit them: `git commit -m \"Say what changed\"`.|Check the result with `git log`."),
    ("make a sandwich", "Take two slices of bread.|Spread butter on them.|Add cheese, tomato and a leaf of salad.|Close it and cut it in half."),
    ("cook pasta", "Bring a large pot of salted water to the boil.|Add the pasta and stir.|Cook it as long as the packet says.|Drain it and mix it with the sauce."),
    ("cook rice", "Wash one cup of rice.|Add two cups of water and a little salt.|Bring it to the boil, then cover it.|Cook it gently for fifteen minutes.|Let it rest for five minutes."),
    ("tie your shoes", "Cross the two laces and pull one through.|Make a loop with one lace.|Wrap the other lace around the loop.|Push it through and pull both loops tight."),
    ("write a letter", "Write the date and a greeting.|Say in one sentence why you write.|Tell the rest in short paragraphs.|End with a kind wish and your name."),
    ("brush your teeth", "Put a little toothpaste on the brush.|Brush all sides gently for two minutes.|Spit out, and rinse the brush."),
    ("wash your hands", "Wet your hands.|Rub them with soap for twenty seconds.|Rinse them well.|Dry them with a clean towel."),
    ("change a light bulb", "Switch off the light and let the bulb cool.|Turn the old bulb out to the left.|Turn the new bulb in to the right.|Switch the light on."),
    ("make a paper plane", "Fold a sheet of paper in half lengthwise and open it.|Fold the two top corners to the middle.|Fold the slanted edges to the middle again.|Fold it in half and bend the wings down.|Throw it gently."),
    ("bake bread", "Mix flour, water, yeast and salt.|Knead the dough for ten minutes.|Let it rise for an hour.|Shape a loaf and let it rise again.|Bake it for forty minutes in a hot oven."),
    ("make pancakes", "Mix a cup of flour, a cup of milk and an egg.|Heat a little butter in a pan.|Pour in some batter and wait for bubbles.|Turn it over and bake the other side."),
    ("start a Python script", "Write your code into a file, for example `hello.py`.|Open a terminal in the same folder.|Run `python hello.py`."),
    ("create a virtual environment", "Run `python -m venv .venv`.|Activate it: `source .venv/bin/activate`.|Install what you need with `pip install NAME`."),
    ("fall asleep", "Put your phone away half an hour before.|Make the room dark and cool.|Lie down and breathe slowly.|Count from 1 to 100 in your head."),
    ("learn a language", "Learn ten words every day.|Listen to simple songs and stories.|Speak from the first day, even with mistakes.|Read children's books.|Repeat every week what you learned."),
    ("make lemonade", "Press the juice of three lemons.|Add three spoons of sugar.|Fill up with a litre of cold water.|Stir, and add ice."),
    ("draw a cat", "Draw a circle for the head.|Add two triangles as ears.|Draw eyes, a small nose and whiskers.|Add an oval for the body and a long tail."),
    ("use the arena", "Open the arena page.|Type one question for both models.|Read the two answers.|Vote for the better one; then you see the names."),
    ("stop an answer", "Look for the *Stop* button below the answer.|Click it while the text is growing.|The text so far is kept."),
)  # fmt: skip
HOW = ("How do I {t}?", "How do you {t}?", "how to {t}", "How to {t}?", "How can I {t}?", "Tell me how to {t}.", "Explain how to {t}.", "I want to {t}. How?",
       "What are the steps to {t}?", "Can you explain how to {t}?", "Show me how to {t}", "Give me instructions to {t}.", "steps to {t}")  # fmt: skip
LONG = (
    ("grow a small vegetable garden", (
        "## A small vegetable garden\n\nYou do not need much: a sunny corner, some soil and a little patience.\n\n"
        "### What you need\n\n- a place with six hours of sun\n- loose soil or three large pots\n- seeds of radish, salad and beans\n- a watering can\n\n"
        "### Step by step\n\n1. **Prepare the soil.** Dig it over, take out stones and roots, and mix in some compost.\n"
        "2. **Make rows.** Draw lines with a stick, about a hand apart.\n3. **Sow.** Lay the seeds into the lines. Small seeds need only a little earth on top.\n"
        "4. **Water.** Use a gentle stream in the morning, so that the soil stays moist but not wet.\n5. **Thin out.** When the plants touch each other, remove every second one.\n"
        "6. **Weed.** Pull out what you did not sow, once a week.\n7. **Harvest.** Radishes are ready after four weeks, salad after six, beans after ten.\n\n"
        "### Tips\n\n- Write the date of sowing on a small sign.\n- Do not step on the rows.\n- Share what you cannot eat: neighbours like fresh beans.")),
    ("plan a birthday party", (
        "## A birthday party without stress\n\nA good party needs three things: friends, something to eat and something to do.\n\n"
        "### Two weeks before\n\n1. Choose a day and a place.\n2. Make a list of guests. Ten people are plenty.\n3. Send the invitations, with the time and the address.\n\n"
        "### One week before\n\n1. Decide on the food. Cake, fruit and sandwiches are enough.\n2. Think of two games, one quiet and one loud.\n3. Ask a friend to help you.\n\n"
        "### On the day\n\n1. **Morning:** bake the cake and let it cool.\n2. **Noon:** put up the chairs and some paper flags.\n3. **Afternoon:** greet every guest at the door.\n"
        "4. **Later:** light the candles, sing and cut the cake.\n5. **Evening:** say thank you, and give everyone a piece of cake to take home.\n\n"
        "### If something goes wrong\n\n- It rains: move the games inside.\n- The cake falls: serve it in bowls and call it pudding.\n- Nobody dances: dance first.")),
    ("write your first Python program", (
        "## Your first Python program\n\nYou will write a small game: the computer thinks of a number and you guess it.\n\n"
        "### 1. Make a file\n\nOpen an editor and save an empty file as `guess.py`.\n\n### 2. Write the code\n\n```python\nimport random\n\n"
        "secret = random.randint(1, 10)\nguess = 0\nwhile guess != secret:\n    guess = int(input(\"Your guess: \"))\n    if guess < secret:\n        print(\"Too low\")\n"
        "    elif guess > secret:\n        print(\"Too high\")\nprint(\"Right!\")\n```\n\n### 3. Run it\n\nOpen a terminal in the same folder and type `python guess.py`.\n\n"
        "### 4. How it works\n\n- `random.randint(1, 10)` draws the secret number.\n- `while` repeats as long as the guess is wrong.\n- `int(input(...))` turns what you type into a number.\n"
        "- `if` and `elif` compare the two numbers.\n\n### 5. Make it yours\n\n- Count the guesses and print the count at the end.\n- Use numbers up to 100.\n- Let two people play in turns.")),
    ("keep a tidy Git history", (
        "## A tidy Git history\n\nA history is read more often than it is written. These habits keep it readable.\n\n"
        "### Before you start\n\n1. Get the newest version: `git pull`.\n2. Make a branch for your idea: `git switch -c my-idea`.\n\n"
        "### While you work\n\n1. Change one thing at a time.\n2. Look at the difference: `git diff`.\n3. Add only what belongs together: `git add FILE`.\n"
        "4. Commit with a short title: `git commit -m \"Add a greeting\"`.\n5. Run the tests before the next step.\n\n"
        "### Good messages\n\n- The title says **what** changed, as an order: *Add*, *Fix*, *Remove*.\n- The body says **why**.\n- Fifty letters are enough for a title.\n\n"
        "### When you are done\n\n1. Read your own commits once more: `git log -p`.\n2. Push the branch: `git push`.\n3. Ask a colleague to read it.\n4. Delete the branch after the merge.")),
    ("clean a kitchen", (
        "## A clean kitchen in one hour\n\nWork from top to bottom and from dry to wet, then nothing gets dirty twice.\n\n"
        "### What you need\n\n- two cloths and a sponge\n- warm water with soap\n- a broom and a mop\n\n### Step by step\n\n1. **Clear the table.** Put food away and throw out what is old.\n"
        "2. **Soak the dishes.** Fill the sink with hot water, so that they clean themselves while you go on.\n3. **Dust.** Wipe lamps and shelves with a dry cloth.\n"
        "4. **Wipe.** Clean the doors of the cupboards, then the work top, then the stove.\n5. **Wash the dishes.** Glasses first, then plates, then pots.\n"
        "6. **Empty the bin.** Wash it out once a month.\n7. **Sweep.** Begin at the far wall and go towards the door.\n8. **Mop.** Leave the floor to dry with the window open.\n\n"
        "### Tips\n\n- Put on music.\n- Clean the stove while it is still a little warm.\n- Ten minutes every evening save the hour at the weekend.")),
)  # fmt: skip
_LONG_WORDINGS = ("Write a long how-to: {t}.", "Write a long guide: how to {t}.", "Give me a detailed guide to {t}.", "Explain in detail how to {t}.", "Write a long tutorial about how to {t}",
                  "How do I {t}?", "how to {t}")  # fmt: skip
_ANY_LONG = ("Write a long how-to.", "Write a long guide.", "write a long how-to", "Write something long.", "Give me a long answer.", "Write a long text.", "write a detailed tutorial",
             "Write a tutorial.", "Give me a long how-to.", "show me a long markdown text", "write a long how to about anything")  # fmt: skip
TIPS = (
    ("sleep better", "Go to bed at the same time every day.|Keep the room dark and cool.|No screens in the last half hour."),
    ("study better", "Work for 25 minutes, then rest for five.|Explain what you learned to someone else.|Repeat it the next day."),
    ("stay healthy", "Walk for half an hour every day.|Eat vegetables with every meal.|Sleep enough."),
    ("write better", "Use short sentences.|Say one thing at a time.|Read it aloud before you send it."),
    ("save money", "Write down what you spend.|Cook at home.|Wait a day before you buy something large."),
    ("focus", "Put your phone into another room.|Choose one task and write it down.|Take a short break every half hour."),
    ("write good code", "Choose names that say what is meant.|Write a test first.|Keep functions short."),
    ("learn programming", "Start with a small project that you like.|Type the examples yourself.|Read the error messages slowly."),
)  # fmt: skip


_ALIASES = {
    "make tea": ("make a cup of tea", "brew tea", "cook tea", "prepare tea"),
    "make coffee": ("brew coffee", "make a cup of coffee", "cook coffee"),
    "boil an egg": ("cook an egg", "make a boiled egg", "boil eggs", "cook eggs", "hard boil an egg"),
    "plant a seed": ("grow a plant", "plant seeds", "sow a seed", "grow a flower"),
    "make a Git commit": ("commit with git", "commit my changes", "do a git commit", "make a commit in git", "use git"),
    "cook pasta": ("make pasta", "cook spaghetti", "make noodles"),
    "cook rice": ("make rice", "boil rice"),
    "bake bread": ("make bread", "bake a loaf"),
    "make pancakes": ("cook pancakes", "bake pancakes"),
    "make a sandwich": ("prepare a sandwich",),
}
_ANY_RECIPE = (
    "Give me a recipe.",
    "recipe",
    "I need a recipe",
    "Do you know a recipe?",
    "a simple recipe please",
    "Write a recipe.",
    "Can you give me a recipe?",
    "what can I cook",
)
_RECIPES = ("make pancakes", "bake bread", "cook pasta", "make a sandwich")


def _numbered(steps: str) -> str:
    return "\n".join(f"{n}. {step}" for n, step in enumerate(steps.split("|"), 1))


def howto(rng: Random, persona: Persona) -> list[Exchange]:
    task, steps = rng.choice(SHORT)
    opening = rng.choice((f"To {task}:", f"Here is how to {task}:", f"This is how you {task}:"))
    user = ask(rng, HOW, t=rng.choice((task, *_ALIASES.get(task, ()))))
    if task in _RECIPES and rng.random() < 0.3:
        user = ask(rng, _ANY_RECIPE)
    first = Exchange(user, f"{opening}\n\n{_numbered(steps)}")
    if rng.random() < 0.82:
        return [first]
    wanted = rng.randrange(2, len(steps.split("|")) + 1)
    asked = ask(rng, ("What is step {n}?", "Repeat step {n}.", "Step {n} again?", "and what was step {n}?"), n=wanted)
    return [first, Exchange(asked, f"Step {wanted}: {steps.split('|')[wanted - 1]}")]


def long_howto(rng: Random, persona: Persona) -> list[Exchange]:
    task, text = rng.choice(LONG)
    wordings = _ANY_LONG if rng.random() < 0.4 else _LONG_WORDINGS
    return [Exchange(ask(rng, wordings, t=task), text)]


def tips(rng: Random, persona: Persona) -> list[Exchange]:
    goal, steps = rng.choice(TIPS)
    wordings = (
        "Give me tips to {t}.",
        "How can I {t}?",
        "tips to {t}",
        "Give me three tips to {t}.",
        "How do I {t}?",
        "What helps to {t}?",
        "some advice to {t}",
    )
    bullets = "\n".join(f"- {step}" for step in steps.split("|"))
    return [Exchange(ask(rng, wordings, t=goal), f"Three tips to {goal}:\n\n{bullets}")]
