"""Training the domain tokenizer: byte-level BPE as GPT-2's, on the prepared documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import choose_sources, read_documents
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish, read_manifest
from medlm_recipes.progress import track
from medlm_recipes.tokenization.loading import load_tokenizer, tokenizer_hash
from medlm_recipes.tokenization.terms import report_terms, write_report

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(config: TokenizerConfig, dry_run: bool) -> None:
    """Train and publish the tokenizer of `config`.

    Raises DataError for unfit documents, ConfigError when the text cannot fill the vocabulary.
    """
    corpus = read_manifest(config.documents, "prepare_corpus")
    sources = choose_sources(config.documents, "train", config.sources)
    reference = load_tokenizer(config.reference) if config.reference else None
    size = sum(corpus.facts["splits"]["train"][source]["bytes"] for source in sources)
    print(f"{config.documents}: {size:,} bytes of train text in {', '.join(sources)}; vocabulary {config.vocab_size:,}")
    if dry_run:
        return
    manifest = Manifest(
        stage="train_tokenizer",
        config=decisive(resolved(config), leave_out=("documents", "out", "reference")),
        inputs={"documents": hash_json(corpus.__dict__)},
    )
    if config.reference:
        manifest.inputs["reference"] = tokenizer_hash(config.reference)
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        _train(config, sources, folder)
        manifest.facts = {"vocab_size": config.vocab_size, "tokenizer_sha256": tokenizer_hash(folder)}
        report = report_terms(config, load_tokenizer(folder), reference)
        write_report(folder, report)
        manifest.facts["held_out"] = report["held_out"]
    print(f"{config.out}: done")


def _train(config: TokenizerConfig, sources: list[str], folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(config.documents, sources), trainer)
    if bpe.get_vocab_size() < config.vocab_size:
        raise ConfigError(
            f"vocab_size: {config.vocab_size} cannot be reached: at min_frequency {config.min_frequency} the text of "
            f"{config.documents} gives {bpe.get_vocab_size()} tokens; give more text or set vocab_size to at most that"
        )
    PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=config.max_length,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def _texts(documents: str, sources: list[str]) -> Iterator[str]:
    def documents_of_all() -> Iterator[Any]:
        for source in sources:
            yield from read_documents(documents, "train", source)

    for document in track(documents_of_all(), "counting words", "document"):
        yield document.text
