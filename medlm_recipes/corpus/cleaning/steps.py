"""The steps that look at one document alone, in the order in which they run while documents are read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from medlm_recipes.config.cleaning import CleanKeys, LanguageKeys, LengthKeys
from medlm_recipes.corpus.cleaning.language import OTHER_LANGUAGE, is_other_language
from medlm_recipes.corpus.cleaning.urls import remove_urls
from medlm_recipes.corpus.cleaning.white_space import normalize_white_space
from medlm_recipes.corpus.document import Document, Item, Reject


def clean(items: Iterable[Item], keys: CleanKeys, file: str) -> Iterable[Item]:
    """One item for each item: a document as the steps leave it, or the reject that one of them makes of it.

    file: name of the input, for the rejects.
    """
    if keys.urls:
        items = changing(items, remove_urls)
    if keys.white_space:
        items = changing(items, normalize_white_space)
    if keys.language:
        language = partial(_other_language, keys=keys.language)
        items = rejecting(items, language, file)
    if keys.length:
        length = partial(_wrong_length, keys=keys.length)
        items = rejecting(items, length, file)
    return items


def changing(items: Iterable[Item], change: Callable[[str], str]) -> Iterator[Item]:
    """A step: documents with their texts changed."""
    for item in items:
        if isinstance(item, Document):
            text = change(item.text)
            if text != item.text:
                yield replace(item, text=text)
                continue
        yield item


def rejecting(items: Iterable[Item], fault: Callable[[Document], str | None], file: str) -> Iterator[Item]:
    """A step: documents, and rejects of those that have a fault; it is the reason in a word."""
    for item in items:
        reason = fault(item) if isinstance(item, Document) else None
        if reason and isinstance(item, Document):
            yield Reject(file, item.id, reason, item.text)
        else:
            yield item


def _other_language(document: Document, keys: LanguageKeys) -> str | None:
    return OTHER_LANGUAGE if is_other_language(document, keys) else None


def _wrong_length(document: Document, keys: LengthKeys) -> str | None:
    """Texts of white space alone are rejected as empty when they come to be written."""
    if len(document.text) < keys.min_characters and document.text.strip():
        return "too_short"
    if keys.max_characters is not None and len(document.text) > keys.max_characters:
        return "too_long"
    return None
