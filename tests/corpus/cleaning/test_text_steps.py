"""URLs, white space and lengths: what is taken out of a text, and that nothing else is."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlm_recipes.config.cleaning import CleanKeys, LengthKeys
from medlm_recipes.corpus.cleaning.steps import clean
from medlm_recipes.corpus.cleaning.urls import remove_urls
from medlm_recipes.corpus.cleaning.white_space import normalize_white_space
from medlm_recipes.corpus.document import Document, Item, Reject, Skipped


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("The code is at https://github.com/a/b_(c). Next.", "The code is at. Next."),
        ("ClustVis (http://biit.cs.ut.ee/clustvis/) is a tool.", "ClustVis is a tool."),
        ("A tool (available at: http://x.org/a, http://x.org/b).", "A tool."),
        ("A tool (version 2, http://x.org/a) is here.", "A tool (version 2) is here."),
        ("A tool ( http://x.org ), and more", "A tool, and more"),
        ("at http://x.org , which", "at, which"),
        ("See https://doi.org/10.1000/182.", "See."),
        ("A ratio of 10.1234/5 and doi: 10.1016/j.x.2019.01.001; end", "A ratio of 10.1234/5 and; end"),
        ("[DOI:10.1000/xyz123] Text", " Text"),
        (
            "Read [the guideline](https://x.org/a?b=c) and ![a figure](http://x.org/f.png).",
            "Read the guideline and a figure.",
        ),
        ("As <https://x.org> said", "As said"),
        ("wrote [bib_ref]http://www.who.int[/bib_ref] today", "wrote today"),
        ("[bib_ref]A title, http://www.who.int[/bib_ref]", "[bib_ref]A title[/bib_ref]"),
        ("http://x.org at the start", "at the start"),
        ("# Links\nhttp://x.org/a\nText", "# Links\n\nText"),
        ("from Bioconductor (https://x.org/p).Contact: me", "from Bioconductor.Contact: me"),
        ("drawing.http://x.edu/madeline.", "drawing."),
        ("visit http:// www.x.org now", "visit now"),
        ("HTTP://X.ORG and WWW.X.ORG, ftp://a.b/c", "and,"),
        ("“https://x.org”", "“”"),
        ("https://x.org/%C3%A4?q=ü#é rest", "rest"),
    ],
)
def test_urls_go_with_what_only_they_held(text: str, cleaned: str) -> None:
    assert remove_urls(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "ClinicalTrials.gov NCT00000000",
        "the www and awww.x",
        "doi is a name; 10.1000/182",
        "a ratio (1:2) of e.g. 3 // 4, endoind",
        "(see [1], [2]) and () stay  as they\tare \0",
    ],
)
def test_what_is_no_url_stays(text: str) -> None:
    assert remove_urls(text) == text


def test_much_white_space_and_many_brackets_take_no_time() -> None:
    text = " " * 200_000 + "(" * 200_000 + "http://x.org" + "[" * 200_000 + ")" * 200_000 + " " * 200_000
    assert "http" not in remove_urls(text)


words = st.text(st.characters(categories=["L", "N"], exclude_characters="/"), min_size=1, max_size=8)
urls = st.builds("{}{}/{}".format, st.sampled_from(["http://", "https://www.", "ftp://", "doi:10.1234/"]), words, words)


@given(st.lists(st.tuples(st.booleans(), words, urls, st.sampled_from(["{}", "({})", "[{}],", "{}."])), max_size=8))
@settings(max_examples=200, deadline=None)
def test_every_url_goes_and_every_word_stays(pieces: list[tuple[bool, str, str, str]]) -> None:
    text = " ".join(form.format(url) if is_url else f"«{word}»" for is_url, word, url, form in pieces)
    cleaned = remove_urls(text)
    kept = [part.partition("»")[0] for part in cleaned.split("«")[1:]]
    assert kept == [word for is_url, word, _, _ in pieces if not is_url]
    assert not any(url in cleaned for is_url, _, url, _ in pieces if is_url)


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("a\u00a0b\u2009c\u3000d\te", "a b c d e"),
        ("one\r\ntwo\rthree\u2028four\x0bfive\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("  a  \n\n\n \n\n b \n", "a\n\nb"),
        ("# Head\n\n## Sub\nText", "# Head\n\n## Sub\nText"),
        ("co\u00adoperate zero\u200bwidth \ufeffmark\x00\x07", "cooperate zerowidth mark"),
        ("e\u0301 A\u030a \u212b m² \u2126", "é Å Å m² Ω"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        (" \n\t ", ""),
    ],
)
def test_white_space(text: str, cleaned: str) -> None:
    assert normalize_white_space(text) == cleaned


spaces = st.sampled_from(" \t\n\r\v\f\x00\x1c\x1f\x85\xa0\xad\u2003\u2028\u200b\u202f\u3000\ufeff\u0301\u0327")


@given(st.text(st.one_of(spaces, st.characters())))
@settings(max_examples=300, deadline=None)
def test_white_space_is_normal_after_one_pass_and_no_character_is_lost(text: str) -> None:
    once = normalize_white_space(text)
    assert normalize_white_space(once) == once
    assert unicodedata.is_normalized("NFC", once) and once == once.strip()
    assert not any(bad in once for bad in ("  ", "\n\n\n", " \n", "\n ", "\t", "\r", "\u00a0", "\u2028", "\x00"))
    assert visible(once) == visible(text)


def visible(text: str) -> str:
    """What neither is white space nor invisible, decomposed."""
    kept = (one for one in text if not one.isspace() and unicodedata.category(one) != "Cc")
    return unicodedata.normalize("NFD", "".join(one for one in kept if one not in "\u00ad\u200b\u2060\ufeff"))


def test_lengths_are_those_of_the_cleaned_text() -> None:
    keys = CleanKeys(urls=True, white_space=True, length=LengthKeys(min_characters=4, max_characters=6))
    texts = ["abc   http://x.org", "abcd   ", " abc def ", " \n "]
    others: list[Item] = [Skipped("book"), Reject("f", "1", "not_json", "")]
    items: list[Item] = [Document(str(n), text, "s") for n, text in enumerate(texts)] + others
    assert list(clean(items, keys, "f")) == [
        Reject("f", "0", "too_short", "abc"),
        Document("1", "abcd", "s"),
        Reject("f", "2", "too_long", "abc def"),
        Document("3", "", "s"),  # rejected as empty when it comes to be written
        *others,
    ]
    assert list(clean(items, CleanKeys(), "f")) == items
