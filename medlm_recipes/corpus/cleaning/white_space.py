"""One form of white space and of composed characters."""

import re
import unicodedata

# Control characters but those that are white space, soft hyphen, zero-width space, word joiner, byte order
# mark. Joiners (U+200C, U+200D) and direction marks stay: they belong to scripts that need them.
_INVISIBLE = [*range(0x09), *range(0x0E, 0x1C), *range(0x7F, 0x85), *range(0x86, 0xA0), 0xAD, 0x200B, 0x2060, 0xFEFF]
_LINE_ENDS = [0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029]
_SPACES = [0x09, 0x1F, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]
_REPLACED = {
    **{chr(code): "" for code in _INVISIBLE},
    **{chr(code): "\n" for code in _LINE_ENDS},
    **{chr(code): " " for code in _SPACES},
}
_UNUSUAL = re.compile(f"[{re.escape(''.join(_REPLACED))}]")

_RUNS = re.compile("  +")
_EMPTY_LINES = re.compile("\n\n\n+")


def normalize_white_space(text: str) -> str:
    """NFC; lines kept, each without white space at its ends and with one space for every run inside.

    At most one empty line stands between two lines and none at the ends, so that paragraphs stay
    apart. Doing it twice changes nothing.
    """
    unusual = set(_UNUSUAL.findall(text))  # few texts have many kinds, and replacing one is quick
    if "\r" in unusual:
        text = text.replace("\r\n", "\n")
    for character in unusual:
        text = text.replace(character, _REPLACED[character])
    text = _RUNS.sub(" ", unicodedata.normalize("NFC", text))
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    return _EMPTY_LINES.sub("\n\n", text).strip(" \n")
