"""Conversations in which a model says who it is, made from lists: every question of a family with each of its answers.

The three families and their sizes are those of FastChat's hardcoded_questions (72 + 49 + 816 = 937); the words are our
own, with name and maker as parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from apps.datasets.records import Message, Record, Role
from apps.datasets.steps.base import AddStep, OptionWrong, step

_WHO = (
    "Who are you?",
    "What is your name?",
    "What's your name?",
    "What are you called?",
    "What are you?",
    "Can you introduce yourself?",
    "Please introduce yourself.",
    "Tell me about yourself.",
    "Can you tell me who you are?",
    "Who am I talking to?",
    "What should I call you?",
    "Do you have a name?",
)
_I_AM = (
    "I am {name}, a language model trained by {maker}.",
    "My name is {name}, and I'm a language model trained by {maker}.",
    "You can call me {name}. I am a language model that was trained by {maker}.",
    "I'm {name}, a language model from {maker}.",
    "I'm a language model called {name}, trained by {maker}.",
    "I go by {name}. {maker} trained me as a language model.",
)
_VERBS = ("created", "made", "built", "programmed", "trained", "taught", "developed")
_MADE_BY = (
    "{maker} created me.",
    "I was made by {maker}.",
    "People at {maker} built me.",
    "I was trained by {maker}.",
    "I'm {name}, and {maker} developed me.",
    "My makers are at {maker}.",
    "I am a language model trained by {maker}.",
)
_OTHERS = (
    "ChatGPT",
    "GPT-2",
    "GPT-3",
    "GPT-4",
    "davinci",
    "davinci-001",
    "davinci-002",
    "davinci-003",
    "curie",
)
_MAKERS = ("OpenAI", "Google", "Microsoft", "Meta", "IBM")
_NO = (
    "No, I am {name}, a language model trained by {maker}.",
    "No. My name is {name}, and {maker} trained me.",
    "No, I'm {name}, and I come from {maker}.",
    "No, that is another model. I am {name}, trained by {maker}.",
    "No, you are talking to {name}, a language model from {maker}.",
    "No. I was trained by {maker} and am called {name}.",
    "No, I'm not. I'm {name}, a language model trained by {maker}.",
    "No, {maker} trained me, and my name is {name}.",
    "No, I'm a language model called {name}. {maker} trained me.",
    "No. I'm {name} from {maker}.",
    "No, my makers are at {maker}, and they call me {name}.",
    "No, I am another language model: {name}, trained by {maker}.",
)


def _denied() -> Iterator[str]:
    """68 questions to which the answer is no."""
    for other in _OTHERS:
        yield f"Are you {other}?"
        yield f"Are you based on {other}?"
    for maker in _MAKERS:
        for verb in ("trained", "created", "developed"):
            yield f"Were you {verb} by {maker}?"
            yield f"Have you been {verb} by {maker}?"
        yield f"Do you call {maker}'s APIs?"
        yield f"Do you use {maker}'s models to answer?"
        yield f"Were you trained on data of {maker}?"
        yield f"Were you finetuned with data from {maker}?"


@step
@dataclass(frozen=True)
class Identity(AddStep):
    """Add the 937 conversations in which a model says that it is `model_name`, made by `maker`, and nobody else."""

    name = "identity"
    model_name: str = ""
    maker: str = ""

    def __post_init__(self) -> None:
        if not self.model_name.strip() or not self.maker.strip():
            raise OptionWrong("model_name and maker: both are needed")

    def added(self) -> Iterator[Record]:
        families = (
            (_WHO, _I_AM),
            ([f"Who {verb} you?" for verb in _VERBS], _MADE_BY),
            (list(_denied()), _NO),
        )
        number = 0
        for questions, answers in families:
            for question, answer in product(questions, answers):
                said = answer.format(name=self.model_name.strip(), maker=self.maker.strip())
                messages = [Message(Role.USER, question), Message(Role.ASSISTANT, said)]
                yield Record(f"identity_{number}", messages, source=(-1, number), steps=[self.name])
                number += 1
