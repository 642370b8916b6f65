"""The text of JATS articles, feature by feature, in both forms."""

import pytest
from lxml import etree

from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.jats_left_out import leaves_out_section
from medlm_recipes.corpus.jats_text import TooDeepError, read_article
from medlm_recipes.corpus.markers import MARKERS, citation, float_reference, marked

NAMESPACES = 'xmlns:mml="http://www.w3.org/1998/Math/MathML" xmlns:xlink="http://www.w3.org/1999/xlink"'
OASIS = "http://www.niso.org/standards/z39-96/ns/oasis-exchange/table"

REFERENCES = """
<ref-list><title>References</title>
  <ref id="B1"><label>1</label><element-citation><person-group person-group-type="editor"><name><surname>Ed</surname>
    </name></person-group><person-group person-group-type="author"><name><surname>M&#252;ller</surname><given-names>A
    </given-names></name><name><surname>Second</surname></name></person-group><article-title>One two three four five
    six seven eight nine ten <italic>eleven</italic> twelve, thirteen.</article-title><source>J</source>
    </element-citation></ref>
  <ref id="B2"><citation><collab>World Health Organization</collab><source>A report.</source></citation></ref>
  <ref id="B3"><mixed-citation>Written out. Without markup. 1999.</mixed-citation></ref>
  <ref id="B4"><citation-alternatives><mixed-citation><string-name><given-names>B</given-names> <surname>Lee</surname>
    </string-name><article-title>H<sub>2</sub>O</article-title></mixed-citation></citation-alternatives></ref>
</ref-list>"""
MUELLER = "[bib_ref]One two three four five six seven eight nine ten eleven twelve, Müller[/bib_ref]"
WHO = "[bib_ref]A report, World Health Organization[/bib_ref]"
LEE = "[bib_ref]H2O, Lee[/bib_ref]"


def article(body: str, *, back: str = "", meta: str = "", rest: str = "") -> str:
    return (
        f'<article {NAMESPACES} article-type="research-article"><front><article-meta>{meta}</article-meta></front>'
        f"<body>{body}</body><back>{back}{REFERENCES}</back>{rest}</article>"
    )


def text_of(source: str, markers: bool = False) -> str:
    return read_article(etree.fromstring(source), markers, Coverage()).text


def plain(body: str) -> str:
    return text_of(article(body))


def with_markers(body: str) -> str:
    return text_of(article(body), markers=True)


CAPTION = '<title>Uptake</title><p>By cells<xref rid="B2">2</xref>.</p>'
FIGURE = f'<fig id="F3"><label>Fig. 3.</label><caption>{CAPTION}</caption></fig>'


def test_title_abstracts_and_the_levels_of_sections() -> None:
    meta = """
    <title-group><article-title>Effect of <italic>in vivo</italic><break/>H<sub>2</sub>O<xref ref-type="fn">*</xref>
      </article-title><subtitle>A trial</subtitle><alt-title>Short</alt-title></title-group>
    <contrib-group><contrib><name><surname>Author</surname></name></contrib></contrib-group>
    <abstract><sec><title>Background:</title><p>Why.</p><p>More.</p></sec><sec><title>Methods</title>
      <list><list-item><p>How.</p></list-item></list></sec></abstract>
    <abstract abstract-type="graphical"><p>A picture.</p></abstract>
    <abstract abstract-type="plain-language-summary"><title>Summary for all</title><p>Simply.</p></abstract>
    <trans-abstract xml:lang="es"><p>Resumen.</p></trans-abstract>
    <kwd-group><kwd>word</kwd></kwd-group>"""
    body = """<p>Before.</p>
    <sec><label>1.</label><title>Main</title><p>A.</p>
      <sec><label>1.1</label><title>Sub</title><p>B.</p><sec><title>Subsub</title><p>C.</p></sec></sec></sec>
    <sec><p>Untitled.</p></sec>"""
    assert text_of(article(body, meta=meta)).split("\n") == [
        "Effect of in vivo H2O: A trial",
        "",
        "# Abstract",
        "Background: Why.",
        "More.",
        "Methods: How.",
        "",
        "# Summary for all",
        "Simply.",
        "",
        "Before.",
        "",
        "# 1. Main",
        "A.",
        "",
        "## 1.1 Sub",
        "B.",
        "",
        "### Subsub",
        "C.",
        "Untitled.",
    ]
    deep = "<sec><title>T</title>" * 8 + "<p>x</p>" + "</sec>" * 8
    assert plain(deep).count("\n###### T\n") == 3 and "#######" not in plain(deep)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>Area 5 m<sup>2</sup>, Na<sup>+</sup>, <b>P</b> &lt;\n\t0.1&#8201;mg</p>", "Area 5 m2, Na+, P < 0.1 mg"),
        ('<p>At <ext-link xlink:href="http://a.b">a.b</ext-link>, <email>c@d.e</email>.</p>', "At a.b, c@d.e."),
        ("<p>one<break/>two <named-content>three</named-content> <unheard-of>4</unheard-of></p>", "one two three 4"),
        ("Stray<p>P</p>text", "Stray\nP\ntext"),
        ("<p>Given:<list><list-item><p>a</p><p>b</p></list-item></list>and</p>", "Given:\n- a\nb\nand"),
        ("<list><list-item><label>2)</label><p>c</p></list-item></list>", "2) c"),
        ('<list list-type="simple"><title>L</title><list-item>a</list-item></list>', "L\na"),
        ("<list><list-item>a<list><list-item>b</list-item></list></list-item></list>", "- a\n- b"),
        (
            "<def-item><term>BMI</term><def><p>Body <i>mass</i></p><p>index</p></def></def-item>",
            "BMI: Body mass\nindex",
        ),
        ("<disp-quote><p>Q</p><attrib>Who</attrib></disp-quote>", "Q\nWho"),
        ("<verse-group><verse-line>v</verse-line><verse-line>w</verse-line></verse-group>", "v\nw"),
        ("<statement><label>Theorem 1.</label><p>S</p></statement>", "Theorem 1. S"),
        ("<speech><speaker>Dr A</speaker><p>Hi</p></speech>", "Dr A: Hi"),
        ("<boxed-text><label>Box 1</label><caption><title>Key</title></caption><p>K</p></boxed-text>", "Box 1 Key\nK"),
        ("<p>a<boxed-text><sec><title>In</title><p>K</p></sec></boxed-text>b</p>", "a b\n\n## In\nK"),
        ("<preformat>  a\n    b  c</preformat>", "a\n    b  c"),
        ("<p>Note<fn><label>a</label><p>Below.</p></fn> here.</p>", "Note here.\na Below."),
        ("<sec><label>3</label></sec>", "3"),
    ],
)
def test_no_prose_is_lost(body: str, expected: str) -> None:
    assert plain(body) == expected


def test_supplements() -> None:
    caption = "<label>Additional file 1.</label><caption><title>Data</title><p>All of it.</p></caption>"
    media = "<media><caption><p>Click here</p></caption></media>"
    supplement = f"<supplementary-material>{caption}{media}</supplementary-material>"
    for markers in (False, True):
        assert text_of(article(f"<p>Before{supplement} after.</p>"), markers) == (
            "Before after.\nAdditional file 1: Data. All of it.\nClick here"
        )


def test_what_is_left_out() -> None:
    body = "<sec><title>Results</title><p>R.</p><sec><title>Disclosure</title><p>Of HIV status.</p></sec></sec>"
    back = """
    <ack><title>Thanks</title><p>Thanks.</p></ack><bio><p>Bio.</p></bio><fn-group><fn><p>Note.</p></fn></fn-group>
    <sec><title>Authors&#8217; contributions</title><p>AB wrote.</p></sec>
    <notes notes-type="COI-statement"><p>None.</p></notes>
    <notes><title>Declarations</title><notes><title>Ethics approval</title><p>Approved.</p></notes>
      <notes><title>Competing interests</title><p>None.</p></notes></notes>
    <app-group><app><title>Appendix</title><p>A.</p></app></app-group>
    <glossary><title>Abbreviations</title><def-item><term>AB</term><def>A B</def></def-item></glossary>"""
    assert text_of(article(body, back=back)) == (
        "# Results\nR.\n\n## Disclosure\nOf HIV status.\n\n# Declarations\n\n## Ethics approval\nApproved.\n\n"
        "# Appendix\nA.\n\n# Abbreviations\nAB: A B"
    )


LEFT_OUT = """
Acknowledgements|ACKNOWLEDGMENT|5. Acknowledgments and funding|Competing interests|Conflict of Interest Statement
Declaration of competing interest|Declaration of Conflicting Interests|Potential conflicts of interest|Funding
Funding information|Sources of funding|Financial support|Financial disclosure|Disclosure|Author contributions
Authors' contributions|Authors’ information|CRediT authorship contribution statement|Contributors|Publisher's note
Pre-publication history|Provenance and peer review|References
"""
KEPT = """
Introduction|Funding of primary care|Interests|Data availability|Ethics approval|Author keywords|Abbreviations
Disclosure of status|Supplementary Material|Conclusions|Consent for publication|Contributions of the liver
"""


@pytest.mark.parametrize(("titles", "is_left_out"), [(LEFT_OUT, True), (KEPT, False)])
def test_sections_left_out_by_title(titles: str, is_left_out: bool) -> None:
    for title in titles.strip().replace("\n", "|").split("|"):
        section = etree.fromstring(f"<sec><title><bold>{title}</bold></title><p>x</p></sec>")
        assert leaves_out_section(section, at_the_margin=True) is is_left_out, title
        assert not leaves_out_section(section, at_the_margin=False), title


def test_citations() -> None:
    cited = '<xref ref-type="bibr" rid="{}">{}</xref>'
    b1, b2, b3, b4 = (cited.format(f"B{n}", n) for n in range(1, 5))
    both = cited.format("B1 B4", "1,4")
    for body, in_text, marked_up in (
        (f"<p>Known [{b1}-{b2}], so.</p>", "Known [1-2], so.", f"Known {MUELLER} {WHO}, so."),
        (f"<p>Known ({b1}; {b4}).</p>", "Known (1; 4).", f"Known {MUELLER} {LEE}."),
        (f"<p>Cells<sup>{b1},{b2}</sup> die.</p>", "Cells 1,2 die.", f"Cells {MUELLER} {WHO} die."),
        (f"<p>(see {b1} for more)</p>", "(see 1 for more)", f"(see {MUELLER} for more)"),
        (f"<p>Both [{both}].</p>", "Both [1,4].", f"Both {MUELLER} {LEE}."),
        (f"<p>Only text [{b3}], lost [{cited.format('B9', 9)}].</p>",) + ("Only text [3], lost [9].",) * 2,
        (f"<p>M&#252;ller ({b1}) and {b2} and</p>", "Müller (1) and 2 and", f"Müller {MUELLER} and {WHO} and"),
    ):  # fmt: skip
        assert plain(body) == in_text
        assert with_markers(body) == marked_up


def test_figures_and_tables() -> None:
    three = '<xref ref-type="fig" rid="F3">3</xref>'
    named = '<xref ref-type="fig" rid="F3">Figure <bold>3B</bold></xref>'
    table = """<table-wrap id="T1"><label>TABLE 1</label><caption><p>Doses of <italic>drugs</italic></p></caption>
      <alternatives><graphic/><table><tr><td>5 mg</td></tr></table></alternatives>
      <table-wrap-foot><fn><label>a</label><p>Daily.</p></fn></table-wrap-foot></table-wrap>"""
    body = f"""
    <p>Seen (Fig. {three}A) in {named}{FIGURE}, and (Figs. {three}, {three}).</p>
    <p>Table <xref ref-type="table" rid="T1">1</xref>.</p>{table}
    <sec><title>Next</title><fig><caption><p>No label.</p></caption></fig><fig><label>2</label></fig></sec>"""
    assert plain(body).split("\n") == [
        "Seen (Fig. 3A) in Figure 3B, and (Figs. 3, 3).",
        "Figure 3: Uptake. By cells2.",
        "Table 1.",
        "Table 1: Doses of drugs",
        "a Daily.",
        "",
        "# Next",
        "No label.",
        "Figure 2",
    ]
    figure_3 = "[fig_ref]Figure 3: Uptake By cells2[/fig_ref]"
    assert with_markers(body).split("\n") == [
        f"Seen ({figure_3} A) in {figure_3}, and {figure_3} {figure_3}.",
        f"[fig]Figure 3: Uptake. By cells {WHO}.[/fig]",
        "[fig_ref]Table 1: Doses of drugs[/fig_ref].",
        "[table]Table 1: Doses of drugs[/table]",
        "",
        "# Next",
        "[fig]No label.[/fig]",
        "[fig]Figure 2[/fig]",
    ]


def test_floats_behind_the_body_and_oasis_tables() -> None:
    floats = (
        f'<table-wrap><caption><p>C</p></caption><o:table xmlns:o="{OASIS}"><o:entry>5</o:entry></o:table></table-wrap>'
    )
    source = article("<p>Body.</p>", back="<app><p>App.</p></app>", rest=f"<floats-group>{floats}</floats-group>")
    coverage = Coverage()
    assert read_article(etree.fromstring(source), True, coverage).text == "Body.\n\nApp.\n\n[table]C[/table]"
    assert coverage.facts()["table"] == {"characters": 1, "kept": 0}


WORDS = "<mml:mtext>if</mml:mtext><mml:mi>y</mml:mi>"
MATHML = f"<mml:math><mml:mi>x</mml:mi>\n<mml:mo>=</mml:mo> <mml:mn>2</mml:mn>{WORDS}</mml:math>"
TEX = r"<tex-math>\documentclass[12pt]{minimal} \begin{document}$$x \ge 2$$\end{document}</tex-math>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (f"<inline-formula>{MATHML}</inline-formula>", "x=2 if y"),
        (MATHML, "x=2 if y"),
        (TEX, r"x \ge 2"),
        ("<tex-math>$a$ and $b$</tex-math>", "$a$ and $b$"),
        (f"<inline-formula><alternatives><inline-graphic/>{MATHML}{TEX}</alternatives></inline-formula>", r"x \ge 2"),
        (f"<alternatives>{TEX}{MATHML}</alternatives>", r"x \ge 2"),
        (f"<inline-formula><alternatives><tex-math/>{MATHML}</alternatives></inline-formula>", "x=2 if y"),
        ("<inline-formula>E<sub>0</sub> = <mml:math><mml:mn>1</mml:mn></mml:math></inline-formula>", "E0 = 1"),
        (
            "<inline-formula><mml:math><mml:semantics><mml:mi>n</mml:mi><mml:annotation encoding='MathType'>MTEF"
            "</mml:annotation></mml:semantics></mml:math></inline-formula>",
            "n",
        ),
        (
            "<mml:math><mml:semantics><mml:mi>n</mml:mi><mml:annotation encoding='application/x-tex'>\\nu"
            "</mml:annotation></mml:semantics></mml:math>",
            r"\nu",
        ),
        ("<inline-formula><inline-graphic><alt-text>a</alt-text></inline-graphic></inline-formula>", ""),
    ],
)
def test_formulas(formula: str, text: str) -> None:
    body = f"<p>where {formula} holds</p>"
    assert plain(body) == " ".join(f"where {text} holds".split())
    assert with_markers(body) == f"where [formula]{text}[/formula] holds"


def test_displayed_formulas_keep_their_numbers() -> None:
    shown = "<disp-formula><label>(1)</label><tex-math>a=b</tex-math></disp-formula>"
    assert with_markers(f"<p>Hence{shown}holds.</p>{shown}<p>End.</p>") == (
        "Hence [formula]a=b[/formula] (1) holds.\n[formula]a=b[/formula] (1)\nEnd."
    )


def test_sub_articles() -> None:
    front = "<front-stub><title-group><article-title>{}</article-title></title-group></front-stub>"
    sub = f'<sub-article article-type="{{}}">{front}<body><sec><title>S</title><p>P.</p></sec></body></sub-article>'
    rest = sub.format("abstract", "Poster 1") + sub.format("translation", "Otro") + sub.format("decision-letter", "D")
    assert text_of(article("<p>B.</p>", rest=rest)) == "B.\n\n# Poster 1\n\n## S\nP."


@pytest.mark.parametrize(
    ("body", "has_body"),
    [
        ("", False),
        ("<sec><title>Full text</title><supplementary-material><media/></supplementary-material></sec>", False),
        ("<p>Text.</p>", True),
        ("<sec><title>A</title><list><list-item>x</list-item></list></sec>", True),
    ],
)
def test_scans_and_abstracts_have_no_body(body: str, has_body: bool) -> None:
    source = article(body, meta="<abstract><p>A.</p></abstract>", back="<ack><p>Thanks.</p></ack>")
    assert read_article(etree.fromstring(source), False, Coverage()).has_body is has_body


@pytest.mark.parametrize(
    "tag",
    ["sec", "p", "list-item", "fig", "boxed-text", "unheard-of", "italic", "label", "caption", "xref", "fn", "title"],
)
def test_deep_nesting(tag: str) -> None:
    depth = 120
    source = article(f"<{tag}>" * depth + "x" + f"</{tag}>" * depth)
    assert "x" in text_of(source)
    with pytest.raises(TooDeepError):
        text_of(article(f"<{tag}>" * 240 + "x" + f"</{tag}>" * 240))


def test_coverage_by_element() -> None:
    body = f'<p>See <xref rid="B1">1</xref>, <inline-formula>{MATHML}</inline-formula></p><table>123</table>{FIGURE}'
    expected = {
        False: {"p": (14, 14), "formula": (6, 6), "table": (3, 0), "label": (6, 6), "title": (6, 6)},
        True: {"p": (12, 12), "xref": (2, 0), "formula": (6, 6), "table": (3, 0), "label": (6, 6), "title": (6, 6)},
    }
    for markers, counts in expected.items():
        coverage = Coverage()
        read_article(etree.fromstring(article(body)), markers, coverage)
        facts = coverage.facts()
        assert facts.pop("ref-list")["kept"] == 0
        assert {name: (one["characters"], one["kept"]) for name, one in facts.items()} == counts
    header, *rows, total = coverage.summary()
    assert header.split() == ["coverage", "by", "element", "characters", "kept", "share"]
    assert "  100.00%" in next(row for row in rows if row.startswith("p "))
    assert total.split()[0] == "all"
    assert list(Coverage().summary()) == []


def test_markers_are_the_released_tokens() -> None:
    written = citation("A title.", "Last") + float_reference("Figure 3", "It is. " * 9) + marked("formula", "x")
    assert written == (
        "[bib_ref]A title, Last[/bib_ref]"
        "[fig_ref]Figure 3: It is. It is. It is. It is. It is. It is[/fig_ref][formula]x[/formula]"
    )
    assert len(set(MARKERS)) == 12 and all(marker == marker.lower() for marker in MARKERS)
    for name in ("bib_ref", "fig_ref", "formula", "fig", "table"):
        assert {f"[{name}]", f"[/{name}]"} <= set(MARKERS)
