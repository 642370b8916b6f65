"""JATS elements as one line of text, formulas above all: TeX where there is any, otherwise what the MathML spells."""

import re
from typing import Any

MATHML = "{http://www.w3.org/1998/Math/MathML}"
FORMULAS = ("inline-formula", "disp-formula", "tex-math", "math", f"{MATHML}math")

_NO_TEXT = {"graphic", "inline-graphic", "media", "inline-media", "alt-text", "long-desc", "object-id", "label"}
_TEX_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|$)", re.DOTALL)
_SPACED = {"mtext", "mspace", "mtr", "mtd", "mlabeledtr"}


def plain_text(element: Any) -> str:
    """Everything written inside an element, but of a formula only one version and no label. Empty for None.

    White space is normalised.
    """
    if element is None:
        return ""
    if len(element) == 0 and element.tag != "tex-math":
        return " ".join((element.text or "").split())
    pieces: list[str] = []
    _gather(element, pieces)
    return " ".join("".join(pieces).split())


def _gather(element: Any, pieces: list[str]) -> None:
    name = _local(element)
    if name == "tex-math":
        pieces.append(_tex("".join(element.itertext())))
    elif name == "math":
        pieces.append(_mathml(element))
    elif name == "break":
        pieces.append(" ")
    else:
        pieces.append(element.text or "")
        chosen = _chosen(element)
        for child in element:
            name = _local(child)
            if name not in _NO_TEXT and (chosen is None or child is chosen or name not in ("math", "tex-math")):
                _gather(child, pieces)
            pieces.append(child.tail or "")


def _chosen(element: Any) -> Any:
    """Of a formula's TeX and MathML versions that stand side by side the one to read; None: no such choice."""
    versions = {_local(child): child for child in reversed(element)}
    tex = versions.get("tex-math") if "math" in versions else None
    return tex if tex is not None and "".join(tex.itertext()).strip() else None


def _tex(source: str) -> str:
    """The formula alone: many publishers put a whole LaTeX document around every one."""
    within = _TEX_DOCUMENT.search(source)
    formula = (within[1] if within else source).strip()
    return formula.strip("$") if formula.strip("$").count("$") == 0 else formula


def _mathml(math: Any) -> str:
    for note in math.iter(f"{MATHML}annotation", "annotation"):
        if "tex" in note.get("encoding", "").lower():
            return _tex("".join(note.itertext()))
    pieces: list[str] = []
    _spell(math, pieces)
    return "".join(pieces)


def _spell(element: Any, pieces: list[str]) -> None:
    """The tokens of MathML without the white space between them, but as words and cells need it."""
    name = _local(element)
    if name in ("annotation", "annotation-xml"):  # a program's own data, MathType's above all
        return
    space = " " if name in _SPACED else ""
    pieces += [space, (element.text or "").strip()]
    for child in element:
        _spell(child, pieces)
        pieces.append((child.tail or "").strip())
    pieces.append(space)


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
