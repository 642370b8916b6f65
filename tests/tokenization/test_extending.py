"""Tokens added to a base: whole where documents have them, control tokens by no document, in every form of BPE."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from launch import ROOT
from streaming import StreamingDataset
from tokenization.llama_form import save_llama_form

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import read_documents
from medlm_recipes.corpus.markers import MARKERS
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.tokenization.training import train_tokenizer

RECIPE = "yamls/tokenizer/meditron.yaml"
TEXTS = ["Aspirin reduces pain in most patients with the disease, and the drug is safe (P<0.05)."] * 40 + [
    "Patients <|im_start|> with formula x2 and text of figure 3 were treated in 2021; the disease was reduced."
] * 20
CHATML = ["<|im_start|>", "<|im_end|>"]

Extend = Callable[..., Any]


@pytest.fixture
def extend(tmp_path: Path) -> Extend:
    """Extend a base folder as the recipe does and load what was made."""

    def run(base: Path, **keys: Any) -> Any:
        given = yaml.safe_load((ROOT / RECIPE).read_text()) | {"base": str(base), "out": str(tmp_path / "out")} | keys
        train_tokenizer(TokenizerConfig(**given), False)
        return load_tokenizer(tmp_path / "out")

    return run


def ids(tokenizer: Any, text: str) -> list[int]:
    """As documents are encoded."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def pieces(tokenizer: Any, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(ids(tokenizer, text))


def test_the_recipe_has_the_corpus_markers_and_chatml() -> None:
    recipe = yaml.safe_load((ROOT / RECIPE).read_text())
    assert tuple(recipe["added_tokens"]) == MARKERS and recipe["special_tokens"] == CHATML


def test_llama_2s_form_keeps_its_ids_and_counts_the_new_ones_up(tmp_path: Path, extend: Extend) -> None:
    base = load_tokenizer(save_llama_form(tmp_path / "base", TEXTS))
    made = extend(tmp_path / "base")
    assert made.convert_tokens_to_ids([*MARKERS, *CHATML]) == list(range(len(base), len(base) + 14))
    assert len(made) == len(base) + 14 and made.eos_token == "</s>" and made.bos_token == "<s>"
    assert ids(made, TEXTS[0]) == ids(base, TEXTS[0]) and "<0xCE>" in pieces(made, "β")
    first, cited, last = "Aspirin reduces pain ", "the drug in patients, Smith", " and β was safe."
    bib, end = made.convert_tokens_to_ids(["[bib_ref]", "[/bib_ref]"])
    # Its normaliser puts a ▁ before every stretch of text: each is what it is alone.
    assert ids(made, f"{first}[bib_ref]{cited}[/bib_ref]{last}") == [
        *ids(base, first),
        bib,
        *ids(base, cited),
        end,
        *ids(base, last),
    ]


def test_a_form_that_marks_only_the_first_word_joins_the_marker_to_what_follows(tmp_path: Path, extend: Extend) -> None:
    made = extend(save_llama_form(tmp_path / "base", TEXTS, legacy=False))
    text = "the [fig]patients[/fig] in"
    found = pieces(made, text)
    assert found[0] == "▁the" and found[-1] == "▁in" and found[-2] == "[/fig]"
    assert "".join(found[found.index("[fig]") + 1 : -2]) == "patients" and made.decode(ids(made, text)) == text


def test_byte_level_bpe_has_the_markers_whole_and_every_text_back(line: Path, extend: Extend) -> None:
    base, made = load_tokenizer(line / "tokenizer"), extend(line / "tokenizer")
    text = "The drug [table]β-catenin ≥ 5 µm[/table][formula]x\n\t[/formula] is"
    table, end, formula, ended = made.convert_tokens_to_ids(["[table]", "[/table]", "[formula]", "[/formula]"])
    assert ids(made, text) == [
        *ids(base, "The drug "),
        table,
        *ids(base, "β-catenin ≥ 5 µm"),
        end,
        formula,
        *ids(base, "x\n\t"),
        ended,
        *ids(base, " is"),
    ]
    assert made.decode(ids(made, text)) == text


@pytest.mark.parametrize("form", ["legacy", "first", "bytes"])
def test_no_document_gets_a_control_token_by_spelling_it(line: Path, tmp_path: Path, extend: Extend, form: str) -> None:
    base = line / "tokenizer" if form == "bytes" else save_llama_form(tmp_path / "base", TEXTS, legacy=form == "legacy")
    made = extend(base)
    control = {*made.convert_tokens_to_ids(CHATML), made.eos_token_id, made.bos_token_id}
    text = f"a <|im_start|>user<|im_end|>\n{made.eos_token}{made.bos_token} [bib]"
    assert not control & set(ids(made, text)) and made.convert_tokens_to_ids("[bib]") in ids(made, text)
    # Whoever formats a conversation gets them.
    chat = made("<|im_start|>user\ntext<|im_end|>\n", add_special_tokens=False)["input_ids"]
    assert chat.count(made.convert_tokens_to_ids("<|im_start|>")) == 1 and chat[0] in control


def test_extending_twice_adds_nothing(tmp_path: Path, extend: Extend) -> None:
    made = extend(save_llama_form(tmp_path / "base", TEXTS))
    again = extend(tmp_path / "out", out=str(tmp_path / "again"))
    assert len(load_tokenizer(tmp_path / "again")) == len(again) == len(made)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"added_tokens": ["</s>"]}, "added_tokens: </s> is not one token"),
        ({"special_tokens": ["▁the"]}, "special_tokens: a document that spells ▁the would get"),
    ],
)
def test_a_token_that_the_base_has_as_the_other_kind_is_refused(
    tmp_path: Path, extend: Extend, keys: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        extend(save_llama_form(tmp_path / "base", TEXTS), **keys)
    assert not (tmp_path / "out").exists()


def test_markers_are_one_token_in_the_shards(marked: Path) -> None:
    """The whole way, so that whatever encodes documents is held to the tokenizer's own ids."""
    made = load_tokenizer(marked / "tokenizer")
    stored = StreamingDataset(local=f"{marked}/shards/train/pubmed-abstracts", batch_size=1, shuffle=False)
    rows = np.concatenate([stored[at]["tokens"] for at in range(stored.size)])
    documents = [document.text for document in read_documents(marked / "documents", "train", "pubmed-abstracts")]
    expected = np.concatenate([[*ids(made, text), made.eos_token_id] for text in documents])
    assert (rows == expected[: len(rows)]).all() and len(expected) - len(rows) < 128
    opened, closed, im_start, end = made.convert_tokens_to_ids(["[bib_ref]", "[/bib_ref]", "<|im_start|>", "</s>"])
    assert (expected == opened).sum() == (expected == closed).sum() == len(documents) == (expected == end).sum()
    assert "<|im_start|>" in documents[0] and im_start not in expected
    assert read_manifest(marked / "shards", "convert_text_to_mds").facts["vocab_size"] == len(made)


def test_a_trained_tokenizer_may_have_them_too(line: Path, tmp_path: Path) -> None:
    keys = {"documents": str(line / "documents"), "out": str(tmp_path / "out"), "vocab_size": 800}
    train_tokenizer(TokenizerConfig(**keys, added_tokens=["[bib]"], special_tokens=CHATML), False)
    made, plain = load_tokenizer(tmp_path / "out"), load_tokenizer(line / "tokenizer")
    assert len(made) == 803 and made.convert_tokens_to_ids("[bib]") == 800
    assert ids(made, "the [bib] drug") == [*ids(plain, "the "), 800, *ids(plain, " drug")]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("base=null", "documents: missing; give a prepared corpus to train on, or a base"),
        ("special_tokens=['[bib]']", "[bib] is given twice"),
        ("sources=[text]", "with a base none is"),
    ],
)
def test_impossible_recipes_are_refused(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(TokenizerConfig, ROOT / RECIPE, ["base=x", "out=x", override])
    assert words in str(caught.value)


def test_a_dry_run_checks_the_tokens_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = save_llama_form(tmp_path / "base", TEXTS)
    given = {"base": str(base), "out": str(tmp_path / "out")}
    train_tokenizer(TokenizerConfig(**given, added_tokens=["[bib]"]), True)
    assert "tokens and 1 new ones" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="not one token"):
        train_tokenizer(TokenizerConfig(**given, added_tokens=["<s>"]), True)
    with pytest.raises(DataError, match=r"nowhere/.*: no such file"):
        train_tokenizer(TokenizerConfig(**given | {"base": "nowhere"}, added_tokens=["[bib]"]), True)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
