"""Examples to ids: what a model reads of each, and what it is to learn.

What is longer than a row is cut on its left, so that the context goes first, and a response, an option or the end of
a question stays. No text gives a control token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.examples import PromptKeys
from medlm_recipes.examples.prompts import as_conversation, before_option, to_classify
from medlm_recipes.examples.records import Conversation, Example, Pair, Question
from medlm_recipes.tokenization.chatml import ChatEncoder, Message
from medlm_recipes.tokenization.encoding import HuggingFaceEncoder, read_backend
from medlm_recipes.tokenization.loading import load_tokenizer

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_ROOM = "no_room_for_the_response"  # in a row, beside a token of its prompt


@dataclass(frozen=True)
class LaidOut:
    """An example as ids, one array (tokens,) a sequence. cut: tokens that were left out on the left.

    sft: one sequence, and which of its tokens are learnt, (tokens,). multiple_choice: a sequence an option,
    the question before it. classification: one sequence. label: number of the right option, or of the label.
    """

    sequences: tuple[Ids, ...]
    cut: int
    learnt: Flags | None = None
    label: int = 0


def layout_of(facts: Mapping[str, Any], tokenizer: str | Path) -> "Layout":
    """How the examples were laid out that a model was fine-tuned on, from the facts of its checkpoint or shards."""
    form = facts.get("form", {})
    return Layout(
        facts["task"],
        str(tokenizer),
        facts["sequence_length"],
        prompt=PromptKeys(**form["prompt"]) if form else None,
        separator=form.get("separator", ""),
        labels=facts.get("labels", ()),
        converses=form.get("converses", False),
    )


class Layout:
    """Lays examples out for one task, in rows of `sequence_length` tokens.

    labels: task classification: what its labels are. Raises DataError when the tokenizer cannot be read, or
    is to encode conversations and lacks ChatML's tokens or template.
    """

    def __init__(
        self,
        task: str,
        tokenizer: str,
        sequence_length: int,
        *,
        prompt: PromptKeys | None = None,
        separator: str = "",
        labels: Sequence[str] = (),
        converses: bool = False,
    ) -> None:
        self.task = task
        self.length = sequence_length
        self.prompt = prompt or PromptKeys()
        self.separator = separator
        self.labels = list(labels)
        self.backend = read_backend(tokenizer)
        self._encoder = HuggingFaceEncoder(self.backend)
        self._chat = ChatEncoder(load_tokenizer(tokenizer), tokenizer) if converses else None

    def form(self) -> dict[str, Any]:
        """What `layout_of` reads again, as JSON."""
        return {
            "prompt": asdict(self.prompt),
            "separator": self.separator,
            "converses": self._chat is not None,
        }

    def lay(self, example: Example) -> LaidOut | str:
        """The example as ids, or the reason for which it cannot be learnt from."""
        if isinstance(example, Pair):
            return self._pair(example)
        if isinstance(example, Conversation):
            return self._conversation(example.messages)
        if self.task == "sft":
            if self.prompt.chain_of_thought and not example.explanation:
                return "no_explanation"
            return self._conversation(as_conversation(example, self.prompt))
        return self._options(example) if self.task == "multiple_choice" else self._labelled(example)

    def _conversation(self, messages: Sequence[Message]) -> LaidOut | str:
        assert self._chat
        if self._chat.spells_control(messages):
            return "spells_control_token"
        return self._response(*self._chat.encode(messages))

    def prompt_of(self, pair: Pair) -> Ids:
        """What a pair's target follows."""
        return self._encode(pair.source + self.separator)

    def _pair(self, pair: Pair) -> LaidOut | str:
        prompt = self.prompt_of(pair)
        target = self._encode(f" {pair.target}")
        ids = np.concatenate([prompt, target, [self.backend.end_of_text]])
        return self._response(ids, np.arange(len(ids)) >= len(prompt))

    def _response(self, ids: Ids, learnt: Flags) -> LaidOut | str:
        """Cut to a row; the last response stays whole, and what is left of one that is cut into is not learnt."""
        last = len(ids) - (np.flatnonzero(~learnt)[-1] + 1)
        if last >= self.length:
            return NO_ROOM
        cut = max(0, len(ids) - self.length)
        kept = learnt[cut:].copy()
        if cut and kept[0]:
            kept[: np.flatnonzero(~kept)[0]] = False
        return LaidOut((ids[cut:],), cut, learnt=kept)

    def _options(self, question: Question) -> LaidOut | str:
        before = before_option(question)
        prompt = len(self._encode(before))
        whole = [self._encode(f"{before} {option}") for option in question.options.values()]
        if max(map(len, whole)) - prompt >= self.length:
            return NO_ROOM
        cut = sum(max(0, len(ids) - self.length) for ids in whole)
        label = list(question.options).index(question.letter)
        return LaidOut(tuple(ids[-self.length :] for ids in whole), cut, label=label)

    def _labelled(self, question: Question) -> LaidOut | str:
        if question.answer not in self.labels:
            return "unknown_label"
        ids = self._encode(to_classify(question))
        cut = max(0, len(ids) - self.length)
        return LaidOut((ids[cut:],), cut, label=self.labels.index(question.answer))

    def _encode(self, text: str) -> Ids:
        ids: Any = self._encoder.encode([text])
        return ids[:-1].astype(np.int64)  # without the end of text
