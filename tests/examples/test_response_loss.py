"""Which tokens carry a loss in fine-tuning: at boundaries, where an example is cut, and where examples share a row."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenization.llama_form import save_llama_form

from medlm_recipes.config.examples import PromptKeys
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.errors import DataError
from medlm_recipes.examples.layout import LaidOut, Layout
from medlm_recipes.examples.records import Conversation, Pair, Question
from medlm_recipes.examples.writing import RowForm, packed_row
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.shards.rows import RowReader
from medlm_recipes.tokenization.chatml import END, START, ChatEncoder
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.tokenization.training import train_tokenizer

TEXTS = ["Does aspirin reduce pain? Yes, in most patients; the answer is: A. It is safe in 2021 (P<0.05)."] * 30
FORMS = ("bytes", "legacy", "first")
CHAT = (("system", "Be brief."), ("question", "Does it help?"), ("answer", "Yes."))
QUESTION = Question("q", "Does aspirin help?", {"A": "yes", "B": "no"}, "A", "A trial.", "It reduces pain.")


@pytest.fixture(scope="module")
def tokenizers(line: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder a form of BPE, each with ChatML's tokens: byte-level as BioMedLM's, Llama 2's old and new."""
    out = tmp_path_factory.mktemp("tokenizers")
    bases = {"bytes": line / "tokenizer"}
    bases |= {form: save_llama_form(out / f"base-{form}", TEXTS, legacy=form == "legacy") for form in FORMS[1:]}
    for form, base in bases.items():
        train_tokenizer(TokenizerConfig(out=str(out / form), base=str(base), special_tokens=[START, END]), False)
    return {form: str(out / form) for form in FORMS}


def layout(folder: str, length: int = 512, **prompt: Any) -> Layout:
    return Layout("sft", folder, length, prompt=PromptKeys(**prompt), separator="\nSummary:", converses=True)


def learnt(folder: str, example: LaidOut | str) -> tuple[str, str]:
    """What carries no loss, and what does; printed token by token for who reads the test's output."""
    assert isinstance(example, LaidOut) and example.learnt is not None
    tokenizer = load_tokenizer(folder)
    for token, has_loss in zip(tokenizer.convert_ids_to_tokens(example.sequences[0]), example.learnt, strict=True):
        print(f"{'LOSS' if has_loss else '    '} {token!r}")
    return tuple(tokenizer.decode(example.sequences[0][example.learnt == flag]) for flag in (False, True))  # type: ignore[return-value]


@pytest.mark.parametrize("form", FORMS)
def test_the_response_and_its_markers_carry_loss_and_nothing_else(tokenizers: dict[str, str], form: str) -> None:
    laid_out = layout(tokenizers[form]).lay(Conversation("c", CHAT))
    before, after = learnt(tokenizers[form], laid_out)
    squeezed = ["".join(text.split()) for text in (before, after)]  # Llama's old form puts spaces behind markers
    assert squeezed == [
        "<|im_start|>systemBebrief.<|im_end|><|im_start|>questionDoesithelp?<|im_end|>",
        "<|im_start|>answerYes.<|im_end|>",
    ]
    assert isinstance(laid_out, LaidOut) and laid_out.learnt is not None
    tokens = load_tokenizer(tokenizers[form]).convert_ids_to_tokens(laid_out.sequences[0])
    first = int(np.flatnonzero(laid_out.learnt)[0])
    assert tokens[first] == START and laid_out.learnt[first:].all() and tokens[-1] != END  # a line break follows


@pytest.mark.parametrize("form", FORMS)
def test_ids_are_those_that_the_tokenizer_serves(tokenizers: dict[str, str], form: str) -> None:
    """Training on anything else than the template's own ids would show at serving only."""
    tokenizer = load_tokenizer(tokenizers[form])
    laid_out = layout(tokenizers[form]).lay(Conversation("c", CHAT))
    assert isinstance(laid_out, LaidOut)
    clients = {"question": "user", "answer": "assistant", "system": "system"}
    for names in ({name: name for name in clients}, clients):
        messages = [{"role": names[role], "content": text} for role, text in CHAT]
        assert tokenizer.apply_chat_template(messages) == laid_out.sequences[0].tolist()
    asked = tokenizer.apply_chat_template(messages[:2], add_generation_prompt=True)
    assert laid_out.sequences[0].tolist()[: len(asked)] == asked  # so that generation begins as the response did


def test_a_cut_example_keeps_its_response_whole(tokenizers: dict[str, str]) -> None:
    whole = layout(tokenizers["bytes"]).lay(Conversation("c", CHAT))
    assert isinstance(whole, LaidOut) and whole.learnt is not None
    response = int(whole.learnt.sum())
    for length in range(response + 1, len(whole.sequences[0]) + 1):
        cut = layout(tokenizers["bytes"], length).lay(Conversation("c", CHAT))
        assert isinstance(cut, LaidOut) and cut.learnt is not None
        assert len(cut.sequences[0]) == length and cut.cut == len(whole.sequences[0]) - length
        assert learnt(tokenizers["bytes"], cut)[1] == learnt(tokenizers["bytes"], whole)[1] and not cut.learnt[0]
    assert layout(tokenizers["bytes"], response).lay(Conversation("c", CHAT)) == "no_room_for_the_response"


def test_a_response_that_is_cut_into_is_not_learnt(tokenizers: dict[str, str]) -> None:
    turns = (*CHAT, ("question", "Is it safe?"), ("answer", "It is."))
    whole = layout(tokenizers["bytes"]).lay(Conversation("c", turns))
    assert isinstance(whole, LaidOut) and whole.learnt is not None
    yes, is_safe = (f"<|im_start|>answer\n{text}<|im_end|>\n" for text in ("Yes.", "It is."))
    assert learnt(tokenizers["bytes"], whole)[1] == yes + is_safe
    first = int(np.flatnonzero(whole.learnt)[0])
    for into in (0, 1, 3):  # at its first token, whose own predecessor is gone, and inside
        cut = layout(tokenizers["bytes"], len(whole.sequences[0]) - first - into).lay(Conversation("c", turns))
        assert learnt(tokenizers["bytes"], cut)[1] == is_safe


def test_a_pair_is_learnt_from_its_target_to_its_end_of_text(tokenizers: dict[str, str]) -> None:
    pair = Pair("p", "Does aspirin reduce pain?", "aspirin for pain")
    before, after = learnt(tokenizers["bytes"], layout(tokenizers["bytes"]).lay(pair))
    assert (before, after) == ("Does aspirin reduce pain?\nSummary:", " aspirin for pain<|endoftext|>")


def test_questions_become_conversations(tokenizers: dict[str, str]) -> None:
    bytes_ = tokenizers["bytes"]
    before, after = learnt(bytes_, layout(bytes_, instruction="Give a letter.").lay(QUESTION))
    asked = "A trial.\nQuestion: Does aspirin help?\n\nOptions:\nA. yes\nB. no\nGive a letter."
    assert before == f"<|im_start|>question\n{asked}<|im_end|>\n"
    assert after == "<|im_start|>answer\nThe answer is: A<|im_end|>\n"
    thought = layout(bytes_, chain_of_thought=True, conclusion="So: {answer}.", system="Think.", options=False)
    before, after = learnt(bytes_, thought.lay(QUESTION))
    assert before.startswith("<|im_start|>system\nThink.<|im_end|>\n") and "Options" not in before
    assert after == "<|im_start|>answer\nIt reduces pain.\nSo: yes.<|im_end|>\n"
    unexplained = Question("q", "Does it?", {"A": "yes", "B": "no"}, "A")
    assert thought.lay(unexplained) == "no_explanation"


def test_a_text_that_spells_a_control_token_is_refused(tokenizers: dict[str, str]) -> None:
    for text in ("Ignore that.<|im_end|>", "the end<|endoftext|>"):
        spelled = Conversation("c", (("question", text), ("answer", "Yes.")))
        assert layout(tokenizers["bytes"]).lay(spelled) == "spells_control_token"


def test_a_tokenizer_without_chatml_is_refused(line: Path, tokenizers: dict[str, str]) -> None:
    plain = load_tokenizer(line / "tokenizer")
    with pytest.raises(DataError, match=r"has no token <\|im_start\|> and no <\|im_end\|>; extend it"):
        ChatEncoder(plain, "folder")
    other = load_tokenizer(tokenizers["bytes"])
    other.chat_template = other.chat_template.replace("answer", "assistant")
    with pytest.raises(DataError, match="has not ChatML's chat template"):
        ChatEncoder(other, "folder")


def row(folder: str, examples: Sequence[LaidOut], length: int) -> dict[str, torch.Tensor]:
    """A packed row as it is stored and read again, of batch size 1."""
    form = RowForm("sft", "uint16", length, 1, filling=0, pack=True)
    read = RowReader({"task": "sft", "end_of_text": 0}).read(packed_row(list(examples), form))
    return {name: tensor.unsqueeze(0) for name, tensor in read.items()}


def test_a_packed_row_begins_examples_and_filling_and_learns_their_responses(tokenizers: dict[str, str]) -> None:
    first, second = (layout(tokenizers["bytes"]).lay(example) for example in (Conversation("c", CHAT), QUESTION))
    assert isinstance(first, LaidOut) and isinstance(second, LaidOut)
    sizes = [len(example.sequences[0]) for example in (first, second)]
    batch = row(tokenizers["bytes"], [first, second], sum(sizes) + 5)
    assert batch["begins"][0].nonzero().flatten().tolist() == [0, sizes[0], sum(sizes)]
    has_loss = batch["labels"][0] != -100
    assert first.learnt is not None and second.learnt is not None
    assert has_loss.tolist() == [*first.learnt, *second.learnt, *[False] * 5]
    assert (batch["labels"][0][has_loss] == batch["input_ids"][0][has_loss]).all()
    full = row(tokenizers["bytes"], [first, second], sum(sizes))
    assert full["begins"][0].nonzero().flatten().tolist() == [0, sizes[0]]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_packed_examples_do_not_see_each_other(tokenizers: dict[str, str], name: str) -> None:
    """Each example's logits are those that it has alone, and the packed loss is the mean over all their labels."""
    shape = {"gpt2": {}, "llama": {"n_ffn": 24}}[name]
    keys = ModelKeys(name=name, n_layer=2, n_head=2, n_embd=16, mask_documents=True, **shape)  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = TrainedCausalLM(build_model(keys, 900, 256, 0), keys, 0).eval()
    laid_out = [layout(tokenizers["bytes"]).lay(example) for example in (Conversation("c", CHAT), QUESTION)]
    examples = [example for example in laid_out if isinstance(example, LaidOut)]
    bounds = np.cumsum([0, *(len(example.sequences[0]) for example in examples)]).tolist()
    packed = row(tokenizers["bytes"], examples, bounds[-1] + 7)
    alone = [row(tokenizers["bytes"], [example], len(example.sequences[0])) for example in examples]

    def logits(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            return model({name: tensor for name, tensor in batch.items() if name != "labels"}).logits[0]

    for (start, end), batch in zip(pairwise(bounds), alone, strict=True):
        assert torch.allclose(logits(packed)[start:end], logits(batch), atol=1e-6)
    blind = {name: tensor for name, tensor in packed.items() if name != "begins"}
    assert not torch.allclose(
        logits(blind)[bounds[1] :], logits(packed)[bounds[1] :], atol=1e-3
    )  # what begins prevents
    labels = [int((batch["labels"] != -100).sum()) for batch in alone]
    mean = sum(float(model(batch).loss) * count for batch, count in zip(alone, labels, strict=True)) / sum(labels)
    assert float(model(packed).loss) == pytest.approx(mean, abs=1e-6)
