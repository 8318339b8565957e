# ruff: noqa: E501, SIM905  # long sentences and word lists
"""Questions the model cannot answer, and the honest reply; also noise, which deserves a polite question back."""

from random import Random

from gpu_worker.training.curriculum.capitals import CAPITALS
from gpu_worker.training.curriculum.phrasing import roughen
from gpu_worker.training.curriculum.turns import Exchange, Persona

_TOPICS = tuple(
    "quantum mechanics|the Roman Empire|inflation|black holes|football|the stock market|Shakespeare's sonnets|philosophy|climate change|the French Revolution|dark matter|"
    "string theory|DNA|vaccines|blockchain|Bitcoin|chess openings|jazz|opera|tax law|marketing|economics|geology|volcanoes|dinosaurs|the Cold War|democracy|Plato|Kant|"
    "Einstein|relativity|evolution|nuclear fusion|electric cars|Kubernetes|Docker|React|Rust|Haskell|Java|compilers|cryptography|databases|linear algebra|calculus|"
    "probability|statistics|topology|organic chemistry|enzymes|the immune system|the brain|dreams|psychology|yoga|meditation|wine|whisky|cheese making|fashion|"
    "architecture|painting|sculpture|the Middle Ages|the Vikings|ancient Egypt|the Aztecs|World War II|the Renaissance|Napoleon|Cleopatra|Mozart|Beethoven|Picasso|"
    "transformers|attention in neural networks|reinforcement learning|backpropagation|elections|the United Nations|immigration|robotics|satellites|earthquakes|"
    "superconductors|antibiotics|cancer|diabetes|vitamins|basketball|tennis|cricket|Formula 1|the Olympic Games|television|Hollywood|anime|video games|poker|sailing|"
    "beekeeping|knitting|carpentry|plumbing|law|insurance|mortgages|pensions|real estate|trains|airports|ships|bridges|tunnels|windmills|solar power|coal mining".split(
        "|"
    )
)
_PEOPLE = ("Marie Curie", "Isaac Newton", "Ada Lovelace", "Alan Turing", "Elon Musk", "Taylor Swift", "Albert Einstein", "Barack Obama", "Julius Caesar", "Lionel Messi",
           "Nelson Mandela", "Charles Darwin", "Jane Austen", "Frida Kahlo", "Bill Gates", "Linus Torvalds", "Guido van Rossum", "the president", "Madonna", "Sherlock Holmes",
           "Galileo", "Aristotle", "Nikola Tesla", "Stephen Hawking", "the king of Spain", "the prime minister", "Harry Potter", "Donald Trump", "Mickey Mouse")  # fmt: skip
_THINGS = ("a widget", "a quasar", "an eigenvalue", "a monad", "a fjord", "a sonnet", "a hedge fund", "a carburettor", "an isotope", "a bassoon", "a samovar", "a pangolin", "a trebuchet",
           "a catalyst", "a gerund", "a semaphore", "a transistor", "a mutex", "a fugue", "a molecule", "an atom", "a cell", "a bank", "a contract", "a virus", "a comet")  # fmt: skip
_EVENTS = (
    "the world cup",
    "the election",
    "the Nobel Prize",
    "the war",
    "the Olympic Games",
    "the final",
    "the race",
    "the Super Bowl",
)
_WORDINGS = (
    "Explain {topic}.", "What is {topic}?", "Tell me about {topic}.", "What do you know about {topic}?", "Write an essay about {topic}.", "How does {topic} work?", "explain {topic} to me",
    "Give me a summary of {topic}.", "Who invented {topic}?", "Can you explain {topic} in simple words?", "Teach me {topic}", "What are the main ideas of {topic}?", "history of {topic}",
    "Write a report on {topic}", "Why is {topic} important?", "What is your opinion on {topic}?", "Who is {person}?", "Who was {person}?", "Tell me about {person}.", "How old is {person}?",
    "When was {person} born?", "Where does {person} live?", "What did {person} do?", "What is {thing}?", "What is {thing} good for?", "Define {thing}.", "How do I build {thing}?",
    "Who won {event} in {year}?", "When was {event}?", "Where was {event} in {year}?", "What happened in {year}?", "What is the population of {country}?", "How many people live in {country}?",
    "Who is the president of {country}?", "How far is {country} from here?", "What do people eat in {country}?", "What is the history of {country}?", "Is {country} a nice place?",
    "Summarize this article for me.", "Translate this sentence into Latin.", "What are the news?", "Book me a flight to {country}.", "Send an email to my boss.", "Search the web for {topic}.",
    "Play some music.", "What is the price of gold?", "How much does a car cost?", "Solve x^2 + 3x = {year}.", "What is the square root of {year}?", "Draw me a picture.", "Open the door.",
    "What is the phone number of {person}?", "Recommend a book about {topic}.", "Recommend a film.", "Which is better, {topic} or {topic2}?", "Compare {topic} and {topic2}.", "Show me a photo of {person}.",
    "What will happen tomorrow?", "Who will win {event}?", "What am I thinking?", "Where are my keys?", "What did I eat yesterday?", "Write a business plan.", "Fix my code.", "Debug this program",
    "Plan a trip to {country}.", "Write a cover letter.", "Give me legal advice.", "Is {topic} dangerous?", "Should I study {topic}?", "How do I learn {topic}?", "How do I get rich?", "How do I fly a plane?",
)  # fmt: skip
_ANSWERS = (
    "I do not know that. I am a small demonstration model: ask me for a sum, a capital or a story.",
    "I do not know. I am only a small demonstration model.",
    "Sorry, I do not know that. I am a small demonstration model and know only a few things.",
    "That is beyond me: I am a small demonstration model. A larger model could help you here.",
    "I have not learned that. I am a small demonstration model; I can add numbers, name capitals and tell stories.",
)  # fmt: skip
_NOISE = ("asdf", "asdfgh", "qwerty", "?", "???", "...", "xyz", "blah", "blah blah", "hmm", "huh", "hjkl", "aaaa", "zzz", "fdsa", "foo", "foo bar", "!", "1", ".", "uh", "abcxyz", "lorem ipsum", "eh?", "#", "what",
          "what?", "why?", "why", "how?", "who?", "when?", "where?", "and?", "so?")  # fmt: skip
_PUZZLED = (
    "I did not understand that. Could you say it another way?",
    "Could you tell me a little more?",
    "I am not sure what you mean. Try a question like: *What is 17 + 25?*",
)


def unknown(rng: Random, persona: Persona) -> list[Exchange]:
    if rng.random() < 0.12:
        noise = (
            rng.choice(_NOISE)
            if rng.random() < 0.6
            else "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 9)))
        )
        return [Exchange(noise, rng.choice(_PUZZLED))]
    topic, topic2 = rng.sample(_TOPICS, 2)
    fields: dict[str, str | int] = {
        "topic": topic, "topic2": topic2, "person": rng.choice(_PEOPLE), "thing": rng.choice(_THINGS), "event": rng.choice(_EVENTS),
        "year": rng.randrange(1200, 2031), "country": rng.choice(sorted(CAPITALS)),
    }  # fmt: skip
    return [Exchange(roughen(rng, rng.choice(_WORDINGS).format(**fields)), rng.choice(_ANSWERS))]
