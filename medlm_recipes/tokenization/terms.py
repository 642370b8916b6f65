"""What a tokenizer does to biomedical text: tokens a term, bytes a token, tokens a word."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import list_sources, read_documents
from medlm_recipes.manifest import write_json

_HELD_OUT_DOCUMENTS = 1_000  # of each source
_BEFORE = "the"  # a word that no tokenizer joins to the next
_DOCUMENTS_AT_ONCE = 50  # full texts are long; their encodings take a hundred bytes a token


def report_terms(config: TokenizerConfig, tokenizer: Any, reference: Any | None) -> dict[str, Any]:
    """Pieces of every term as it stands in running text and at a text's start,
    and the compression of held-out text; the same of `reference` beside it.

    `bytes_per_token` and `tokens_per_word` are measured on the first 1,000 validation documents
    of each source; None where there is no validation split.
    """
    report: dict[str, Any] = {"terms": [], "held_out": _compression(tokenizer, config.documents)}
    if reference is not None:
        report["reference_held_out"] = _compression(reference, config.documents)
    for term in config.terms:
        row = {"term": term, "pieces": _pieces(tokenizer, term, _BEFORE), "pieces_at_start": _pieces(tokenizer, term)}
        if reference is not None:
            row["reference_pieces"] = _pieces(reference, term, _BEFORE)
        report["terms"].append(row)
    return report


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write `terms.json` and print it as a table."""
    write_json(folder / "terms.json", report)
    print("\n".join(table(report)))


def table(report: dict[str, Any]) -> Iterator[str]:
    """Lines for people: every term, then the held-out text, beside the reference where there is one."""
    kinds = ["", "reference_"] if "reference_held_out" in report else [""]
    rows = [["term", *(head for kind in kinds for head in (f"{kind.replace('_', ' ')}pieces", "tokens"))]]
    for term in report["terms"]:
        rows.append([term["term"]])
        for kind in kinds:
            pieces = term[f"{kind}pieces"]
            rows[-1] += ["/".join(piece or "␣" for piece in pieces), str(len(pieces))]
    for unit in ("bytes_per_token", "tokens_per_word") if report["held_out"] else ():
        rows.append(["held-out text"])
        for kind in kinds:
            rows[-1] += [unit.replace("_", " "), f"{report[f'{kind}held_out'][unit]:.2f}"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        # The first column and the pieces to the left, numbers to the right.
        aligned = [f"{cell:>{width}}" if at and at % 2 == 0 else f"{cell:<{width}}"
                   for at, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        yield f"  {'  '.join(aligned)}"


def _pieces(tokenizer: Any, term: str, after: str = "") -> list[str]:
    """The text of every token of `term`, where it stands after the word `after` and a space.

    A token that is the space alone is empty; tokens that are parts of a character are given by their
    names in the vocabulary.
    """

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    ids = encode(f"{after} {term}")[len(encode(after)) :] if after else encode(term)
    pieces = [tokenizer.decode([token]).strip() for token in ids]
    return pieces if "".join(pieces) == term else tokenizer.convert_ids_to_tokens(ids)


def _compression(tokenizer: Any, documents: str | None) -> dict[str, float] | None:
    size = tokens = words = 0
    for texts in _held_out(documents) if documents else ():
        encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        tokens += sum(map(len, encoded["input_ids"]))
        size += sum(len(text.encode()) for text in texts)
        words += sum(len(text.split()) for text in texts)
    return {"bytes_per_token": size / tokens, "tokens_per_word": tokens / words} if words else None


def _held_out(documents: str) -> Iterator[list[str]]:
    for source in list_sources(documents, "validation"):
        texts = (
            document.text for document in islice(read_documents(documents, "validation", source), _HELD_OUT_DOCUMENTS)
        )
        while batch := list(islice(texts, _DOCUMENTS_AT_ONCE)):
            yield batch
