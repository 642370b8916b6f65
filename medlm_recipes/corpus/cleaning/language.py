"""The language of a text: as its record says, and where that does not settle it, as the text itself does."""

from functools import lru_cache
from typing import Any

from medlm_recipes.config.cleaning import LANGUAGES, LanguageKeys
from medlm_recipes.corpus.document import Document

OTHER_LANGUAGE = "other_language"

# NLM and S2ORC write ISO 639-2 codes, bibliographic ones among them; XML and web corpora write 639-1.
_THREE_LETTERS = (
    "ara ar, bul bg, cze cs, ces cs, dan da, deu de, ger de, ell el, gre el, eng en, spa es, fas fa, per fa, fin fi, "
    "fra fr, fre fr, heb he, hrv hr, hun hu, ind id, ita it, jpn ja, kor ko, dut nl, nld nl, nor no, nob no, nno no, "
    "pol pl, por pt, ron ro, rum ro, rus ru, srp sr, swe sv, tur tr, ukr uk, vie vi, chi zh, zho zh"
)
_CODES = dict(pair.split() for pair in _THREE_LETTERS.split(", "))

_SAMPLE_CHARACTERS = 600  # from a quarter into a long text: past its title and authors
_SHORTEST = 60
"""Under 60 characters the detector takes names of drugs and genes for Portuguese and Finnish."""


def is_other_language(document: Document, keys: LanguageKeys) -> bool:
    """Whether a document is in none of `keys.keep`.

    A record that names none but wanted languages is believed. Of any other the text decides, because
    an article's language is not its abstract's: PubMed's German articles have English abstracts. Where
    the text is too short or too mixed to tell, the record decides, and without one it is kept.
    """
    said = languages_said(document.metadata)
    if said and said <= set(keys.keep):
        return False
    found, probability = detect(document.text)
    if found is not None and (found in keys.keep or probability >= keys.confidence):
        return found not in keys.keep
    return bool(said) and not said & set(keys.keep)


def languages_said(metadata: Any) -> set[str]:
    """The languages of a record as ISO 639-1 codes where they have one: eng, en-GB and [EN] are all en."""
    given = metadata.get("language")
    names = given.replace(";", ",").split(",") if isinstance(given, str) else given if isinstance(given, list) else ()
    codes = {str(name).strip().lower().replace("_", "-").partition("-")[0] for name in names}
    return {_CODES.get(code, code) for code in codes} - {"", "und", "mul", "none"}


def detect(text: str) -> tuple[str | None, float]:
    """The language that a text is most likely in, of LANGUAGES, and its probability; None for a short text."""
    start = max(0, min(len(text) // 4, len(text) - _SAMPLE_CHARACTERS))
    sample = text[start : start + _SAMPLE_CHARACTERS]
    if len(sample) < _SHORTEST and sample.isascii():
        return None, 0.0
    found, probability = _detector().classify(sample)
    return found, probability


@lru_cache(maxsize=1)
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    detector.set_languages(LANGUAGES)
    return detector
