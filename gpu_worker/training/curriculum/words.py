# ruff: noqa: E501, SIM905  # long sentences and word lists
"""Word games: opposites, rhymes, plurals, spelling, letters, reversing, upper case, repeating.

Questions about letters are never given typing slips: the letters are the question.
"""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

OPPOSITES = dict(
    pair.split()
    for pair in (
        "hot cold,big small,tall short,fast slow,happy sad,light dark,old young,good bad,rich poor,hard soft,strong weak,early late,"
        "open closed,full empty,high low,wet dry,clean dirty,heavy light,loud quiet,near far,thick thin,wide narrow,deep shallow,"
        "up down,left right,in out,day night,black white,love hate,win lose,buy sell,begin end,push pull,true false,yes no,"
        "always never,before after,first last,inside outside,front back,summer winter,friend enemy,cheap expensive,easy difficult,"
        "sharp blunt,sweet sour,brave afraid,rough smooth,give take,remember forget,north south,east west,safe dangerous,"
        "awake asleep,alive dead,more less,many few,same different,question answer,arrive leave,laugh cry,above below,polite rude"
    ).split(",")
)
_BOTH_WAYS = {**{b: a for a, b in OPPOSITES.items() if b not in OPPOSITES}, **OPPOSITES}
RHYMES = tuple(
    family.split()
    for family in (
        "cat hat mat bat rat,day play way say stay,light night bright right sight,tree bee sea free key,house mouse,moon spoon soon noon,"
        "star car far jar,cake lake make snake take,ring sing king wing spring,sun fun run bun,boat goat coat note,bell tell well shell,"
        "rain train brain plane,book look cook hook,door floor more four,dog frog log fog,fish dish wish,nose rose those,blue shoe true new,"
        "bread red bed head,snow know go slow,time rhyme lime climb,hand sand land band,bear chair hair pear,stone phone bone alone,"
        "ball wall tall small,pen ten hen men,fox box socks,pie sky fly high,heart part art start,love dove glove above,hill will mill still"
    ).split(",")
)
IRREGULAR = dict(
    pair.split()
    for pair in (
        "mouse mice,child children,man men,woman women,foot feet,tooth teeth,goose geese,person people,sheep sheep,fish fish,ox oxen,"
        "leaf leaves,knife knives,wolf wolves,life lives,wife wives,half halves,shelf shelves,city cities,baby babies,story stories,"
        "country countries,family families,berry berries,box boxes,fox foxes,bus buses,dish dishes,church churches,potato potatoes,"
        "tomato tomatoes,hero heroes,glass glasses,watch watches,cherry cherries,party parties,deer deer,thief thieves,loaf loaves"
    ).split(",")
)
REGULAR = tuple(
    "cat dog house tree book car table chair pen apple flower river bird letter window garden boat star cloud friend song road hat door cup plate "
    "school teacher student computer lamp bottle horse cow spoon stone clock bridge ship king queen ring key hand game train".split()
)
SPELLABLE = tuple(
    sorted({
        *REGULAR, *IRREGULAR, *_BOTH_WAYS, *(word for family in RHYMES for word in family),
        *"hello world banana orange lemon strawberry cheese butter water coffee sugar animal elephant tiger monkey rabbit mountain ocean island forest summer "
        "winter spring autumn yellow purple green brown music piano guitar doctor nurse farmer baker kitchen bedroom morning evening number language science "
        "history planet rocket robot python django model letter paper pencil bicycle airplane holiday birthday present weather rainbow butterfly mississippi "
        "beautiful because necessary tomorrow wednesday february people business address believe receive separate definitely".split(),
    })
)  # fmt: skip


def opposites(rng: Random, persona: Persona) -> list[Exchange]:
    words = rng.sample(sorted(_BOTH_WAYS), 2)
    wordings = ('What is the opposite of "{w}"?', "What is the opposite of {w}?", "opposite of {w}", "The opposite of {w}?", "Give me the opposite of {w}.",
                "What is the antonym of {w}?", "Tell me the opposite of the word {w}.", "{w} - opposite?", "Antonym for {w}?", "What's the contrary of {w}?")  # fmt: skip
    turns = [Exchange(ask(rng, wordings, typos=False, w=words[0]), _opposite(rng, words[0]))]
    if rng.random() < 0.3:
        turns.append(
            Exchange(
                ask(rng, ("And of {w}?", "and {w}?", "What about {w}?", "{w}?"), typos=False, w=words[1]),
                _opposite(rng, words[1]),
            )
        )
    return turns


def _opposite(rng: Random, word: str) -> str:
    return rng.choice(('The opposite of "{w}" is **{o}**.',) * 3 + ("It is **{o}**.",)).format(
        w=word, o=_BOTH_WAYS[word]
    )


def rhymes(rng: Random, persona: Persona) -> list[Exchange]:
    family = rng.choice(RHYMES)
    word = rng.choice(family)
    others = [w for w in family if w != word]
    rng.shuffle(others)
    wordings = ("What rhymes with {w}?", "Give me a rhyme for {w}.", "rhyme for {w}", "What is a word that rhymes with {w}?", "Find words that rhyme with {w}.",
                "Tell me a word that rhymes with {w}", "Which words rhyme with {w}?", 'What rhymes with "{w}"?')  # fmt: skip
    listed = " and ".join(f"**{w}**" for w in others[:2])
    answer = f'"{word.capitalize()}" rhymes with {listed}.'
    return [Exchange(ask(rng, wordings, typos=False, w=word), answer)]


def plurals(rng: Random, persona: Persona) -> list[Exchange]:
    word = rng.choice(sorted(IRREGULAR)) if rng.random() < 0.6 else rng.choice(REGULAR)
    plural = IRREGULAR.get(word, word + "s")
    wordings = ("What is the plural of {w}?", "plural of {w}", "Plural of {w}?", "one {w}, two ...?", "How do you write more than one {w}?", "Give me the plural of {w}.",
                "What is the plural form of {w}?", 'What is the plural of "{w}"?')  # fmt: skip
    return [Exchange(ask(rng, wordings, typos=False, w=word), f'The plural of "{word}" is **{plural}**.')]


def letters(rng: Random, persona: Persona) -> list[Exchange]:
    """Spell, reverse, count, first and last letter; every answer spells the word first."""
    wordings: tuple[str, ...]
    word = rng.choice(SPELLABLE)
    spelled = "-".join(word)
    match rng.randrange(6):
        case 0:
            wordings = (
                "How do you spell {w}?",
                "Spell {w}.",
                "spell the word {w}",
                "Can you spell {w}?",
                'Spell "{w}"',
                "How is {w} spelled?",
                "spelling of {w}",
            )
            answer = f"It is spelled {spelled}: **{word}**."
        case 1:
            wordings = (
                "How many letters are in {w}?",
                "How many letters does {w} have?",
                'Count the letters in "{w}".',
                "number of letters in {w}",
                "letters in {w}?",
            )
            numbered = ", ".join(f"{letter} {i}" for i, letter in enumerate(word, 1))
            answer = f'{numbered}. So "{word}" has **{len(word)}** letters.'
        case 2:
            wordings = (
                "What is the first letter of {w}?",
                "first letter of {w}",
                "Which letter does {w} start with?",
                'What is the first letter of "{w}"?',
            )
            answer = f'"{word}" starts with **{word[0]}**.'
        case 3:
            wordings = (
                "What is the last letter of {w}?",
                "last letter of {w}",
                "Which letter does {w} end with?",
                'What is the last letter of "{w}"?',
            )
            answer = f"{spelled}: it ends with **{word[-1]}**."
        case 4:
            word = rng.choice([w for w in SPELLABLE if len(w) <= 5])
            spelled = "-".join(word)
            wordings = (
                "Reverse the word {w}.",
                "Write {w} backwards.",
                "reverse {w}",
                "What is {w} backwards?",
                "Spell {w} backwards.",
                'Reverse "{w}"',
            )
            answer = f"{spelled} backwards is {'-'.join(reversed(word))}: **{word[::-1]}**."
        case _:
            letter = rng.choice(word)
            wordings = ("How many times is the letter {l} in {w}?", "How many {l}s are in {w}?", "Count the letter {l} in {w}.", "How often does {l} occur in {w}?",
                        "how many {l} in {w}?")  # fmt: skip
            answer = _count_letter(word, letter)
            return [Exchange(ask(rng, wordings, typos=False, w=word, l=letter), answer)]
    return [Exchange(ask(rng, wordings, typos=False, w=word), answer)]


def _count_letter(word: str, letter: str) -> str:
    seen, parts = 0, []
    for character in word:
        seen += character == letter
        parts.append(f"{character} ({seen})" if character == letter else character)
    times = "once" if seen == 1 else "twice" if seen == 2 else f"{seen} times"
    return f'{"-".join(parts)}. The letter {letter} is in "{word}" **{times}**.'


_TRANSLATIONS = {
    "French": "hello bonjour,goodbye au revoir,thank you merci,yes oui,no non,please s'il vous plaît,water eau,bread pain,cat chat,dog chien,house maison",
    "German": "hello hallo,goodbye auf Wiedersehen,thank you danke,yes ja,no nein,please bitte,water Wasser,bread Brot,cat Katze,dog Hund,house Haus",
    "Spanish": "hello hola,goodbye adiós,thank you gracias,yes sí,no no,please por favor,water agua,bread pan,cat gato,dog perro,house casa",
    "Italian": "hello ciao,goodbye arrivederci,thank you grazie,yes sì,no no,please per favore,water acqua,bread pane,cat gatto,dog cane,house casa",
}


def translations(rng: Random, persona: Persona) -> list[Exchange]:
    language = rng.choice(sorted(_TRANSLATIONS))
    pair = rng.choice(_TRANSLATIONS[language].split(","))
    n_words = 2 if pair.startswith("thank you") else 1
    english, foreign = " ".join(pair.split()[:n_words]), " ".join(pair.split()[n_words:])
    wordings = (
        'How do you say "{e}" in {f}?',
        "How do you say {e} in {f}?",
        "{e} in {f}",
        "Translate {e} to {f}.",
        "What is {e} in {f}?",
        "What is the {f} word for {e}?",
    )
    return [
        Exchange(ask(rng, wordings, e=english, f=language), f'"{english.capitalize()}" in {language} is **{foreign}**.')
    ]


def echoes(rng: Random, persona: Persona) -> list[Exchange]:
    """Copying what the user wrote: the simplest thing an instruction can ask."""
    wordings: tuple[str, ...]
    n_words = rng.randrange(1, 6)
    text = " ".join(rng.sample(SPELLABLE, n_words))
    if rng.random() < 0.65:
        wordings = (
            "Repeat after me: {t}",
            "Say {t}",
            "Please repeat: {t}",
            "Repeat this: {t}",
            'Say "{t}"',
            "Echo: {t}",
            "Write: {t}",
        )
        return [Exchange(ask(rng, wordings, typos=False, t=text), text)]
    word = text.split()[0]
    wordings = (
        "Write {t} in capital letters.",
        "Put {t} in upper case",
        "uppercase {t}",
        "Write the word {t} in capitals.",
    )
    return [Exchange(ask(rng, wordings, typos=False, t=word), f"**{word.upper()}**")]
