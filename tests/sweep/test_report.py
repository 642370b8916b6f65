"""report.html stands alone, says what was measured, has the same bytes each time and looks right in a browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from sweep_bench import Bench
from synthetic import gap, other, series, sweep, written

from medlm_recipes.manifest import Manifest
from medlm_recipes.sweep.collect import Sweep, collect
from medlm_recipes.sweep.plan import plan_sweep
from medlm_recipes.sweep.points import Target, Validation
from medlm_recipes.sweep.report import summary_table, write_report
from medlm_recipes.sweep.words import BEYOND

VOID = {"meta", "link", "br", "hr", "img"}

CROWDED = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll("figure svg")) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(one => one.textContent.trim())
      .map(one => [one.textContent, one.getBoundingClientRect()]);
    texts.forEach(([name, a], index) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
        found.push(name + " is cut");
      for (const [other, b] of texts.slice(index + 1))
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)
          found.push(name + " covers " + other);
    });
  }
  return found;
})()"""
"""Labels of the figures that lie on each other or leave their figure."""


class Page(HTMLParser):
    """Checks that tags nest, and keeps text, ids and whatever a browser could fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.ids, self.references = "", [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "embed")
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [str(value) for name, value in attrs if name.split(":")[-1] in ("src", "href", "srcset")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def ladder() -> Sweep:
    """Three sizes, two seeds, two sources and benchmarks, repeated text, prices, gaps, a forecast, another sweep."""
    sizes = [("125m", 125_000_000), ("350m", 350_000_000), ("760m", 760_000_000)]
    kinds = {"sources": ("pubmed-abstracts", "pubmed-central"), "pass_tokens": 5e9}
    asked = ("medqa-4-option", "pubmedqa")
    observed = [
        series(size, seed, parameters=count, benchmarks=asked, price=count * 2e-15, **kinds)  # type: ignore[arg-type]
        for size, count in sizes
        for seed in (17, 18)
    ]
    observed[0] = gap(observed[0], 4e9, problem="the divergence guard stopped it", validation={}, scores={})
    observed[1] = gap(observed[1], 8e9, unscored={"pubmedqa": "not evaluated"},
                      scores={"medqa-4-option": observed[1].points[3].scores["medqa-4-option"]})  # fmt: skip
    earlier = other([series("125m", benchmarks=asked, lower=0.05, **kinds)], "abstracts-only")  # type: ignore[arg-type]
    target = Target("biomedlm-2.7b", 2_594_247_680, 600 * 10**9, None)
    return sweep(observed, "ladder", targets=(target,), others=(earlier,))


@pytest.fixture(scope="module")
def report(ladder: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the ladder."""
    folder = tmp_path_factory.mktemp("reports") / "ladder"
    written(ladder, folder)
    return folder


def test_stands_alone(report: Path) -> None:
    text = (report / "report.html").read_text()
    page = Page(text)
    assert all(reference.startswith(("#", "data:,")) for reference in page.references)
    assert "@import" not in text and set(re.findall(r"url\((.)", text)) <= {"#"}
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "http://" not in without_namespaces and "https://" not in without_namespaces
    assert len(page.ids) == len(set(page.ids))
    assert '<meta name="viewport"' in text and "default-src 'none'" in text


def test_shows_the_numbers(report: Path, ladder: Sweep) -> None:
    page = Page((report / "report.html").read_text())
    for sentence in [*ladder.recommendation, *ladder.summary]:
        assert sentence in page.text
    size = ladder.findings.sizes[2]
    fit, level = size.fits["pubmed-central"][0], size.scores["pubmedqa"][-1]
    assert fit.held_out is not None
    assert f"{fit.held_out.measured:.4f}" in page.text and f"{fit.held_out.error:+.4f}" in page.text
    assert f"{100 * level.value:.1f}\N{NO-BREAK SPACE}% ± {100 * level.standard_error:.1f}" in page.text
    assert "within noise" in page.text and "rise beyond noise" in page.text and "R* 15.4, published" in page.text
    assert "the divergence guard stopped it" in page.text and "350m-seed" not in page.text
    assert page.text.count("10 ×, extrapolated") == 6 and f"{BEYOND[1:]}." in page.text
    assert "Beside abstracts-only" in page.text and "Differences are this sweep minus that" in page.text
    figures = [
        f"{what}-{source}" for source in ("pubmed-abstracts", "pubmed-central") for what in ("loss", "gain", "cost")
    ]
    figures += [f"score-{name}" for name in ("medqa-4-option", "pubmedqa")]
    figures += [f"compared-1-loss-{source}" for source in ("pubmed-abstracts", "pubmed-central")]
    figures += [f"compared-1-score-{name}" for name in ("medqa-4-option", "pubmedqa")]
    assert sorted(path.stem for path in report.glob("*.png")) == sorted(figures)
    assert (report / "report.html").read_text().count("<svg") == len(figures)


def test_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(sweep([series(noise=0.002)]), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_gaps_one_budget_and_a_diverged_run(tmp_path: Path) -> None:
    bare = gap(series(budgets=(1e9,)), 1e9, validation={}, scores={}, unscored={"medqa": "not evaluated"})
    page = Page(written(sweep([bare]), tmp_path / "a"))
    assert "no evaluation of these budgets" in page.text and "not evaluated" in page.text
    assert summary_table(sweep([bare])).splitlines()[1].split() == ["1,000,000,000", "0.00", "–"]
    diverged = gap(series(budgets=(1e9, 2e9)), 2e9, validation={"pubmed": Validation(None, None, None)})
    assert "not finite" in Page(written(sweep([diverged]), tmp_path / "b")).text
    unasked = Page(written(sweep([series(budgets=(1e9, 2e9), benchmarks=())]), tmp_path / "d"))
    assert "Benchmarks" not in unasked.text and "guessing at" not in unasked.text
    lost = gap(series(budgets=(1e9,)), 1e9, validation={"pubmed": Validation(None, None, None)})
    assert "no finite validation loss at these budgets" in Page(written(sweep([lost]), tmp_path / "c")).text


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&$x$"
    page = Page(written(sweep([series(evil, sources=(evil,), benchmarks=(evil,))], evil), tmp_path / "a"))
    assert page.text.count("<script>alert(1)</script>&") > 3
    assert len(list((tmp_path / "a").glob("*.png"))) == 4


def test_a_folder_of_compare_is_read_and_shown(finished: Bench, tmp_path: Path) -> None:
    """Through the plan, from a sweep.json; one of another form is refused."""
    from dataclasses import asdict

    earlier = tmp_path / "earlier"
    earlier.mkdir()
    first = collect(plan_sweep(finished.config()), [])
    lower = [replace(one, validation={"pubmed": Validation(3.0, 20.1, 1.4)}) for one in first.series[0].points]
    data = asdict(replace(first, name="earlier", series=[replace(first.series[0], points=lower)]))
    (earlier / "sweep.json").write_text(json.dumps(data))
    Manifest("sweep", {}, {}).write(earlier)
    compared = collect(plan_sweep(finished.config(f"compare=[{earlier}]")), [])
    (found,) = compared.comparisons
    assert found.name == "earlier" and found.same_tokenizer
    assert [row.difference for row in found.losses] == pytest.approx([1.0, 0.5, 0.2])
    (tmp_path / "out").mkdir()
    write_report(compared, tmp_path / "out")
    assert "Beside earlier" in (tmp_path / "out" / "report.html").read_text()
    (earlier / "sweep.json").write_text(json.dumps(data | {"form": 1}))
    with pytest.raises(Exception, match="made by another version"):
        collect(plan_sweep(finished.config(f"compare=[{earlier}]")), [])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not on PATH: the report is not opened")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("width", [1200, 360])
def test_opens_in_chromium(report: Path, chromium: Browser, width: int, tmp_path: Path) -> None:
    """No request, no complaint, no wider than the window, labels apart, letters large enough."""
    chromium.open((report / "report.html").as_uri(), width)
    assert chromium.requests() == [] and chromium.complaints() == []
    assert chromium.value("document.documentElement.scrollWidth") <= width
    assert chromium.value("document.querySelectorAll('figure svg text').length") > 100
    assert chromium.value(CROWDED) == []
    letters = (
        "[...document.querySelectorAll('p, li, td, figcaption')].map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(chromium.value(letters)) >= 13
    chromium.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 200_000  # an empty page is a few kB


def test_prints(report: Path, chromium: Browser, tmp_path: Path) -> None:
    chromium.open((report / "report.html").as_uri(), 1200)
    chromium.print(tmp_path / "report.pdf")
    pages = (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n")
    assert 5 < pages < 25


def test_the_browser_would_tell(chromium: Browser, tmp_path: Path) -> None:
    """What the checks above look for is seen where it is."""
    (tmp_path / "bad.html").write_text(
        '<img src="http://127.0.0.1:1/x.png"><script>console.error("oh")</script><div style="width: 500px">wide</div>'
        '<figure><svg width="99" height="20"><text y="15">one</text><text y="15">two</text>'
        '<text x="90" y="15">three</text></svg></figure>'
    )
    chromium.open((tmp_path / "bad.html").as_uri(), 360)
    assert chromium.requests() == ["http://127.0.0.1:1/x.png"]
    assert any("oh" in complaint for complaint in chromium.complaints())
    assert chromium.value("document.documentElement.scrollWidth") > 360
    assert chromium.value(CROWDED) == ["one covers two", "three is cut"]
