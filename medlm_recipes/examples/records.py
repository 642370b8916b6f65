"""Examples to fine-tune on, whatever file they are from."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.tokenization.chatml import Message


@dataclass(frozen=True)
class Question:
    """A question with its options by letter; `letter` is the right one. An explanation may say why.

    options: of a classification the labels. context: what the question is about, before it; or empty.
    lead: what stands between the question and an option, like the beginning of a sentence; or empty.
    """

    id: str
    question: str
    options: dict[str, str]
    letter: str
    context: str = ""
    explanation: str = ""
    lead: str = ""

    @property
    def answer(self) -> str:
        return self.options[self.letter]

    @property
    def asked(self) -> list[str]:
        return [text for text in (self.context, self.question, self.lead, *self.options.values()) if text]

    @property
    def told(self) -> list[str]:
        return [self.explanation] if self.explanation else []


@dataclass(frozen=True)
class Pair:
    """A text and what is to be made of it."""

    id: str
    source: str
    target: str

    @property
    def asked(self) -> list[str]:
        return [self.source]

    @property
    def told(self) -> list[str]:
        return [self.target]


@dataclass(frozen=True)
class Conversation:
    """Messages of which the last is an answer."""

    id: str
    messages: tuple[Message, ...]

    @property
    def asked(self) -> list[str]:
        return [text for role, text in self.messages if role != "answer"]

    @property
    def told(self) -> list[str]:
        return [text for role, text in self.messages if role == "answer"]


Example = Question | Pair | Conversation
"""asked: the texts that a model is shown. told: what it is to say or may be told besides."""


def texts(example: Example) -> Iterator[str]:
    yield from example.asked
    yield from example.told
