"""The answer that a generated text gives to a multiple-choice question, or none: better unread than misread.

Rules, in order:
1. Marks of form are taken off (`reading.plain`). What follows the first plain answer and begins another
   question is cut off: base models go on inventing.
2. Statements are collected: explicit ones (`Answer: C`, `the best answer is (C)`, a boxed letter, a first or last
   line of only an option, `I would choose C`) and others (`the most likely cause is C) ...`, `Therefore, C) ...`,
   `C is the most likely diagnosis`). Negated, conditional and hedged ones are none.
3. The last explicit statement counts, else the last other one. An earlier one that differs must have been taken
   back or summed up ("wait", "therefore", "in conclusion"), else the text contradicts itself.
4. A statement that names several options, an option that is not there, or a letter beside another option's
   words is no answer; nor is one that is taken back without a new one, or contradicted by a later conclusion.
5. Without any statement, a list of the options that calls exactly one of them the answer gives that one.
A letter stands for an option only where it cannot be a word (`A patient`, `E. coli`, `vitamin C`); an option's own
words do where they begin what is stated to be the answer (`reading.Options`).
"""

from functools import lru_cache

from medlm_recipes.evaluation import cues
from medlm_recipes.evaluation.reading import SEVERAL, Options, plain, words
from medlm_recipes.evaluation.statements import Statement, sentences, statements_in


def extract(text: str, options: dict[str, str]) -> str | None:
    """The letter of the option that a generated text settles on; None when it settles on none.

    options: letter -> text, as in the benchmark.
    """
    known = _options(tuple(options.items()))
    text = plain(text)
    statements = statements_in(text, known)
    first = next((one for one in statements if one.explicit and one.letter in options), None)
    again = cues.AGAIN.search(text, first.end) if first else None
    if again:
        text = text[: again.start()].strip()
        statements = statements_in(text, known)
    letter = _settled(text, statements, known) if statements else _praised_in_list(text, known)
    return letter if letter in options else None


@lru_cache(maxsize=64)
def _options(options: tuple[tuple[str, str], ...]) -> Options:
    return Options(dict(options))


def _settled(text: str, statements: list[Statement], known: Options) -> str | None:
    """Rules 3 and 4."""
    explicit = [one for one in statements if one.explicit]
    final = (explicit or statements)[-1]
    for one in statements:
        if one.letter == final.letter or one.letter in (None, SEVERAL):
            continue
        between = text[min(one.end, final.end) : max(one.start, final.start)]
        taken_back = cues.TAKEN_BACK.search(between) is not None
        if one.start < final.start:
            if (one.explicit or not final.explicit) and not (final.closing or taken_back):
                return None
        elif taken_back:
            final = one
        elif one.closing:
            return None
    if final.letter is None or cues.TAKEN_BACK.search(text, final.end) or _is_contradicted(text, final, known):
        return None
    return final.letter


def _is_contradicted(text: str, final: Statement, known: Options) -> bool:
    """Whether a later sentence concludes with another option, however it is put."""
    for _, sentence in sentences(text[final.end :]):
        if not cues.MARKED.match(sentence) or cues.AGAINST.search(sentence):
            continue
        said = f" {words(sentence)} "
        named = {letter for letter, own in known.texts.items() if own and f" {own} " in said}
        named |= {match.group(1) for match in known.marked.finditer(sentence)}
        if named and final.letter not in named:
            return True
    return False


def _praised_in_list(text: str, known: Options) -> str | None:
    """Rule 5: the one option of a list whose own lines call it the best or correct one."""
    parts = list(known.items.finditer(text))
    if len(set(known.listed(text))) < 2:
        return None
    ends = [part.start() for part in parts[1:]] + [len(text)]
    praised = {
        part.group(1) for part, end in zip(parts, ends, strict=True) if cues.THIS_IS_IT.search(text, part.end(), end)
    }
    return praised.pop() if len(praised) == 1 else None
