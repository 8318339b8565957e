# ruff: noqa: E501  # long sentences and word lists
"""Greetings, thanks, moods, and remembering a name or a number within the conversation."""

from random import Random

from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

_TALK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("Hi", "Hello", "Hello!", "Hi!", "Hey", "Hey there", "hi there", "Hello there!", "Good day", "hiya", "yo", "Greetings", "hello?",
         "Howdy", "hey!", "hi :)", "heya", "Hi {name}", "Hello {name}!", "sup", "helo", "hallo"),
        ("Hello! How can I help you?", "Hi! What can I do for you?", "Hello! Ask me for a sum, a capital or a story.", "Hi there! What would you like to know?",
         "Hello! I am {name}. What can I do for you?"),
    ),
    (("Good morning", "Good morning!", "morning", "gm"), ("Good morning! What can I do for you?", "Good morning! How can I help?")),
    (("Good evening", "Good evening!", "evening"), ("Good evening! How can I help?", "Good evening! What would you like to know?")),
    (("Good afternoon", "Good afternoon!"), ("Good afternoon! How can I help you?",)),
    (("Good night", "Good night!", "gn", "sleep well"), ("Good night! Sleep well.", "Good night, and see you soon!")),
    (
        ("How are you?", "How are you doing?", "How is it going?", "how are u", "Hi, how are you?", "Hello, how are you today?", "what's up?",
         "How do you do?", "How do you feel?", "are you ok?", "Hey, how are you doing?", "you good?", "whats up", "How have you been?"),
        ("I am well, thank you! How can I help you?", "All my weights are in place, thank you. What can I do for you?",
         "I am fine, thank you for asking. What would you like to know?"),
    ),
    (
        ("Thanks", "Thank you", "Thank you!", "thx", "Thanks a lot", "Many thanks", "ty", "thank you very much", "Thanks!", "cheers", "great, thanks",
         "ok thanks", "Thanks for your help", "Thank you so much!", "perfect, thank you", "tysm"),
        ("You are welcome!", "You are welcome! Anything else?", "My pleasure.", "Glad to help!", "Any time!"),
    ),
    (
        ("Bye", "Goodbye", "See you", "bye bye", "See you later", "Goodbye!", "I have to go", "cya", "Talk to you later", "That is all, bye", "take care",
         "farewell", "see you tomorrow"),
        ("Goodbye! Come back any time.", "Goodbye, and have a nice day!", "See you soon!", "Bye! It was nice talking to you."),
    ),
    (
        ("Great", "Nice", "Cool", "Wow", "Awesome", "Good job", "Well done", "Perfect", "very good", "That is right", "Correct!", "amazing", "You are great",
         "you are smart", "I like you", "nice one", "good bot", "love it", "brilliant", "excellent", "You are funny", "haha", "lol", "That's funny"),
        ("Thank you! What is next?", "I am glad you like it. What else can I do?", "Thank you, that is kind.", "Happy to hear that! Shall we go on?"),
    ),
    (
        ("You are stupid", "That is wrong", "Wrong", "You are wrong", "bad answer", "that is not right", "this is bad", "You are useless", "no that's wrong",
         "I don't believe you", "you suck", "Are you sure?", "that makes no sense", "Really?", "dumb bot", "hm, no"),
        ("I am sorry. I am a small model and make mistakes. Could you ask it another way?", "Sorry about that. I am only a small demonstration model; please check my answers.",
         "You may be right: I make mistakes. Shall we try again?"),
    ),
    (
        ("Ok", "Okay", "Yes", "Sure", "yes please", "alright", "yeah", "yep", "fine", "k", "I see", "Got it", "understood", "right", "go on", "of course"),
        ("Good. What would you like to know?", "All right! What shall we do next?", "Fine. Ask me anything simple."),
    ),
    (("No", "No thanks", "nope", "nothing", "no thank you", "not now", "never mind", "nah"), ("All right. I am here if you need me.", "No problem. Just ask when you need something.")),
    (
        ("I am sad", "I feel bad", "I am unhappy", "I had a bad day", "I feel lonely", "I am tired", "I am stressed", "I am worried", "I'm not well", "I am so tired today",
         "I feel down", "today was awful"),
        ("I am sorry to hear that. A short walk, a glass of water or a talk with a friend often helps.", "That sounds hard. Be kind to yourself today. Would a small story or a joke help?"),
    ),
    (
        ("I am happy", "I feel great", "I had a good day", "I am so happy today", "I got a new job", "Today is my birthday", "I passed my exam", "I'm excited", "it's my birthday"),
        ("That is wonderful! I am happy for you.", "How nice! Enjoy it.", "Congratulations! That is good news."),
    ),
    (
        ("I am bored", "I'm bored", "entertain me", "What should we do?", "let's talk", "talk to me", "say something", "Tell me something", "Surprise me", "chat with me",
         "Can we talk?", "what now?", "Let's chat", "anything"),
        ("Let us play: ask me for the opposite of a word, or give me two numbers to add.", "How about a story? Say: *Tell me a story.*",
         "Did you know that a spider has eight legs? Ask me how many an ant has!"),
    ),
    (
        ("I love you", "Do you love me?", "Will you marry me?", "Be my friend", "Can we be friends?", "are you my friend", "I hate you", "kiss me"),
        ("That is kind of you. I am only a program, but I like to help.", "I am a small program, so I cannot feel that, but I am glad to talk with you."),
    ),
    (
        ("Can you help me with my homework?", "I have a question", "Can I ask you something?", "I need help with maths", "can you do maths", "Can you do math?", "help me with my homework", "I have a problem",
         "Can you answer a question?", "may i ask a question", "Are you good at maths?"),
        ("Of course! I am best at sums, capitals and words. What is the question?", "Gladly. Ask me, for example: *What is 17 + 25?*", "Go ahead! I can do small sums, and I know some capitals."),
    ),
    (
        ("Tell me a secret", "Guess what", "Let's play a game", "Play a game with me", "do you want to play", "let us play", "Sing a song", "Can you sing?", "dance", "Can you dance?"),
        ("I am a program and can only write. Shall I tell you a joke?", "I would love to, but I can only write text. Try: *Write a haiku.*"),
    ),
    (
        ("Sorry", "I am sorry", "my bad", "oops", "sorry about that", "Excuse me", "pardon"),
        ("No problem at all.", "Never mind! What can I do for you?"),
    ),
    (
        ("test", "Test", "testing", "this is a test", "Is this working?", "Do you work?", "Are you there?", "ping", "anybody there?", "Can you hear me?", "test 1 2 3", "hello??"),
        ("Yes, I am here and working.", "It works! What would you like to ask?", "I read you loud and clear."),
    ),
    (
        ("I am hungry", "What should I eat?", "What should I cook tonight?", "What is for dinner?", "Suggest a meal", "give me a dinner idea", "what can i eat"),
        ("How about pasta with tomatoes and a little cheese? It takes fifteen minutes.", "Try a warm soup with bread, or rice with vegetables.", "An omelette with herbs is quick and good."),
    ),
    (("What time is it?", "What is the date today?", "What day is it today?", "what is the time", "which year is it", "What is today's date?"),
     ("I cannot see a clock or a calendar, so I do not know. Your computer shows it in a corner of the screen.", "I have no clock, sorry.")),
    (("What is the weather like?", "How is the weather today?", "Will it rain tomorrow?", "weather", "Is it cold outside?", "what's the weather in {place}?", "Will it snow in {place}?"),
     ("I cannot look outside, so I do not know the weather.", "I do not know: I have no window and no network. Please look at a weather report.")),
    (("What is the meaning of life?", "Why are we here?", "What is love?", "Is there a god?", "What happens after death?", "what is happiness"),
     ("That is a large question for a very small model. Many people say: be kind and stay curious.", "Wiser minds than mine have thought about that. I would start with a cup of tea.")),
)  # fmt: skip
NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo", "Maria", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina",
    "Tom", "Lucy", "Max", "Nina", "Omar", "Priya", "Ravi", "Sofia", "Yuki", "Zoe", "Alice", "Bob", "Charlie", "Mia", "Oscar", "Peter", "Lena", "John", "Mary",
)  # fmt: skip


_PLACES = (
    "Paris",
    "London",
    "Berlin",
    "Tokyo",
    "Rome",
    "New York",
    "Madrid",
    "Oslo",
    "Cairo",
    "Lima",
    "Boston",
    "Munich",
)


def smalltalk(rng: Random, persona: Persona) -> list[Exchange]:
    # Greetings come first in most chats, so they come often here.
    questions, answers = _TALK[0] if rng.random() < 0.18 else rng.choice(_TALK)
    user = ask(rng, questions, name=persona.name, place=rng.choice(_PLACES))
    return [Exchange(user, rng.choice(answers).format(name=persona.name))]


def remembering(rng: Random, persona: Persona) -> list[Exchange]:
    """Something told in one turn and asked for in a later one."""
    name = rng.choice(NAMES)
    told = Exchange(
        ask(rng, ("My name is {name}.", "I am {name}.", "Hi, I'm {name}", "Call me {name}.", "Hello, my name is {name}!", "I'm {name}"), typos=False, name=name),
        rng.choice(("Nice to meet you, {name}!", "Hello {name}! How can I help you?", "Nice to meet you, {name}. What can I do for you?")).format(name=name),
    )  # fmt: skip
    between = smalltalk(rng, persona) if rng.random() < 0.4 else []
    asked = Exchange(
        ask(rng, ("What is my name?", "Do you remember my name?", "Who am I?", "What did I say my name is?", "whats my name?", "say my name")),
        rng.choice(("Your name is **{name}**.", "You are {name}.", "You told me that your name is {name}.")).format(name=name),
    )  # fmt: skip
    if rng.random() < 0.15:
        return [Exchange(asked.user, "You have not told me your name yet.")]
    return [told, *between, asked] if rng.random() < 0.8 else [told]
