"""Prompts of a task through lm-eval's own templating, cut to what the model can read at once.

Demonstrations are drawn once a seed and are the same for every question, as Meditron draws them
(`train.shuffle(seed).select(range(k))` in its evaluation/benchmarks.py); so the prompts of a seed share
a long prefix. A prompt that is too long loses its first demonstrations; the question is never cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from datasets import Dataset
from jinja2 import TemplateError
from lm_eval import utils
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from medlm_recipes.errors import ConfigError
from medlm_recipes.evaluation.task import generates, generation_of

# lm-eval compiles every template anew for every document, which took longer than scoring the questions.
utils.env.from_string = cache(utils.env.from_string)

_MERGED = 16
"""Tokens by which a text's count may differ from the sum of its two halves': a margin, not a measure."""


@dataclass
class Prompt:
    """One question as it is put to the model.

    number: of the question, from 0. demonstrations, dropped: how many are shown, and how many more there was
    no room for. requests: lm-eval's, one an option or one a generated text; none when the question alone is
    too long for the model.
    """

    number: int
    seed: int
    context: str
    demonstrations: int
    dropped: int
    requests: list[Instance]

    @property
    def is_too_long(self) -> bool:
        return not self.requests


class Prompter:
    """Makes the prompts of one task.

    subject: an lm-eval model with max_length, token_count and is_too_long. chat: whether prompts go
    into its tokenizer's chat template. Raises ConfigError for a task that cannot be rendered.
    """

    def __init__(
        self, task: dict[str, Any], questions: list[dict[str, Any]], subject: Any, chat: bool, max_gen_toks: int | None
    ) -> None:
        self.config, self.questions, self.subject = task, questions, subject
        self.max_gen_toks = max_gen_toks
        self.chat = subject.apply_chat_template if chat else None
        if chat and not getattr(subject.tokenizer, "chat_template", None):
            raise ConfigError("chat: true: the model's tokenizer has no chat template; leave chat out")
        documents = Dataset.from_list(questions)
        own = {
            # The questions as they were checked, in memory: nothing is cached in the user's home.
            "custom_dataset": lambda **_: {"test": documents},
            "fewshot_split": None,
            "fewshot_config": {"sampler": "first_n", "samples": []},
            "training_split": None,
            "validation_split": None,
        }
        self.task = self._checked(lambda: ConfigurableTask(config=task | own))
        self.documents = documents

    @property
    def metrics(self) -> list[str]:
        """Names of what lm-eval scores in this task."""
        return [entry["metric"] for entry in self.config["metric_list"]]

    def prompts(self, demonstrations: list[dict[str, Any]], seed: int, numbers: range) -> Iterator[Prompt]:
        """The prompts of some questions. Raises ConfigError for a task that leaves a question's text out."""
        if generates(self.config):
            self.task.config.generation_kwargs = generation_of(self.config, self.max_gen_toks)
        for number in numbers:
            yield self._checked(lambda number=number: self._prompt(number, demonstrations, seed))

    def _prompt(self, number: int, demonstrations: list[dict[str, Any]], seed: int) -> Prompt:
        document, question = self.documents[number], self.questions[number]
        for shown in range(len(demonstrations), -1, -1):
            self.task.sampler.replace_df(demonstrations[len(demonstrations) - shown :])
            context = self.task.fewshot_context(
                document,
                shown,
                apply_chat_template=self.chat is not None,
                fewshot_as_multiturn=True,
                chat_template=self.chat,
                gen_prefix=self.task.doc_to_prefix(document),
            )
            requests = self.task.construct_requests(
                document,
                context,
                metadata=(self.config["task"], number, self.task.config.repeats),
                apply_chat_template=self.chat is not None,
                chat_template=self.chat,
            )
            if self._fits(requests):
                break
        else:
            requests = []
        for what in ("question", "context"):
            if question.get(what) and question[what].strip() not in context:
                raise ConfigError(
                    f"task: {self.config['task']}: its prompt leaves out the {what} of question {question['id']}; "
                    "choose a task for this benchmark's form"
                )
        if isinstance(requests, Instance):
            requests = [requests] * self.task.config.repeats
        return Prompt(number, seed, context, shown, len(demonstrations) - shown, requests)

    def _fits(self, requests: Any) -> bool:
        """Whether prompt and answer stand in the model's context together."""
        if isinstance(requests, Instance):
            context, keywords = requests.args
            return self.subject.token_count(context) + keywords["max_gen_toks"] <= self.subject.max_length
        pairs = [request.args for request in requests]
        longest = max(self.subject.token_count(answer) for _, answer in pairs)
        if self.subject.token_count(pairs[0][0]) + longest + _MERGED <= self.subject.max_length:
            return True
        return not any(self.subject.is_too_long(*pair) for pair in pairs)

    def _checked(self, make: Any) -> Any:
        try:
            return make()
        except (TemplateError, SyntaxError, ValueError) as error:
            raise ConfigError(
                f"task: {self.config['task']}: cannot be put into words for this benchmark: {error}"
            ) from None
