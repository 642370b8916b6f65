"""Statements of an answer in a generated text, wherever they stand; `extraction` decides between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.evaluation import cues
from medlm_recipes.evaluation.reading import SEVERAL, Named, Options, words

_WINDOW = 400  # characters behind a cue that are read


@dataclass
class Statement:
    """start, end: place in the text. letter: a letter, SEVERAL, or None for what is no option.
    explicit: says that this is the answer. closing: stands in a sentence that concludes."""

    start: int
    end: int
    letter: str | None
    explicit: bool
    closing: bool


def statements_in(text: str, known: Options) -> list[Statement]:
    """All statements, in the order of the text."""
    found = [
        *_lines(text, known),
        *_answers(text, known),
        *_choices(text, known),
        *_conclusions(text, known),
        *_superlatives(text, known),
        *_judgements(text, known),
    ]
    return sorted(found, key=lambda one: (one.start, one.end))


def _lines(text: str, known: Options) -> Iterator[Statement]:
    """A first or last line that is nothing but an option; a first line also with a reason behind it."""
    lines = [match for match in re.finditer(r"[^\n]+", text) if match.group().strip()]
    items = known.listed(text)
    for match in lines[:1] + lines[1:][-1:]:
        said, is_first = match.group(), match is lines[0]
        letter = known.named(said).letter
        if letter is None or letter == SEVERAL:
            continue
        lead = rf"(?i)\A\W*(?:option |choice |answer )?\W*{letter}\b\W*"
        own = re.sub(rf"(?i)\s*[(]{letter}[)]\W*$", "", re.sub(lead, "", said, count=1))
        whole = known.texts[letter] in (words(said), words(own))
        # `C. Eplerenone` before a review of the others, but not the first item of a list.
        review = is_first and letter != "A" and items.count(letter) < 2 and not known.items.match(text, match.end() + 1)
        alone = len(set(items)) < 2 or (whole and review)
        apart = is_first or text[: match.start()].endswith("\n\n") or words(own) != words(said)
        if re.fullmatch(lead, said) or (
            alone and apart and (whole or (is_first and _is_answer_with_reason(said, letter, lead, known)))
        ):
            yield Statement(match.start(), match.end(), letter, True, not is_first)


def _is_answer_with_reason(line: str, letter: str, lead: str, known: Options) -> bool:
    """`Yes, because ...`, `(C) Eplerenone is ...`, `C because ...`, `Eplerenone, as ...`."""
    if known.is_short(letter):
        return known.by_words(line) == letter
    if known.begins_with_own_words(letter, line) and known.only_doubly(line) == letter:
        return True
    behind = line[known.past_own_words(letter, line, 0) :]
    return bool(re.match(rf"{lead}(?:because|since|as)\b", line) or re.match(r",? (?:because|since|as)\b", behind))


def _answers(text: str, known: Options) -> Iterator[Statement]:
    """`The correct answer is C`, `Answer: C`, `the best choice for this patient would be option C`, `Ans. (c)`."""
    for match in cues.ANSWER.finditer(text):
        if not _is_meant(text, match):
            continue
        named, end = known.named(text[match.end() : match.end() + _WINDOW]), match.end()
        if named.letter is None and cues.RELATIVE.match(match["of"] or ""):
            named, end = _named_by_a_later_verb(text, end, known)
        closing = cues.CLOSING.search(_clause(text, match.start()) + match.group()) is not None
        is_no_option = not closing and match["noun"].lower() != "answer" and not cues.DECISIVE.search(match["how"])
        if named.letter is None and (is_no_option or cues.REASONED.match(text, end)):
            continue
        yield Statement(match.start(), end, named.letter, True, closing)
    for match in cues.ANS.finditer(text):
        piece = cues.SMALL_LETTER.sub(lambda one: one.group().upper(), text[match.end() : match.end() + _WINDOW])
        yield Statement(match.start(), match.end(), known.named(piece).letter, True, False)


def _is_meant(text: str, match: re.Match[str]) -> bool:
    """Whether `the answer is` says what the answer is: not of another answer, not denied, doubted or supposed."""
    how = match["how"].lower()
    at_line_start = not how and (match.start() == 0 or text[match.start() - 1] == "\n")
    if cues.NOT_THE.search(" " + how.rsplit("the ", 1)[-1]):
        return False
    if not (match["noun"].lower() == "answer" or at_line_start or cues.GOOD.search(how)):
        return False
    if cues.UNSURE.search(_clause(text, match.start("noun"))) or cues.NOT.search(match["of"] or ""):
        return False
    supposed = "would be" in match.group() and cues.IF.search(_clause(text, match.start()) + _rest(text, match.end()))
    return not supposed


def _named_by_a_later_verb(text: str, at: int, known: Options) -> tuple[Named, int]:
    """For `the answer that is most consistent with ... is C`."""
    for verb in cues.VERB.finditer(_rest(text, at)):
        end = at + verb.end()
        named = known.named(text[end : end + _WINDOW])
        if named.letter is not None:
            return named, end
    return Named(None), at


def _choices(text: str, known: Options) -> Iterator[Statement]:
    """`I would choose C`; `this leaves us with option C`."""
    for cue in (cues.CHOOSE, cues.LEAVES):
        for match in cue.finditer(text):
            named = known.named(text[match.end() : match.end() + _WINDOW])
            if cues.UNSURE.search(_clause(text, match.start())) or named.letter is None:
                continue
            if cue is cues.CHOOSE or (named.marked and named.letter != SEVERAL):
                yield Statement(match.start(), match.end(), named.letter, cue is cues.CHOOSE, True)


def _conclusions(text: str, known: Options) -> Iterator[Statement]:
    """`Therefore, (C).`; `So, yes.`; `It is C.`; `Therefore, the patient is at risk of B) meningioma.`"""
    for match in cues.CONCLUDES.finditer(text):
        piece = re.sub(r"(?i)^\s*(?:it is|it's|it must be|it would be|we have)\b", "", _rest(text, match.end()))
        letter = known.named(piece).letter
        if letter and (letter == SEVERAL or known.is_all(letter, piece)):
            yield Statement(match.start(), match.end(), letter, False, True)
    for start, sentence in sentences(text):
        letter = None
        it_is = cues.IT_IS.match(sentence)
        if it_is:
            named = known.named(sentence[it_is.end() :])
            if named.letter and named.marked and known.is_all(named.letter, sentence[it_is.end() :]):
                letter = named.letter
        elif cues.MARKED.match(sentence) and not cues.AGAINST.search(sentence):
            letter = known.only_doubly(sentence)
        if letter:
            yield Statement(start, start + len(sentence), letter, False, True)


def _superlatives(text: str, known: Options) -> Iterator[Statement]:
    """`The most likely cause of this is C) ...`; by words alone where the text concludes or ends."""
    for start, sentence in sentences(text):
        best = cues.BEST.search(sentence)
        is_last = not text[start + len(sentence) :].strip()
        if not (best or is_last) or re.search(r"(?i)\bleast\b", sentence):
            continue
        begin = best.end() if best else 0
        concluding = cues.CLOSING.search(sentence[:begin]) is not None
        for verb in cues.VERB.finditer(sentence, begin):
            if cues.UNSURE.search(sentence[: verb.start()]):
                continue
            named = known.named(text[start + verb.end() : start + verb.end() + _WINDOW])
            if named.letter is None or (named.letter == SEVERAL and not concluding):
                continue
            if named.doubly or (best and (named.marked or concluding or is_last)):
                yield Statement(start, start + verb.end(), named.letter, False, concluding)


def _judgements(text: str, known: Options) -> Iterator[Statement]:
    """`Option C, ketotifen eye drops, is the best choice`; `ketotifen eye drops are the best choice`."""
    correct: list[Statement] = []
    subjects = [(match, match.group(1) or match.group(2), True) for match in known.subjects.finditer(text)]
    for letter, own in known.patterns.items():
        subjects += [(match, letter, False) for match in own.finditer(text)]
    for match, letter, by_letter in subjects:
        start = match.start(match.lastindex or 0)
        before = _clause(text, start)
        judged = _judged(text, match, letter, known) if by_letter else cues.JUDGED.match(text, match.end())
        if not judged or cues.UNSURE.search(before) or cues.JOINED.search(before):
            continue
        closing = cues.CLOSING.search(before) is not None
        is_answer = cues.ANSWER_NOUN.search(judged["praise"]) is not None
        if not is_answer and not closing and re.match(r"(?i)(?:correct|right)\b", judged["praise"]):
            correct.append(Statement(start, judged.end(), letter, True, False))
        elif by_letter or is_answer or closing:
            yield Statement(start, judged.end(), letter, is_answer, closing)
    if len({one.letter for one in correct}) == 1 and len(set(known.listed(text))) < 2:
        yield from correct  # `C is correct`; of several that are, each may be a true statement and no answer


def _judged(text: str, subject: re.Match[str], letter: str, known: Options) -> re.Match[str] | None:
    """The praise that follows a letter, its own words and an aside."""
    end = known.past_own_words(letter, text, subject.end())
    start = subject.start(subject.lastindex or 0)
    if cues.MAKING.search(text[max(0, start - 20) : start]):
        return cues.MADE.match(text, end)
    aside = cues.ASIDE.match(text, end)
    return cues.JUDGED.match(text, end) or (cues.JUDGED.match(text, aside.end()) if aside else None)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Sentences and lines with their places."""
    start = 0
    for end in [*(match.end() for match in cues.SENTENCE_END.finditer(text)), len(text)]:
        if text[start:end].strip():
            yield start, text[start:end].rstrip()
        start = end


def _clause(text: str, at: int) -> str:
    """What stands before a place in its sentence, back to 120 characters."""
    return re.split(r"[.;!?]\s|\n", text[max(0, at - 120) : at])[-1]


def _rest(text: str, at: int) -> str:
    """What follows a place in its line."""
    return re.split(r"\n", text[at : at + _WINDOW].lstrip("\n"), maxsplit=1)[0]
