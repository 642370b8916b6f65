"""The text of a JATS article: title, abstracts, body, appendices; one paragraph, heading or caption a line.

An element that nothing here names is kept, so that no text is lost for want of a rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from medlm_recipes.corpus import jats_left_out
from medlm_recipes.corpus.coverage import Coverage, count_characters
from medlm_recipes.corpus.jats_formulas import FORMULAS, plain_text
from medlm_recipes.corpus.jats_lines import Lines
from medlm_recipes.corpus.jats_references import FIGURES, TABLES, References, float_label
from medlm_recipes.corpus.markers import marked

_SECTIONS = ("sec", "app", "glossary", "notes", "abstract")
_FLOATS = (*FIGURES, *TABLES, "supplementary-material", "media")
_MOST_NESTED = 150  # libxml2 stops at 256; a real article has some 20
_SENTENCE_ENDS = (".", ":", "?", "!", ";")


class TooDeepError(Exception):
    """An article whose elements are nested deeper than any real one's."""


@dataclass(frozen=True)
class ArticleText:
    """title: alone. text: all of it, title first. has_body: whether there is more than title and abstract."""

    title: str
    text: str
    has_body: bool


def read_article(article: Any, with_markers: bool, coverage: Coverage) -> ArticleText:
    """The text of an `article` element in no namespace; notes to its title are removed from it.

    Raises TooDeepError.
    """
    walker = _Walker(article, with_markers, coverage)
    title = walker.front(article.find("front/article-meta"))
    before = _prose(coverage)
    walker.rest(article)
    return ArticleText(title, "\n".join(walker.lines.finished).strip(), _prose(coverage) > before)


def _prose(coverage: Coverage) -> int:
    return coverage.kept.total() - coverage.kept["title"] - coverage.kept["label"]


class _Walker:
    """Walks the tree once, in the order of the text."""

    def __init__(self, article: Any, with_markers: bool, coverage: Coverage) -> None:
        self.lines = Lines(coverage)
        self._coverage = coverage
        self._references = References(article) if with_markers else None
        self._block = "body"  # under which the open line counts
        self._depth = 0
        self._level = 0  # of headings
        self._in_abstract = False
        self._in_back = False
        self._waiting: list[Any] | None = None  # floats and notes that would cut the open line in two

    def front(self, meta: Any) -> str:
        """Title and abstracts of an article-meta or front-stub; the title alone is returned."""
        if meta is None:
            return ""
        titles = [*meta.iterfind("title-group/article-title"), *meta.iterfind("title-group/subtitle")]
        for title in titles:
            written = count_characters("".join(title.itertext()))
            etree.strip_elements(title, "xref", "fn", with_tail=False)
            self._coverage.drop("xref", written - count_characters("".join(title.itertext())))
        title = _joined([self._captured(title, "article-title") for title in titles], ":")
        if title:
            self._line(title, heading=self._level)
        for abstract in meta.iterfind("abstract"):
            self._abstract(abstract)
        return title

    def rest(self, article: Any) -> None:
        """Everything behind the front matter."""
        in_back = self._in_back
        for part in article.iterchildren("body", "floats-group", "floats-wrap", "back", "sub-article", "response"):
            self.lines.gap()
            self._in_back = in_back or part.tag == "back"
            self._child(part)
            self._end()
        self._in_back = in_back
        self.lines.finish()

    def _walk(self, element: Any) -> None:
        """The content of an element."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise TooDeepError
        add = self.lines.add
        if element.text:
            add(element.text)
        for child in element:
            handle = _HANDLERS.get(child.tag)
            if handle is None:
                self._walk(child)
            else:
                handle(self, child)
            if child.tail:
                add(child.tail)
        self._depth -= 1

    def _child(self, element: Any) -> None:
        _HANDLERS.get(element.tag, _Walker._walk)(self, element)

    def _end(self, heading: int = 0) -> None:
        self.lines.end(self._block, heading)

    def _line(self, text: str, heading: int = 0) -> None:
        """A line of text that is counted already."""
        self.lines.insert(text)
        self._end(heading)

    def _drop(self, element: Any, name: str = "") -> None:
        text = "".join(element.itertext()) if len(element) else element.text or ""
        self._coverage.drop(name or etree.QName(element).localname, count_characters(text))

    def _paragraph(self, element: Any, heading: int = 0) -> None:
        """A block of text on a line of its own, and behind it what floats in it."""
        self._end()
        outer = self._block, self._waiting
        waiting: list[Any] = []
        self._block, self._waiting = element.tag, waiting
        self._walk(element)
        self._end(heading)
        self._block, self._waiting = outer
        self._depth += 1
        for one in waiting:
            self._child(one)
        self._depth -= 1

    def _waits(self, element: Any) -> bool:
        """Whether an element is put off until the open paragraph has ended."""
        if self._waiting is None:
            return False
        self._waiting.append(element)
        if element.tail and element.tail[0].isalnum() and element.tag != "fn":
            self.lines.add(" ")  # two sentences, often, with nothing but the figure between them
        return True

    def _captured(self, element: Any, block: str) -> str:
        """The lines of an element as one, which is not put among the others. Empty for None."""
        if element is None:
            return ""
        outer = self.lines, self._block, self._waiting
        self.lines, self._block, self._waiting = Lines(self._coverage), block, None
        self._walk(element)
        self._end()
        self.lines.finish()
        captured = _joined(self.lines.finished, ".")
        self.lines, self._block, self._waiting = outer
        return captured

    def _abstract(self, abstract: Any) -> None:
        if abstract.get("abstract-type") in jats_left_out.ABSTRACTS:
            self._drop(abstract, "abstract left out")
            return
        if not "".join(abstract.itertext()).strip():
            return
        if abstract.find("title") is None:
            self._level += 1
            self._line("Abstract", heading=self._level)
            self._level -= 1
        self._in_abstract = True
        self._section(abstract)
        self._in_abstract = False

    def _section(self, section: Any) -> None:
        at_the_margin = self._in_back or section.getparent().tag == "body"
        if jats_left_out.leaves_out_section(section, at_the_margin):
            self._drop(section, "sec left out")
            return
        self._end()
        self._level += 1
        self._walk(section)
        self._end()
        self._level -= 1

    def _box(self, box: Any) -> None:
        """Its title is no heading: what follows the box would come under it."""
        if self._waits(box):
            return
        self._end()
        self._level += 1
        self._walk(box)
        self._end()
        self._level -= 1

    def _sub_article(self, article: Any) -> None:
        if article.get("article-type") in jats_left_out.SUB_ARTICLES:
            self._drop(article, "sub-article left out")
            return
        self._level += 1
        front = article.find("front-stub")
        self.front(article.find("front/article-meta") if front is None else front)
        self.rest(article)
        self._level -= 1

    def _title(self, title: Any) -> None:
        """A heading where it is a section's, the label of its first paragraph where it is in an abstract."""
        section = title.getparent().tag
        if section not in _SECTIONS:
            self._paragraph(title)
        elif self._in_abstract and section == "sec":
            self._end()
            self._lead(title)
        else:
            self._paragraph(title, heading=self._level)

    def _lead(self, element: Any) -> None:
        """What stands before a colon: a defined term, a speaker."""
        text = self._captured(element, element.tag)
        self.lines.prefix(text if text.endswith(_SENTENCE_ENDS) or not text else f"{text}:")

    def _label(self, label: Any) -> None:
        if label.getparent().tag not in _FLOATS:  # whose line has it already
            self.lines.prefix(self._captured(label, "label"))

    def _caption(self, caption: Any) -> None:
        if caption.getparent().tag not in _FLOATS:
            self._walk(caption)

    def _item(self, item: Any) -> None:
        self._end()
        if item.find("label") is None and item.getparent().get("list-type") != "simple":
            self.lines.bullet()
        self._paragraph(item)

    def _float(self, element: Any) -> None:
        """A figure, table or supplement: label and caption as one line, then whatever else there is in it."""
        if self._waits(element):
            return
        self._end()
        label = _joined([self._captured(one, "label") for one in element.iterfind("label")], "")
        caption = _joined([self._captured(one, "caption") for one in element.iterfind("caption")], "")
        is_named = element.tag in FIGURES + TABLES
        text = ": ".join(filter(None, (float_label(element, label) if is_named else label.rstrip(" .:"), caption)))
        if text:
            with_marker = self._references is not None and is_named
            self._line(marked("table" if element.tag in TABLES else "fig", text) if with_marker else text)
        self._walk(element)
        self._end()

    def _table_foot(self, foot: Any) -> None:
        """Notes to a table: prose, but none without the table where only captions are wanted."""
        if self._references is None:
            self._walk(foot)
        else:
            self._drop(foot)

    def _note(self, note: Any) -> None:
        if not self._waits(note):
            self._paragraph(note)

    def _formula(self, formula: Any) -> None:
        is_line = self._waiting is None
        if is_line:
            self._end()
        label = formula.find("label") if formula.tag.endswith("formula") else None
        written = count_characters("".join(formula.itertext()))
        written -= count_characters("" if label is None else "".join(label.itertext()))
        text = plain_text(formula)
        kept = count_characters(text)
        self._coverage.keep("formula", kept)
        self._coverage.drop("formula", written - kept)
        if self._references is not None:
            text = marked("formula", text)  # a picture too: the sentence would have a hole
        if label is not None or formula.tag == "disp-formula":
            text = f" {text} {self._captured(label, 'label')} "
        self.lines.insert(text)
        if is_line:
            self._end()

    def _alternatives(self, versions: Any) -> None:
        if any(version.tag in FORMULAS for version in versions):
            self._formula(versions)
        else:
            self._walk(versions)

    def _xref(self, xref: Any) -> None:
        markers = self._references.markers(xref) if self._references else []
        if markers:
            self._drop(xref)
            self.lines.refer(markers)
        else:
            if xref.get("ref-type") == "bibr":
                self.lines.separate()
            self._walk(xref)

    def _break(self, element: Any) -> None:
        self.lines.add(" ")
        self._walk(element)

    def _verbatim(self, element: Any) -> None:
        self._end()
        self.lines.verbatim(element.tag, "".join(element.itertext()))


def _joined(texts: Sequence[str], mark: str) -> str:
    """The texts that are not empty as one; `mark` ends the first when it has no mark of its own."""
    first, *others = [text for text in texts if text] or [""]
    return " ".join([first if not others or first.endswith(_SENTENCE_ENDS) else first + mark, *others])


_HANDLERS: dict[str, Callable[[_Walker, Any], None]] = {
    **dict.fromkeys(jats_left_out.ELEMENTS, _Walker._drop),
    **dict.fromkeys(("p", "def", "disp-quote", "verse-line", "attrib", "speech", "statement"), _Walker._paragraph),
    **dict.fromkeys(("sec", "app", "glossary", "notes"), _Walker._section),
    **dict.fromkeys(_FLOATS, _Walker._float),
    **dict.fromkeys(("sub-article", "response"), _Walker._sub_article),
    **dict.fromkeys(("term", "speaker"), _Walker._lead),
    **dict.fromkeys(("preformat", "code"), _Walker._verbatim),
    **dict.fromkeys(FORMULAS, _Walker._formula),
    "alternatives": _Walker._alternatives,
    "boxed-text": _Walker._box,
    "break": _Walker._break,
    "caption": _Walker._caption,
    "fn": _Walker._note,
    "label": _Walker._label,
    "list-item": _Walker._item,
    "table-wrap-foot": _Walker._table_foot,
    "title": _Walker._title,
    "xref": _Walker._xref,
}
