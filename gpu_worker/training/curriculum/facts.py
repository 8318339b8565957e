# ruff: noqa: E501  # long sentences and word lists
"""Small facts: calendar, units, animals, colours, planets; and the tables made of them."""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

MONTHS = {
    "January": 31, "February": 28, "March": 31, "April": 30, "May": 31, "June": 30,
    "July": 31, "August": 31, "September": 30, "October": 31, "November": 30, "December": 31,
}  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
UNITS = (
    ("minutes", "an hour", "60"), ("seconds", "a minute", "60"), ("hours", "a day", "24"), ("days", "a week", "7"), ("weeks", "a year", "52"),
    ("days", "a year", "365"), ("months", "a year", "12"), ("centimetres", "a metre", "100"), ("metres", "a kilometre", "1000"),
    ("grams", "a kilogram", "1000"), ("millimetres", "a centimetre", "10"), ("millilitres", "a litre", "1000"), ("years", "a century", "100"),
    ("years", "a decade", "10"), ("inches", "a foot", "12"), ("feet", "a yard", "3"), ("bits", "a byte", "8"), ("eggs", "a dozen", "12"),
    ("degrees", "a circle", "360"), ("degrees", "a right angle", "90"), ("sides", "a triangle", "3"), ("sides", "a square", "4"),
    ("sides", "a hexagon", "6"), ("kilograms", "a tonne", "1000"), ("letters", "the English alphabet", "26"), ("cents", "a dollar", "100"),
)  # fmt: skip
LEGS = {
    "spider": 8,
    "ant": 6,
    "dog": 4,
    "cat": 4,
    "bird": 2,
    "fly": 6,
    "horse": 4,
    "bee": 6,
    "chicken": 2,
    "snake": 0,
    "fish": 0,
    "cow": 4,
    "octopus": 8,
}
SOUNDS = {
    "dog": "woof",
    "cat": "meow",
    "cow": "moo",
    "duck": "quack",
    "sheep": "baa",
    "pig": "oink",
    "horse": "neigh",
    "lion": "roar",
    "bee": "buzz",
    "frog": "ribbit",
}
BABIES = {"dog": "puppy", "cat": "kitten", "cow": "calf", "horse": "foal", "sheep": "lamb", "duck": "duckling", "pig": "piglet", "lion": "cub", "frog": "tadpole", "chicken": "chick"}  # fmt: skip
COLOURS = {
    "grass": "green", "the sky": "blue", "snow": "white", "blood": "red", "a banana": "yellow", "coal": "black", "the sun": "yellow",
    "a tomato": "red", "chocolate": "brown", "milk": "white", "a carrot": "orange", "the sea": "blue", "a lemon": "yellow", "an elephant": "grey",
}  # fmt: skip
PLANETS = (("Mercury", "small and hot"), ("Venus", "bright and cloudy"), ("Earth", "our home"), ("Mars", "red and dusty"), ("Jupiter", "the largest"),
           ("Saturn", "the one with rings"), ("Uranus", "cold and tilted"), ("Neptune", "far and blue"))  # fmt: skip
FACTS = (
    (("What is the largest planet?", "Which planet is the biggest?", "biggest planet"), "The largest planet of the solar system is **Jupiter**."),
    (("Which planet is closest to the sun?", "What is the first planet?"), "**Mercury** is the closest planet to the sun."),
    (("How many planets are there?", "How many planets are in the solar system?"), "There are **8** planets in the solar system."),
    (("How many continents are there?", "number of continents"), "There are **7** continents."),
    (("What is the largest ocean?", "Which ocean is the biggest?"), "The largest ocean is the **Pacific Ocean**."),
    (("What is the highest mountain?", "What is the tallest mountain in the world?", "highest mountain on earth"), "The highest mountain is **Mount Everest**."),
    (("What is the largest animal?", "What is the biggest animal in the world?"), "The largest animal is the **blue whale**."),
    (("What is the fastest land animal?", "Which animal runs fastest?"), "The fastest land animal is the **cheetah**."),
    (("What is the tallest animal?",), "The tallest animal is the **giraffe**."),
    (("What do bees make?", "Who makes honey?"), "Bees make **honey**."),
    (("What do cows give us?", "Where does milk come from?"), "Milk comes from **cows**."),
    (("At what temperature does water boil?", "When does water boil?", "boiling point of water"), "Water boils at **100 degrees Celsius** at sea level."),
    (("At what temperature does water freeze?", "When does water freeze?", "freezing point of water"), "Water freezes at **0 degrees Celsius**."),
    (("What is water made of?", "What is H2O?", "chemical formula of water"), "Water is **H2O**: two parts hydrogen and one part oxygen."),
    (("What colour do you get from blue and yellow?", "What do blue and yellow make?", "mix blue and yellow"), "Blue and yellow make **green**."),
    (("What do red and blue make?", "mix red and blue", "What colour do you get from red and blue?"), "Red and blue make **purple**."),
    (("What do red and yellow make?", "mix red and yellow"), "Red and yellow make **orange**."),
    (("Who wrote Hamlet?", "Who wrote Romeo and Juliet?"), "It was written by **William Shakespeare**."),
    (("Who was the first person on the moon?", "Who first walked on the moon?"), "**Neil Armstrong** was the first person on the moon, in 1969."),
    (("Who painted the Mona Lisa?", "mona lisa painter"), "The Mona Lisa was painted by **Leonardo da Vinci**."),
    (("Why is the sky blue?", "why's the sky blue"), "Air scatters blue light more than red light, so the sky looks **blue**."),
    (("Why is grass green?",), "Grass contains chlorophyll, which reflects **green** light."),
    (("What is the currency of Japan?", "Which money do they use in Japan?"), "The currency of Japan is the **yen**."),
    (("What language is spoken in Brazil?",), "**Portuguese** is spoken in Brazil."),
    (("What is the largest country?", "biggest country in the world"), "The largest country by area is **Russia**."),
    (("What is the longest river?", "longest river in the world"), "The **Nile** is usually named as the longest river."),
    (("How many colours are in a rainbow?", "List the colours of the rainbow.", "rainbow colors"),
     "A rainbow has **7** colours: red, orange, yellow, green, blue, indigo and violet."),
    (("Say the alphabet.", "What is the alphabet?", "List the letters of the alphabet", "abc"),
     "a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z."),
    (("What are the four seasons?", "Name the seasons.", "seasons of the year"), "The four seasons are **spring**, **summer**, **autumn** and **winter**."),
    (("What are the four directions?", "Name the compass points."), "North, east, south and west."),
    (("What is Python?", "what is python used for"), "Python is a programming language that is easy to read. It is used for web sites, data and machine learning."),
    (("What is Django?",), "Django is a web framework for Python. This site is written with it."),
    (("What is Git?", "What is git used for?"), "Git is a program that keeps the history of a project, one commit at a time."),
    (("What is an API?", "What does API mean?"), "An API is a way for programs to talk to each other. This site has one for its models."),
    (("What is a GPU?", "What does GPU mean?"), "A GPU is a graphics card. It does many simple calculations at once, which is just what language models need."),
    (("What is HTML?",), "HTML is the language in which web pages are written."),
    (("What is a prime number?",), "A prime number is larger than 1 and can be divided only by 1 and by itself, for example 2, 3, 5 and 7."),
    (("Is 7 a prime number?",), "Yes, **7** is a prime number."),
    (("What is photosynthesis?", "How do plants eat?"), "Plants use sunlight to turn water and carbon dioxide into sugar and oxygen. This is called photosynthesis."),
    (("What is gravity?",), "Gravity is the force that pulls things towards each other. It keeps us on the ground."),
)  # fmt: skip

YES_NO = (
    ("Can birds fly?", "Yes, most birds can fly. Penguins cannot."), ("Can fish swim?", "Yes, fish swim very well."), ("Is the sky blue?", "Yes, on a clear day the sky is **blue**."),
    ("Is the sun a star?", "Yes, the sun is a star."), ("Is the moon a planet?", "No, the moon goes around the Earth. It is not a planet."), ("Can dogs talk?", "No, but they understand many words."),
    ("Is water wet?", "Yes, as wet as can be."), ("Is fire hot?", "Yes, fire is very hot. Do not touch it."), ("Is ice cold?", "Yes, ice is frozen water."), ("Do cats like milk?", "Many cats like it, but water is better for them."),
    ("Is a tomato a fruit?", "Yes: for a botanist it is a fruit, for a cook a vegetable."), ("Is a whale a fish?", "No, a whale is a mammal."), ("Is the earth flat?", "No, the Earth is round."), ("Do plants need water?", "Yes, plants need water and light."),
    ("Can pigs fly?", "No, pigs cannot fly."), ("Is Python a snake?", "It is both: a snake, and a programming language named after a comedy group."), ("Is a spider an insect?", "No, a spider has eight legs, and insects have six."),
)  # fmt: skip
KINDS = {
    "fruits": "apple,banana,cherry,grape,lemon,mango,orange,peach,pear,plum", "vegetables": "bean,cabbage,carrot,cucumber,leek,onion,pea,potato,spinach",
    "animals": "bear,cat,cow,dog,elephant,fox,horse,lion,mouse,rabbit,tiger,wolf", "colours": "black,blue,brown,green,orange,purple,red,white,yellow",
    "countries": "Brazil,Canada,Egypt,France,Germany,India,Italy,Japan,Kenya,Spain", "cities": "Berlin,Cairo,London,Madrid,Oslo,Paris,Rome,Tokyo,Vienna",
    "birds": "crow,duck,eagle,goose,owl,parrot,robin,sparrow,swan", "sports": "basketball,cycling,football,rowing,running,skiing,swimming,tennis",
    "musical instruments": "cello,drum,flute,guitar,harp,piano,trumpet,violin", "programming languages": "C,Go,Java,JavaScript,Python,Ruby,Rust", "drinks": "coffee,juice,lemonade,milk,tea,water",
    "flowers": "daisy,lily,rose,sunflower,tulip,violet", "trees": "ash,birch,fir,maple,oak,pine,willow", "jobs": "baker,doctor,driver,farmer,nurse,pilot,teacher",
}  # fmt: skip
_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five"}
_MARKDOWN = (
    "## A heading\n\nText can be **bold**, *italic* or `code`.\n\n- a list\n- with two items\n\n1. first\n2. second\n\n> A quotation stands out.\n\n"
    '| Fruit | Colour |\n| --- | --- |\n| banana | yellow |\n| tomato | red |\n\n```python\nprint("Hello, world!")\n```'
)
_MARKDOWN_WORDINGS = (
    "Show me some Markdown.",
    "markdown example",
    "What can you do with Markdown?",
    "Show me formatted text",
    "Markdown demo",
    "Can you write Markdown?",
    "format something",
    "show me bold text",
)


def kinds(rng: Random, persona: Persona) -> list[Exchange]:
    """Name a few of a kind, yes-or-no questions, and a show of Markdown."""
    draw = rng.random()
    if draw < 0.35:
        question, answer = rng.choice(YES_NO)
        return [Exchange(ask(rng, (question,)), answer)]
    if draw < 0.45:
        return [Exchange(ask(rng, _MARKDOWN_WORDINGS), _MARKDOWN)]
    kind, members = rng.choice(sorted(KINDS.items()))
    count, word = rng.choice(sorted(_COUNTS.items()))
    wordings = (
        "Name {n} {k}.",
        "List {n} {k}.",
        "Give me {n} {k}.",
        "Tell me {n} {k}.",
        "Can you name {n} {k}?",
        "{n} {k} please",
        "I need {n} {k}",
        "name {c} {k}",
        "List {c} {k}.",
        "Write down {n} {k}.",
    )
    chosen = rng.sample(members.split(","), count)
    return [Exchange(ask(rng, wordings, n=word, c=count, k=kind), "\n".join(f"- {member}" for member in chosen))]


def calendar(rng: Random, persona: Persona) -> list[Exchange]:
    months = list(MONTHS)
    i, j = rng.randrange(12), rng.randrange(7)
    month, day = months[i], DAYS[j]
    cases = (
        (("How many days does {m} have?", "How many days are in {m}?", "days in {m}", "How long is {m}?"),
         f"{month} has **{MONTHS[month]}** days{', and 29 in a leap year' if month == 'February' else ''}."),
        (("What month comes after {m}?", "Which month follows {m}?", "month after {m}"), f"After {month} comes **{months[(i + 1) % 12]}**."),
        (("What month comes before {m}?", "Which month is before {m}?"), f"Before {month} comes **{months[i - 1]}**."),
        (("Which month is the {o} month?", "What is the {o} month of the year?", "{o} month"), f"The {ORDINALS[i]} month is **{month}**."),
        (("What day comes after {d}?", "Which day follows {d}?", "What is the day after {d}?", "day after {d}"), f"After {day} comes **{DAYS[(j + 1) % 7]}**."),
        (("What day comes before {d}?", "Which day is before {d}?", "If today is {d}, what was yesterday?"), f"Before {day} comes **{DAYS[j - 1]}**."),
        (("List the days of the week.", "What are the days of the week?", "days of the week", "Name the days of the week."),
         "The days of the week are:\n\n" + "\n".join(f"{n}. {d}" for n, d in enumerate(DAYS, 1))),
        (("List the months.", "What are the months of the year?", "Name all months.", "months of the year"), ", ".join(months[:-1]) + " and December."),
    )  # fmt: skip
    wordings, answer = rng.choices(cases, (3, 1, 1, 1, 2, 2, 1, 1))[0]
    return [Exchange(ask(rng, wordings, m=month, d=day, o=ORDINALS[i]), answer)]


def units(rng: Random, persona: Persona) -> list[Exchange]:
    small, large, number = rng.choice(UNITS)
    wordings = (
        "How many {s} are in {l}?",
        "How many {s} are there in {l}?",
        "How many {s} does {l} have?",
        "{s} in {l}",
        "{s} in {l}?",
        "How many {s} in {l}?",
    )
    answer = f"There are **{number}** {small} in {large}."
    return [Exchange(ask(rng, wordings, s=small, l=large), answer)]


def nature(rng: Random, persona: Persona) -> list[Exchange]:
    match rng.randrange(5):
        case 0:
            animal, legs = rng.choice(sorted(LEGS.items()))
            article = "An" if animal[0] in "aeiou" else "A"
            answer = (
                f"{article} {animal} has **{legs}** {'arms' if animal == 'octopus' else 'legs'}."
                if legs
                else f"{article} {animal} has **no** legs."
            )
            return [
                Exchange(
                    ask(
                        rng,
                        ("How many legs does {w} have?", "How many legs has {w}?", "legs of {w}"),
                        w=f"{article.lower()} {animal}",
                    ),
                    answer,
                )
            ]
        case 1:
            animal, sound = rng.choice(sorted(SOUNDS.items()))
            return [
                Exchange(
                    ask(
                        rng,
                        ("What does a {w} say?", "What sound does a {w} make?", "Which noise does a {w} make?"),
                        w=animal,
                    ),
                    f"The {animal} says *{sound}*.",
                )
            ]
        case 2:
            animal, baby = rng.choice(sorted(BABIES.items()))
            return [
                Exchange(
                    ask(rng, ("What is a baby {w} called?", "What do you call a young {w}?", "baby {w}"), w=animal),
                    f"A young {animal} is called a **{baby}**.",
                )
            ]
        case 3:
            thing, colour = rng.choice(sorted(COLOURS.items()))
            return [
                Exchange(
                    ask(
                        rng,
                        ("What colour is {w}?", "What color is {w}?", "Which colour has {w}?", "colour of {w}"),
                        w=thing,
                    ),
                    f"{thing[0].upper() + thing[1:]} is **{colour}**.",
                )
            ]
        case _:
            wordings, answer = rng.choice(FACTS)
            return [Exchange(ask(rng, wordings), answer)]


def facts(rng: Random, persona: Persona) -> list[Exchange]:
    wordings, answer = rng.choice(FACTS)
    return [Exchange(ask(rng, wordings), answer)]


def tables(rng: Random, persona: Persona) -> list[Exchange]:
    """Markdown tables: months, planets, times tables, a comparison."""
    wordings: tuple[str, ...]
    match rng.randrange(5):
        case 0 | 1:
            wordings = ("List the months with their number of days.", "Make a table of the months and their days.", "List all months and how many days they have.",
                        "table of months", "Show the months with the number of days.", "How many days does each month have?", "months with number of days")  # fmt: skip
            rows = "\n".join(f"| {n} | {m} | {d} |" for n, (m, d) in enumerate(MONTHS.items(), 1))
            answer = f"Here are the twelve months:\n\n| No. | Month | Days |\n| --- | --- | --- |\n{rows}\n\nFebruary has 29 days in a leap year."
        case 2:
            wordings = (
                "List the planets.",
                "Make a table of the planets.",
                "What are the planets of the solar system?",
                "planets",
                "Name the planets",
                "table of planets",
            )
            rows = "\n".join(f"| {n} | {p} | {d} |" for n, (p, d) in enumerate(PLANETS, 1))
            answer = f"The eight planets, from the sun outwards:\n\n| No. | Planet | Known for |\n| --- | --- | --- |\n{rows}"
        case 3:
            n = rng.randrange(2, 13)
            wordings = (
                f"Show the {n} times table.",
                f"times table of {n}",
                f"multiplication table for {n}",
                f"Make a table of the multiples of {n}.",
                f"{n} times table",
            )
            rows = "\n".join(f"| {i} × {n} | {i * n} |" for i in range(1, 11))
            answer = f"The {n} times table:\n\n| Product | Result |\n| --- | --- |\n{rows}"
        case _:
            wordings = (
                "Compare a cat and a dog.",
                "Cat or dog?",
                "Make a table that compares cats and dogs.",
                "cats vs dogs",
                "Give me an example of a table.",
                "make a table",
                "Show me a Markdown table.",
            )
            answer = (
                "| | Cat | Dog |\n| --- | --- | --- |\n| Sound | meow | woof |\n| Legs | 4 | 4 |\n| Young | kitten | puppy |\n| Likes | sleeping in the sun | long walks |\n"
                "\nBoth are good company."
            )
    return [Exchange(ask(rng, wordings), answer)]
