"""The words around a question: as a text that an option ends, as a text to classify, as a conversation."""

from medlm_recipes.config.examples import PromptKeys
from medlm_recipes.examples.records import Question
from medlm_recipes.tokenization.chatml import ANSWER, QUESTION, SYSTEM, Message


def before_option(question: Question) -> str:
    """What an option follows after a space."""
    return _lines(question.context, question.question, question.lead)


def to_classify(question: Question) -> str:
    """The context and then the question, as in BioMedLM's code."""
    return _lines(question.context, question.question)


def as_conversation(question: Question, keys: PromptKeys) -> list[Message]:
    """System message if any, the question with its options, the answer; `keys` say how each is put.

    A chain of thought needs the question's explanation.
    """
    return [*asking(question, keys), (ANSWER, _answer(question, keys))]


def asking(question: Question, keys: PromptKeys) -> list[Message]:
    """The messages that an answer follows, word for word what evaluate asks in a chat (yamls/evaluate/tasks).

    Question and options stand as in Meditron's `format_mcq`; without options the question stands alone.
    """
    asked = question.question
    if keys.options:
        mark = "" if asked.endswith(("?", ".")) else "?"
        asked = f"Question: {asked}{mark}"
    text = _lines(question.context, asked, question.lead)
    if keys.options:
        text += "\n\nOptions:\n" + _lines(*(f"{letter}. {option}" for letter, option in question.options.items()))
    return [*([(SYSTEM, keys.system)] if keys.system else []), (QUESTION, _lines(text, keys.instruction))]


def _answer(question: Question, keys: PromptKeys) -> str:
    conclusion = keys.conclusion.format(letter=question.letter, answer=question.answer)
    return _lines(question.explanation, conclusion) if keys.chain_of_thought else conclusion


def _lines(*texts: str) -> str:
    return "\n".join(text for text in texts if text)
