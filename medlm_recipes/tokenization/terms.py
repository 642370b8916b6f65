"""What a tokenizer does to biomedical text: tokens a term, bytes a token, tokens a word."""

from itertools import islice
from pathlib import Path
from typing import Any

from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import list_sources, read_documents
from medlm_recipes.manifest import write_json

_HELD_OUT_DOCUMENTS = 1_000


def report_terms(config: TokenizerConfig, tokenizer: Any, reference: Any | None) -> dict[str, Any]:
    """Pieces of every term as it stands in running text (after a space) and at a text's start,
    and the compression of held-out text; the same of `reference` beside it.

    `bytes_per_token` and `tokens_per_word` are measured on the first 1,000 validation documents
    of each source; None where there is no validation split.
    """
    texts = [
        document.text
        for source in list_sources(config.documents, "validation")
        for document in islice(read_documents(config.documents, "validation", source), _HELD_OUT_DOCUMENTS)
    ]
    report: dict[str, Any] = {"terms": [], "held_out": _compression(tokenizer, texts)}
    if reference is not None:
        report["reference_held_out"] = _compression(reference, texts)
    for term in config.terms:
        row = {"term": term, "pieces": _pieces(tokenizer, f" {term}"), "pieces_at_start": _pieces(tokenizer, term)}
        if reference is not None:
            row["reference_pieces"] = _pieces(reference, f" {term}")
        report["terms"].append(row)
    return report


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write `terms.json` and print it as a table."""
    write_json(folder / "terms.json", report)
    for row in report["terms"]:
        beside = f"   reference: {'/'.join(row['reference_pieces'])}" if "reference_pieces" in row else ""
        print(f"  {row['term']:24} {len(row['pieces'])} tokens: {'/'.join(row['pieces'])}{beside}")
    for name in ("held_out", "reference_held_out"):
        if report.get(name):
            print(f"  {name}: {report[name]['bytes_per_token']:.2f} bytes a token, "
                  f"{report[name]['tokens_per_word']:.2f} tokens a word")  # fmt: skip


def _pieces(tokenizer: Any, text: str) -> list[str]:
    return [tokenizer.decode([token]).strip() for token in tokenizer.encode(text, add_special_tokens=False)]


def _compression(tokenizer: Any, texts: list[str]) -> dict[str, float] | None:
    if not texts:
        return None
    tokens = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"])
    return {
        "bytes_per_token": sum(len(text.encode()) for text in texts) / tokens,
        "tokens_per_word": tokens / sum(len(text.split()) for text in texts),
    }
