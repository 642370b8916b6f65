"""ChatML as Meditron's fine-tuning writes it: the one place that knows its markers, its roles and its template.

A message is `<|im_start|>role`, a line break, its text, `<|im_end|>` and a line break (the MediTron paper,
arXiv 2311.16079, appendix; its roles are system, question and answer).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.errors import DataError

START, END = "<|im_start|>", "<|im_end|>"
SYSTEM, QUESTION, ANSWER = "system", "question", "answer"
ROLES = {SYSTEM: SYSTEM, QUESTION: QUESTION, ANSWER: ANSWER, "user": QUESTION, "assistant": ANSWER}
"""Role as a conversation's record or a chat client names it -> as it is written."""

Message = tuple[str, str]
"""Role, one of ROLES' values, and text."""

# Written so that servers with a Jinja of their own (not Python's) read it too: no methods, no filters.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{% set role = 'question' %}"
    "{% elif message['role'] == 'assistant' %}{% set role = 'answer' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<|im_start|>' + role + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>answer\\n' }}{% endif %}"
)


def render(messages: Sequence[Message]) -> str:
    """What CHAT_TEMPLATE makes of messages."""
    return "".join(f"{START}{role}\n{text}{END}\n" for role, text in messages)


def give_template(tokenizer: Any) -> None:
    """Give a tokenizer that has the markers the template, so that it goes wherever the tokenizer is copied."""
    if {START, END} <= tokenizer.get_vocab().keys():
        tokenizer.chat_template = CHAT_TEMPLATE


class ChatEncoder:
    """Conversations to ids and to which of them are the answers'.

    Ids are those of the tokenizer's own chat template, so that a model is trained on what it is served.
    Raises DataError when the tokenizer lacks the markers or its template writes another form.
    """

    def __init__(self, tokenizer: Any, folder: str) -> None:
        vocabulary = tokenizer.get_vocab()
        remedy = f"extend it by recipes/train_tokenizer.py with base={folder} special_tokens=['{START}','{END}']"
        lacking = [token for token in (START, END) if token not in vocabulary]
        if lacking:
            raise DataError(f"{folder}: has no token {' and no '.join(lacking)}; {remedy}")
        if not _has_template(tokenizer):
            raise DataError(
                f"{folder}: has not ChatML's chat template, by which a model is served what it was trained on; {remedy}"
            )
        tokenizer.model_max_length = int(1e30)  # no warning a long conversation: those that are cut are counted
        self._tokenizer = tokenizer
        self._start: int = vocabulary[START]
        self._control = tokenizer.all_special_tokens

    def spells_control(self, messages: Sequence[Message]) -> bool:
        """Whether a text spells a control token: rendered, it could not be told from the real one."""
        return any(token in text for _, text in messages for token in self._control)

    def encode(self, messages: Sequence[Message]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids (tokens,), and which are an answer's, its markers and its last line break included.

        No text may spell a control token.
        """
        text = render(messages)
        ids = np.array(self._tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
        starts = np.flatnonzero(ids == self._start)
        assert len(starts) == len(messages) and starts[0] == 0, text
        lengths = np.diff(starts, append=len(ids))
        return ids, np.repeat([role == ANSWER for role, _ in messages], lengths)


def _has_template(tokenizer: Any) -> bool:
    """Whether a tokenizer's own template writes what `render` does, whatever names the roles are given by."""
    if tokenizer.chat_template is None:
        return False
    given = [{"role": role, "content": "a"} for role in ROLES]
    written = tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True)
    return written == render([(role, "a") for role in ROLES.values()]) + f"{START}{ANSWER}\n"
