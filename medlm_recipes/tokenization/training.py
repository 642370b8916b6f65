"""The domain tokenizer: byte-level BPE as GPT-2's trained on the prepared documents, or a base's with tokens added."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import Document, choose_sources, read_documents
from medlm_recipes.corpus.split import is_within
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish, read_manifest
from medlm_recipes.progress import track
from medlm_recipes.tokenization.chatml import give_template
from medlm_recipes.tokenization.extending import add_tokens, check_tokens
from medlm_recipes.tokenization.loading import load_tokenizer, tokenizer_hash
from medlm_recipes.tokenization.terms import report_terms, write_report

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(config: TokenizerConfig, dry_run: bool) -> None:
    """Train or extend the tokenizer of `config`, and publish it.

    Raises DataError for unfit documents or tokenizers, ConfigError when the text cannot fill the
    vocabulary or a token cannot be added.
    """
    corpus = read_manifest(config.documents, "prepare_corpus") if config.documents else None
    base = load_tokenizer(config.base) if config.base else None
    reference = load_tokenizer(config.reference) if config.reference else None
    sample = None
    if base is None:
        assert corpus
        sample = _Sample(config, corpus)
        print(sample.words)
    else:
        before = len(base)
        add_tokens(base, config)
        check_tokens(base, config)
        print(f"{config.base}: {before:,} tokens and {len(base) - before} new ones")
    if dry_run:
        return
    manifest = Manifest(
        stage="train_tokenizer",
        config=decisive(resolved(config), leave_out=("documents", "out", "base", "reference")),
        inputs={"documents": hash_json(corpus.__dict__)} if corpus else {},
    )
    for name in ("base", "reference"):
        if getattr(config, name):
            manifest.inputs[name] = tokenizer_hash(getattr(config, name))
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        made: Any = base if sample is None else _trained(config, sample)
        give_template(made)
        made.save_pretrained(folder)
        tokenizer = load_tokenizer(folder)
        check_tokens(tokenizer, config)
        manifest.facts = {"vocab_size": len(tokenizer), "tokenizer_sha256": tokenizer_hash(folder)}
        if sample:
            manifest.facts["trained_on"] = {"documents": sample.documents, "bytes": sample.bytes}
        report = report_terms(config, tokenizer, reference)
        write_report(folder, report)
        manifest.facts["held_out"] = report["held_out"]
    print(f"{config.out}: done, {len(tokenizer):,} tokens")


class _Sample:
    """The texts to train on: of every document, or of those that its id's hash chooses.

    documents, bytes: of what was read, once it was. Which they are depends neither on the order of
    the files nor on what made them.
    """

    def __init__(self, config: TokenizerConfig, corpus: Manifest) -> None:
        assert config.documents
        self.folder = Path(config.documents)
        self.sources = choose_sources(self.folder, "train", config.sources)
        size = sum(corpus.facts["splits"]["train"][source]["bytes"] for source in self.sources)
        self.share = min(1.0, config.sample_bytes / size) if config.sample_bytes else 1.0
        self.documents = 0
        self.bytes = 0
        part = f", a sample of {self.share:.2%} of the documents" if self.share < 1 else ""
        self.words = (
            f"{self.folder}: {size:,} bytes of train text in {', '.join(self.sources)}{part}; "
            f"vocabulary {config.vocab_size:,}"
        )

    def __iter__(self) -> Iterator[str]:
        for document in track(self._chosen(), "counting words", "document"):
            self.documents += 1
            self.bytes += len(document.text.encode())
            yield document.text

    def _chosen(self) -> Iterator[Document]:
        for source in self.sources:
            for document in read_documents(self.folder, "train", source):
                if is_within(f"tokenizer:{document.id}", self.share):
                    yield document


def _trained(config: TokenizerConfig, sample: _Sample) -> Any:
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
    bpe.train_from_iterator(sample, trainer)
    if bpe.get_vocab_size() < config.vocab_size:
        raise ConfigError(
            f"vocab_size: {config.vocab_size} cannot be reached: at min_frequency {config.min_frequency} the text of "
            f"{config.documents} gives {bpe.get_vocab_size()} tokens; give more text or set vocab_size to at most that"
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=config.max_length,
        clean_up_tokenization_spaces=False,
    )
    add_tokens(tokenizer, config)
    return tokenizer
