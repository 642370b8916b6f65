"""What a piece of a generated text names: one option, several, or none of them.

Texts come as models write them: Markdown, LaTeX, tags, JSON. `plain` takes these off; `Options.named`
reads the option at the beginning of a piece of plain text, by letter or by its own words.
"""

import re
import unicodedata
from dataclasses import dataclass

SEVERAL = "several"
"""Named more than one option, or a letter beside another option's words: no answer."""

_FORMS = (
    (r"(?s)^.*</think>", ""),  # the reasoning of models that mark it
    (r"(?i)</s>|<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>", "\n"),
    (r"\\?boxed\s*\{\s*(?:\\\w+\s*\{)?([^{}]*)\}+", r"\nAnswer: \1\n"),
    (r"(?i)<(?:final_?)?answer>(.*?)</(?:final_?)?answer>", r"\nAnswer: \1\n"),
    (r'(?i)"(?:final_?|correct_?)?answer(?:_\w+)?"\s*:\s*"([^"]*)"', r"\nAnswer: \1\n"),
    (r"(?i)</?(?:b|strong|i|em|u|p|br|sup|sub|li|ul|ol|div|span|h\d|final|answer)\s*/?>", ""),
    (r"\\(?:text|textbf|mathbf|mathrm)\s*\{([^{}]*)\}", r"\1"),
    (r"[$`]|\*{1,3}|_{2,}", ""),
    (r"(?m)^[ \t]*#+[ \t]*|^[ \t]*[-•][ \t]+|#{2,}", ""),
    (r"(?im)^\s*((?:final |correct |best )?answer)[ \t]*$", r"\1:"),
    (r"[ \t]+", " "),
)
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": " - ", "−": "-", "\r": "\n"})


def plain(text: str) -> str:
    """A text without marks of form; boxed, tagged and JSON answers become lines `Answer: ...`."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    for pattern, replacement in _FORMS:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def words(text: str) -> str:
    """Words in lower case with single spaces, without punctuation and without a leading article."""
    return re.sub(r"^(?:an?|the|to) (?=.)", "", " ".join(re.sub(r"[^\w%+<>\u0080-\uffff]+", " ", text.lower()).split()))


# What may stand between `the answer is` and the option itself.
_FILLING = re.compile(
    r"(?i)(?:[\s:=>,*.-]|(?:clearly|definitely|therefore|thus|hence|likely|indeed|actually|simply|still|then|most"
    r"|that of|options?|choices?|answer|letter|statement|alternative|the|an|to|be|is|as follows|given by|best|correct"
    r"|final|would|choose|select|represented by|indicated by|a(?= (?:definite |clear )?[\"'(]?(?:yes|no|maybe)\b))\b)*"
)
_CALLED = re.compile(r"(?i)(?:option|choice|answer|letter)\W*$")
_NO_SINGLE = re.compile(r"(?i)[\"'(]*(?:either|neither|both|all|none|any|not|unclear|unknown|multiple)\b")
# What follows a bare letter that is an option and no word: an end, a mark, or the beginning of a reason.
_AS = r"because|since|as|due|which|based|and|but|is|rather|not"
_END = (
    rf"\s*(?:$|[\n:,;)!?\"'])|\s+[-(]|\s*\.\s*(?:$|[\n)\"']|[A-Z0-9(\[]|(?:{_AS}|it|this|the|so|in|i)\b)|\s+(?:{_AS})\b"
)
_AFTER_A = re.compile(_END)
_AFTER = re.compile(
    rf"{_END}|\s+(?:for|given|according|with|the|in|it|so|by|from|this|that|if|on|here|while|where|when)\b|\s+[A-Z]"
)
_REASON = re.compile(
    r"(?i)\b(?:because|since|rather|instead|while|whereas|unlike|but|which|due|not|as|given|so)\b|[.;\n]"
)
_SHORT = 5
"""Options of one word up to this length, such as yes and no, are only read where the word stands alone."""


# A bare letter is what a sentence is about at its beginning or behind these, but not in `vitamin A is the best`.
_BEFORE_A_SUBJECT = (
    r"(?:^|(?<=[.!?;:,*] )|(?<=\n)|(?i:\b(?:that|so|thus|therefore|hence|then|and|but|making|makes|only|is)\s+))"
)


@dataclass
class Named:
    """letter: the option, SEVERAL, or None. marked: named beyond doubt, by (B), `option B` or letter and words.
    doubly: by letter and words."""

    letter: str | None
    marked: bool = False
    doubly: bool = False


class Options:
    """The options of a question, as texts are read for them. options: letter -> text."""

    def __init__(self, options: dict[str, str]) -> None:
        texts = {letter: words(plain(text)) for letter, text in options.items()}
        alike = [text for text in texts.values() if list(texts.values()).count(text) > 1]
        self.texts = {letter: "" if text in alike else text for letter, text in texts.items()}  # -5 and +5
        self.letters = "".join(options)
        upper, lower = self.letters, self.letters.lower()
        # (B) [b] 'B' B) b) are letters wherever they stand, B alone is one, b alone at the end of a line.
        self.letter = re.compile(
            rf"(?P<wrapped>[(\[\"']+\s*(?P<a>[{upper}{lower}])\s*[)\]\"'.:]+|(?P<b>[{upper}{lower}])\s*[)\]](?!\w))"
            rf"|(?P<c>[{upper}])(?![\w'+/]|-\w)|(?P<d>[{lower[1:]}])(?=[.]?\s*(?:$|\n))"
        )
        more = r"(?:possibly|perhaps|maybe|also|even|potentially|both|option|choice|answer|and|or|\W)*?"
        self._more = re.compile(rf"\W*?(?i:[,/&+]|\band\b|\bor\b|\bto\b|\bthrough\b)(?i:{more})\b([{upper}])(?![\w'-])")
        self._later = re.compile(
            rf"(?:(?i:\b(?:or|and))\b|[,&/])\s*(?i:possibly |option |choice |answer )*[(]?([{upper}])[).:]"
        )

        raw = {
            letter: re.escape(plain(text).rstrip(" .")) for letter, text in options.items() if plain(text).rstrip(" .")
        }
        self.patterns = {
            letter: re.compile(rf"(?i)(?<!\w){text}(?!\w)")
            for letter, text in raw.items()
            if len(text) > 3 and self.texts[letter]
        }
        self._raw = raw
        self._own = {
            letter: re.compile(rf"(?i)[\s:.,)(\"'-]*(?:an? |the |to )?{text}(?!\w)[)\"']?")
            for letter, text in raw.items()
        }
        # Letters as subjects of a sentence, letters that cannot be words, letters that begin the items of a list.
        self.subjects = re.compile(
            rf"(?i:\b(?:option|choice|answer|letter)\s*)[(]?([{upper}])\b[).:]?"
            rf"|(?:(?<=[(])|{_BEFORE_A_SUBJECT})([{upper}])[).]?(?=[\s,:(-])"
        )
        self.marked = re.compile(rf"(?:(?i:option|choice|answer)\s*[(]?|(?<![\w(])[(])([{upper}])(?![\w'-])")
        self._pair = re.compile(rf"(?<![\w(])[(]?([{upper}])[).:,]+")
        self.items = re.compile(rf"(?m)^\s*(?:(?i:option|choice|answer)\s+)?[(]?([{upper}])[).:,]")

    def listed(self, text: str) -> list[str]:
        """The letters that lines begin with, in order."""
        return [match.group(1) for match in self.items.finditer(text)]

    def is_short(self, letter: str) -> bool:
        """Whether an option is one short word, such as yes."""
        return 0 < len(self.texts[letter]) <= _SHORT and " " not in self.texts[letter]

    def past_own_words(self, letter: str, text: str, at: int) -> int:
        """The place behind an option's own words where they follow its letter."""
        match = self._own[letter].match(text, at) if letter in self._own else None
        return match.end() if match else at

    def begins_with_own_words(self, letter: str, line: str) -> bool:
        """Whether a line is the option's letter, its own words, and perhaps more."""
        match = self.letter.match(line.lstrip())
        return match is not None and self.past_own_words(letter, line.lstrip(), match.end()) > match.end()

    def only_doubly(self, sentence: str) -> str | None:
        """The option that a sentence names by letter and words, where it names no other in any way."""
        pairs = {
            match[1]
            for match in self._pair.finditer(sentence)
            if self.past_own_words(match[1], sentence, match.end()) > match.end()
        }
        pairs |= {
            letter for letter, own in self.patterns.items() if re.search(rf"{own.pattern} [(]{letter}[)]", sentence)
        }
        named = {letter for letter, own in self.patterns.items() if own.search(sentence)}
        named |= {match.group(1) for match in self.marked.finditer(sentence)}
        return pairs.pop() if len(pairs) == 1 and named <= pairs else None

    def is_all(self, letter: str, piece: str) -> bool:
        """Whether a piece is nothing but this option, by letter or words, and perhaps a reason."""
        filling = _FILLING.match(piece)
        assert filling is not None
        rest = piece[filling.end() :]
        match = self.letter.match(rest)
        if match:
            end = self.past_own_words(letter, rest, match.end())
        elif self.is_short(letter):
            return True
        else:
            end = self.past_own_words(letter, rest, 0) or -1
        return end >= 0 and re.match(r"\s*[).!\"']*\s*(?:$|[.;!]|,?\s*(?:because|since|as)\b)", rest[end:]) is not None

    def named(self, piece: str) -> Named:
        """The option that the piece begins with, after words such as `option`."""
        filling = _FILLING.match(piece)
        assert filling is not None
        rest = piece[filling.end() :]
        if _NO_SINGLE.match(rest):
            return Named(self.by_words(rest) or SEVERAL)
        match = self.letter.match(rest)
        if not match:
            return Named(self.by_words(rest))
        letter = next(match[name] for name in "abcd" if match[name]).upper()
        after = rest[match.end() :]
        told = self.by_words(after.lstrip(" ).:,-\"'(\n"))
        whole = self.by_words(rest)
        if match["c"] and told != letter and not (_AFTER_A if letter == "A" else _AFTER).match(after):
            return Named(whole)  # the article, or a name: `E. coli`, `B lymphocytes`
        if told not in (None, letter) or whole not in (None, letter) or self._several(letter, after):
            return Named(SEVERAL)
        at_end = re.match(r"[\s.!)]*(?:$|\n)", after) is not None
        called = _CALLED.search(filling.group()) is not None
        return Named(letter, match["wrapped"] is not None or called or told == letter or at_end, told == letter)

    def _several(self, letter: str, after: str) -> bool:
        """Whether further letters are named with the first: `B or C`, `B) enoxaparin or C) clopidogrel`."""
        more = self._more.match(after)
        if more and more.group(1) != letter:
            return True
        stop = _REASON.search(after)
        clause = after[: stop.start()] if stop else after[:160]
        return any(other != letter for other in self._later.findall(clause))

    def by_words(self, piece: str) -> str | None:
        """The option whose words the piece begins with, the longest of them; SEVERAL when another is joined to it."""
        said = words(piece[:600]) + " "
        found = [letter for letter, text in self.texts.items() if text and said.startswith(text + " ")]
        if not found:
            return None
        letter = max(found, key=lambda one: len(self.texts[one]))
        if self.is_short(letter):
            return self._short_word(letter, piece)
        own = self._own[letter].match(piece)
        if own and re.match(r"[/-]\w|[.,]\d", piece[own.end() :]):
            return None  # `10 mg/kg` where the option is 10 mg
        others = "|".join(self._raw[other] for other in self._raw if other != letter)
        joined = r"(?i)\s*(?:[,/&]|\b(?:and|or|plus|versus|vs)\b)[\s,]*(?:(?:and|or|possibly|perhaps|an?|the) )*"
        return SEVERAL if own and others and re.match(rf"{joined}(?:{others})\b", piece[own.end() :]) else letter

    def _short_word(self, letter: str, piece: str) -> str | None:
        """The same for a word such as yes, which begins a sentence of any kind: it must stand alone."""
        word = rf"(?i)\W*(?:an? |the )?{re.escape(self.texts[letter])}"
        if not re.match(
            rf"{word}(?!\w)(?![.,-]?\d)(?=\s*(?:$|[.,;:!?)\n\"'-]|(?:because|since|as|based|according)\b))", piece
        ):
            return None
        others = "|".join(re.escape(self.texts[one]) for one in self.texts if one != letter and self.is_short(one))
        if others and re.match(rf"{word}\W[^.\n]{{0,20}}?\b(?:{others})\b", piece):
            return SEVERAL  # `no, but maybe`
        return letter
