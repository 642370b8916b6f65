"""report.html stands alone, says what was measured and has the same bytes each time."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sweep_bench import Bench

from medlm_recipes.sweep.collect import Sweep, collect
from medlm_recipes.sweep.findings import Point, Validation, find
from medlm_recipes.sweep.plan import plan_sweep
from medlm_recipes.sweep.report import summary_table, write_report
from medlm_recipes.sweep.summary import summarize

VOID = {"meta", "link", "br", "hr", "img"}


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


@pytest.fixture
def compared(finished: Bench) -> Sweep:
    return collect(plan_sweep(finished.config()))


def with_points(compared: Sweep, points: list[Point]) -> Sweep:
    found = find(points)
    return replace(compared, points=points, findings=found, summary=summarize(points, found))


def written(compared: Sweep, folder: Path) -> str:
    folder.mkdir()
    write_report(compared, folder)
    return (folder / "report.html").read_text()


def test_stands_alone_and_shows_the_numbers(compared: Sweep, tmp_path: Path) -> None:
    text = written(compared, tmp_path / "a")
    page = Page(text)
    assert all(reference.startswith(("#", "data:,")) for reference in page.references)
    assert "@import" not in text and set(re.findall(r"url\((.)", text)) <= {"#"}
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "http://" not in without_namespaces and "https://" not in without_namespaces
    assert str(tmp_path) not in text
    assert len(page.ids) == len(set(page.ids))
    accuracy = "27.1\N{NO-BREAK SPACE}% ± 2.9\N{NO-BREAK SPACE}%"
    readings = ("within noise", "rise beyond noise", "conservative")
    made = ("gpt2, ", "coupled_weight_decay 0.1", "medlm-recipes")
    for shown in ("1,024", "54.6", accuracy, "chance 25.0", *readings, *made):
        assert shown in page.text, shown
    assert text.count("<svg") == 2 and '<meta name="viewport"' in text


def test_same_bytes_each_time(compared: Sweep, tmp_path: Path) -> None:
    written(compared, tmp_path / "a")
    written(compared, tmp_path / "b")
    for name in ("report.html", "perplexity.png", "accuracy.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_gaps_one_budget_and_a_diverged_run(compared: Sweep, tmp_path: Path) -> None:
    first, *rest = compared.points
    bare = replace(first, validation={}, accuracy=None)
    diverged = replace(first, validation={"pubmed": Validation(None, None, None)})
    assert "no validation loss recorded" in Page(written(with_points(compared, [bare]), tmp_path / "a")).text
    assert "no evaluation of these budgets" in (tmp_path / "a" / "report.html").read_text()
    page = Page(written(with_points(compared, [bare, *rest]), tmp_path / "b"))
    assert "–" in page.text
    assert "not finite" in Page(written(with_points(compared, [diverged, *rest]), tmp_path / "c")).text
    table = summary_table(with_points(compared, [bare, *rest]))
    assert table.splitlines()[1].split() == ["1,024", "0.32", "–", "–"]


def test_names_are_escaped(compared: Sweep, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&$x$"
    points = [replace(one, validation={evil: one.validation["pubmed"]}) for one in compared.points]
    page = Page(written(with_points(replace(compared, run=evil), points), tmp_path / "a"))
    assert page.text.count("<script>alert(1)</script>&") > 3


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH: the report is not opened")
@pytest.mark.parametrize("width", [1200, 390])
def test_opens_in_chromium(compared: Sweep, tmp_path: Path, width: int) -> None:
    written(compared, tmp_path / "a")
    picture = tmp_path / "page.png"
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr", f"--window-size={width},1600", f"--screenshot={picture}",
        (tmp_path / "a" / "report.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 20_000  # an empty page is a few kB
