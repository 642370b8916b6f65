"""The language filter: the record's word, and the text's own where that does not settle it."""

import pytest

from medlm_recipes.config.cleaning import CleanKeys, LanguageKeys
from medlm_recipes.corpus.cleaning.language import detect, is_other_language, languages_said
from medlm_recipes.corpus.cleaning.steps import clean
from medlm_recipes.corpus.document import Document, Reject

ENGLISH = "The proteolytic activity of pepsin is reduced by 50 percent through addition of bisabolol in this ratio."
GERMAN = "Die proteolytische Aktivität des Pepsins wird durch den Zusatz von Bisabolol um die Hälfte herabgesetzt."
SPANISH = "Se estudiaron los pacientes con diabetes mellitus tipo 2 en tratamiento con insulina en el hospital."
CHINESE = "测定了患者的血糖和胰岛素水平。"
NAMES = "Lamin B1 duplications cause autosomal dominant leukodystrophy."


def is_other(text: str, language: object, *keep: str) -> bool:
    return is_other_language(Document("1", text, "s", {"language": language}), LanguageKeys(keep=list(keep or ("en",))))


@pytest.mark.parametrize("said", ["eng", "en", "en-GB", "EN_us", ["eng"], " eng "])
def test_a_record_that_says_english_is_believed(said: object) -> None:
    assert not is_other(NAMES, said) and not is_other("Short", said)


def test_of_other_records_the_text_decides() -> None:
    assert not is_other(ENGLISH, "ger")  # PubMed's German articles have English abstracts
    assert is_other(GERMAN, "ger") and is_other(GERMAN, None) and is_other(GERMAN, "eng,ger")
    assert not is_other(ENGLISH, "eng,fre") and not is_other(ENGLISH, None)
    assert is_other(SPANISH, "und") and is_other(CHINESE, None)
    assert not is_other(GERMAN, None, "en", "de") and not is_other(GERMAN, "ger", "de")


def test_what_cannot_be_told_is_as_the_record_says_and_kept_without_one() -> None:
    assert detect("Ergebnisse") == (None, 0.0)
    assert not is_other("Ergebnisse", None) and is_other("Ergebnisse", "ger") and not is_other("Ergebnisse", "eng,ger")
    assert detect(NAMES)[1] < 0.9 and not is_other(NAMES, None) and is_other(NAMES, "lat")
    assert not is_other("", None) and not is_other("\ud800" * 100, None)


def test_a_long_text_is_judged_by_its_body() -> None:
    front = "Universidad Nacional Autónoma de México, Facultad de Medicina, Departamento de Farmacología.\n"
    assert not is_other(front * 3 + ENGLISH * 20, None) and is_other(ENGLISH + SPANISH * 20, None)


@pytest.mark.parametrize(
    "given, said",
    [
        ("eng,fre", {"en", "fr"}),
        ("chi; zho", {"zh"}),
        (["por", "es"], {"pt", "es"}),
        ("mul", set()),
        ("", set()),
        (None, set()),
        ({"en": 1}, set()),
        ("lat", {"lat"}),
    ],
)
def test_codes(given: object, said: set[str]) -> None:
    assert languages_said({"language": given}) == said


def test_the_step_rejects_by_reason() -> None:
    items = [Document("1", ENGLISH, "s"), Document("2", GERMAN, "s")]
    keys = CleanKeys(language=LanguageKeys())
    assert list(clean(items, keys, "f")) == [items[0], Reject("f", "2", "other_language", GERMAN)]
