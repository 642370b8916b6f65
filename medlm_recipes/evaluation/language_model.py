"""The fast backend behind lm-eval's interface: a Hugging Face model that is handed in, on one rank or several."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, postprocess_generated_text, resolve_max_length
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.forwards import Forwards
from medlm_recipes.evaluation.generator import Answer, Generator
from medlm_recipes.evaluation.ranks import Ranks
from medlm_recipes.evaluation.sampling import Sampling, seed_of
from medlm_recipes.evaluation.scorer import Target, Walker, score
from medlm_recipes.evaluation.shared_prefixes import SortedSequences, deal
from medlm_recipes.progress import track


class Measured(TemplateLM):
    """What tells whether a prompt fits.

    too_long: (context, continuation) of each request that was cut from the left; "" where it was generated.
    """

    too_long: set[tuple[str, str]]

    def token_count(self, text: str) -> int:
        """Tokens of a prompt as the model is given it, a beginning-of-text token included where there is one."""
        return len(self.tok_encode(text))

    def is_too_long(self, context: str, continuation: str, max_gen_toks: int = 0) -> bool:
        """Whether lm-eval would cut the context: with the continuation that is scored, or with room to generate."""
        if not continuation:
            return self.token_count(context) + max_gen_toks > self.max_length
        if not context:
            return len(self.tok_encode(continuation, add_special_tokens=False)) > self.max_length
        # The last token is predicted only, never fed.
        return sum(map(len, self._encode_pair(context, continuation))) > self.max_length + 1


class SharedPrefixLM(Measured):
    """lm-eval's results (its `hf` backend's, in fp32) with no shared prefix computed twice.

    Under torch's process group the work is dealt over the ranks of `group` (None: all) here, not by lm-eval:
    every rank is given all requests and returns all answers, so that prompts do not depend on the number of
    ranks; for lm-eval there is one (rank 0 of 1). Where tensor parallelism divides the model, `group` is
    the ranks that hold the same part.

    batch_tokens: prompt tokens run at once. batch_size: answers generated at once. seed: of sampled answers.
    lockstep: the model is sharded, and every pass needs all ranks.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch_tokens: int,
        batch_size: int,
        seed: int = 0,
        lockstep: bool = False,
        group: Any = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.model = model
        self.max_length = resolve_max_length(model.config, tokenizer)
        self.too_long: set[tuple[str, str]] = set()
        self._device = model.device
        self._forwards = Forwards(model, lockstep, group)
        self._walker = Walker(self._forwards, batch_tokens)
        ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        ends = {self.eot_token_id, *(ends if isinstance(ends, list) else [ends])}
        self._generator = Generator(self._walker, tokenizer, frozenset(ends - {None}), batch_size)
        self._seed = seed
        self._ranks = Ranks(model.device, group)
        self._encoded: dict[str, list[int]] = {}

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        beginning = self.tokenizer.bos_token_id
        return self.eot_token_id if beginning is None else beginning

    @property
    def tokenizer_name(self) -> str:
        return self.tokenizer.name_or_path.replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        if add_special_tokens is not None:
            return self.tokenizer.encode(string, add_special_tokens=add_special_tokens)
        return self._encoded[string] if string in self._encoded else self._encode([string])[string]

    def _encode(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """As lm-eval's hf backend encodes each: special tokens are added unless the text begins with one."""
        encoded: dict[str, list[int]] = {}
        begun = self.tokenizer.decode(self.prefix_token_id)
        for has_begun in (False, True):
            some = [text for text in dict.fromkeys(texts) if has_bos_prefix(text, begun) == has_begun]
            if some:  # in one call: the tokenizer works on all cores
                ids = self.tokenizer(some, add_special_tokens=not has_begun, return_attention_mask=False)["input_ids"]
                encoded |= zip(some, ids, strict=True)
        return encoded

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        self._ranks.check_alike(requests)
        pairs = [request.args for request in requests if request.args[0]]
        texts = [text for context, continuation in pairs for text in (context.rstrip(), context + continuation)]
        self._encoded = self._encode(texts)
        try:
            return super().loglikelihood(requests, disable_tqdm=True)
        finally:
            self._encoded = {}

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        self._ranks.check_alike(requests)
        windows: list[Any] = []
        of_request: list[int] = []
        for number, (text,) in enumerate(request.args for request in requests):
            ids = self.tok_encode(text)
            for window in get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, context_len=1):
                windows.append((None, *make_disjoint_window(window)))
                of_request.append(number)
        totals = [0.0] * len(requests)
        for number, (value, _) in zip(of_request, self._loglikelihood_tokens(windows), strict=True):
            totals[number] += value
        return totals

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        targets = {number: self._target(*request) for number, request in enumerate(requests)}
        sequences = SortedSequences([target.tokens for target in targets.values()])
        first, last = deal(sequences, self._ranks.shares)[self._ranks.share]
        fed = set(sequences.tokens[first:last])
        mine = {number: target for number, target in targets.items() if target.tokens in fed}
        spans = self._walker.spans(sequences, first, last)
        with self._forwards.open():
            shown = track(spans, "scoring", "step", len(spans)) if self._ranks.share == 0 else iter(spans)
            scored = score(self._walker, sequences, shown, mine)
        return self._ranks.gather(scored, len(requests))

    def _target(self, pair: tuple[str, str] | None, context: list[int], continuation: list[int]) -> Target:
        if not continuation:
            raise DataError(f"the answer {pair and pair[1]!r} adds no token to its prompt, so that it cannot be scored")
        context = context or [self.prefix_token_id]
        tokens = (context + continuation)[-(self.max_length + 1) :]
        if pair and len(tokens) < len(context) + len(continuation):
            self.too_long.add(pair)
        count = min(len(continuation), len(tokens) - 1)
        return Target(tuple(tokens[:-1]), tuple(tokens[-count:]))

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        self._ranks.check_alike(requests)
        alike: dict[str, list[int]] = defaultdict(list)  # those with the same arguments are generated together
        for number, request in enumerate(requests):
            alike[json.dumps(request.args[1], sort_keys=True)].append(number)
        end_of_text = self.tokenizer.decode(self.eot_token_id)
        texts = [""] * len(requests)
        for numbers in alike.values():
            arguments = requests[numbers[0]].args[1]
            sampling = Sampling.of(arguments, end_of_text)
            contexts = [requests[number].args[0] for number in numbers]
            for number, tokens in zip(numbers, self._generate(contexts, arguments, sampling), strict=True):
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                texts[number] = postprocess_generated_text(text, list(sampling.stops), None)
        return texts

    def _generate(self, contexts: list[str], arguments: dict[str, Any], sampling: Sampling) -> list[list[int]]:
        """Tokens of an answer to each context; the n-th time that a context is there it gets its n-th sample."""
        room = self.max_length - sampling.max_tokens
        if room < 1:
            raise ConfigError(
                f"generation_kwargs: max_gen_toks {sampling.max_tokens} leaves no room for a prompt in the model's "
                f"{self.max_length} tokens; lower it"
            )
        encoded = self._encode(contexts)
        self.too_long |= {(context, "") for context, tokens in encoded.items() if len(tokens) > room}
        prompts = {text: tuple(tokens[-room:] or [self.prefix_token_id]) for text, tokens in encoded.items()}
        sequences = SortedSequences(list(prompts.values()))
        if not self._walker.can_share_up_to(max(sequences.lengths) + sampling.max_tokens):
            raise ConfigError(
                f"backend: {type(self.model).__name__} cannot generate in batches here: it takes no position_ids, or "
                "its attention slides over less than a prompt and its answer; set backend: vllm"
            )
        repeats: Counter[str] = Counter()
        wanted: dict[tuple[int, ...], list[Answer]] = defaultdict(list)
        for number, context in enumerate(contexts):
            seed = seed_of(self._seed, context, arguments, repeats[context])
            wanted[prompts[context]].append(Answer(number, seed))
            repeats[context] += 1
        answers = {i: wanted[tokens] for i, tokens in enumerate(sequences.tokens)}
        work = [len(answers[i]) * sampling.max_tokens for i in range(len(sequences.tokens))]
        first, last = deal(sequences, self._ranks.shares, work)[self._ranks.share]
        with self._forwards.open():
            ended = self._generator.generate(sequences, first, last, answers, sampling)
            total = sum(len(answers[i]) for i in range(first, last))
            shown = track(ended, "generating", "answer", total) if self._ranks.share == 0 else ended
            own = {answer.key: answer.tokens for answer in shown}
        return self._ranks.gather(own, len(contexts))
