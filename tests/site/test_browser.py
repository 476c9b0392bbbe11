"""Every page in a real browser: wide and narrow, light and dark, with nothing from elsewhere."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from building import Copy
from torch import Tensor

pytest.importorskip("playwright", reason="nox -s site installs it")
from playwright.sync_api import Browser, Page, sync_playwright
from spec_site import notes

from reference.conformance import check
from reference.conformance.reports import comparison_page, report_page
from reference.conformance.reports.comparison import compare
from reference.model import BigramLanguageModel
from reference.spec.catalogue import catalogue

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
WIDTHS = {"desktop": (1300, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
SEARCHED = (
    "vocabulary.round-trip",
    "batch.offset-law",
    "index.any-length",
    "embedding.one-hot",
    "forward.logits.flattened",
    "loss.floor",
    "gradient.row-sum",
    "softmax.axis",
    "generate.law",
    "training.converges",
    "causal.no-future",
)
"""One clause of each concept."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing of each request."""


@pytest.fixture(scope="session")
def address(copy: Copy) -> Iterator[str]:
    """Serve the site on a free port of this machine."""
    handler = functools.partial(Quiet, directory=str(copy.html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Seen(NamedTuple):
    """What went on while pages were open."""

    requests: list[str]
    faults: list[str]


def opened(browser: Browser, width: str = "desktop", scheme: str = "light") -> tuple[Page, Seen]:
    wide, high = WIDTHS[width]
    page = browser.new_page(
        viewport={"width": wide, "height": high},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    seen = Seen([], [])
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on(
        "response",
        lambda response: (
            seen.faults.append(f"{response.status} {response.url}")
            if response.status >= 400
            else None
        ),
    )
    page.on(
        "requestfailed",
        lambda request: (
            seen.faults.append(f"{request.failure} {request.url}")
            if request.failure != "net::ERR_ABORTED"  # the page was left before it came
            else None
        ),
    )
    page.on(
        "console",
        lambda message: (
            seen.faults.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: seen.faults.append(str(error)))
    return page, seen


def names(copy: Copy) -> list[str]:
    return sorted(path.relative_to(copy.html).as_posix() for path in copy.html.rglob("*.html"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_whole(
    browser: Browser, address: str, copy: Copy, width: str, scheme: str
) -> None:
    page, seen = opened(browser, width, scheme)
    wrong = []
    for name in names(copy):
        page.goto(address + name)
        page.wait_for_load_state("networkidle" if name == "mindmap.html" else "load")
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if over > 0:
            wrong.append(f"{name} can be scrolled sideways by {over} pixels")
        shown = page.evaluate(
            "[...document.querySelectorAll('figure img')]"
            ".filter((image) => image.offsetWidth > 0 && image.naturalWidth > 0)"
            ".map((image) => [...image.classList].pop())"
        )
        figures = page.locator("figure").count()
        if shown != [f"only-{scheme}"] * figures:
            wrong.append(f"{name} has {figures} figures and shows the pictures {shown}")
    page.close()
    assert not wrong
    assert not seen.faults
    assert {urlsplit(url).hostname for url in seen.requests} == {"127.0.0.1"}


@pytest.mark.parametrize("clause", SEARCHED)
def test_the_search_finds_a_clause_by_its_id(browser: Browser, address: str, clause: str) -> None:
    page, seen = opened(browser)
    page.goto(f"{address}search.html?q={clause}")
    found = page.locator(f"#search-results a[href$='#clause-{clause}']").first
    found.wait_for(timeout=10_000)
    page.wait_for_load_state("networkidle")  # each page that is found is fetched for its summary
    found.click()
    page.wait_for_load_state()
    assert page.locator(f"[id='clause-{clause}']").is_visible()
    assert clause in page.url
    assert not seen.faults
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_mind_map_opens_and_its_links_work(browser: Browser, address: str, width: str) -> None:
    page, seen = opened(browser, width)
    page.goto(f"{address}mindmap.html")
    nodes = page.locator(".markmap-node")
    nodes.first.wait_for()
    few = nodes.count()
    page.get_by_role("button", name="Open all").click()
    page.wait_for_function("n => document.querySelectorAll('.markmap-node').length > n", arg=few)
    page.wait_for_timeout(200)
    assert nodes.count() == len(notes.nodes())
    page.get_by_role("button", name="Fold").click()
    page.wait_for_function("n => document.querySelectorAll('.markmap-node').length == n", arg=few)
    folded = {"desktop": "-- class --", "phone": "MAIN"}[width]
    page.locator(".markmap-node", has_text=folded).locator("circle").first.click()
    page.wait_for_function("n => document.querySelectorAll('.markmap-node').length > n", arg=few)
    for kind in ("mm-text", "mm-code", "mm-clause"):
        page.goto(f"{address}mindmap.html")
        link = page.locator(f".markmap-node a.{kind}").last
        place = str(link.get_attribute("href")).partition("#")[2]
        link.click()
        page.wait_for_load_state()
        assert page.url.endswith(f"#{place}")
        assert page.locator(f"[id='{place}']").is_visible()
    assert not seen.faults
    page.close()


def test_a_clause_opens_its_check_and_what_it_catches(browser: Browser, address: str) -> None:
    page, seen = opened(browser)
    page.goto(f"{address}spec/generate.html#clause-generate.law")
    box = page.locator("[id='clause-generate.law']")
    assert not box.locator("pre").is_visible()
    box.get_by_text("The check", exact=True).click()
    assert "def law(" in box.locator("pre").inner_text()
    box.get_by_text("Catches").click()
    assert box.locator("details li").first.is_visible()
    assert not seen.faults
    page.close()


class Summed(BigramLanguageModel):
    """Adds the losses up."""

    def forward(  # type: ignore[override]  # without the overloads
        self, idx: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        logits, loss = super().forward(idx, targets)
        return logits, None if loss is None else loss * idx.numel()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give the pages that the kit writes: of a report, and of six compared."""
    folder = tmp_path_factory.mktemp("pages")
    reports = [check(model, clauses=["loss"]) for model in (BigramLanguageModel, Summed)]
    every = catalogue(None)
    texts = {
        "report": report_page.to_html(reports[1], every),
        "comparison": comparison_page.to_html(compare(reports * 3), every),
    }
    pages = {name: folder / f"{name}.html" for name in texts}
    for name, page in pages.items():
        page.write_text(texts[name], encoding="utf-8")
    return pages


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_of_the_kit_fits_and_asks_for_nothing(
    browser: Browser, written: dict[str, Path], name: str, width: str, scheme: str
) -> None:
    page, seen = opened(browser, width, scheme)
    page.goto(written[name].as_uri())
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(over) <= 0
    assert page.get_by_text("loss.mean-cross-entropy").first.is_visible()
    assert page.get_by_text("the losses of the positions are added up").first.is_visible()
    colours = page.evaluate(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    )
    dark = [sum(map(int, colour.strip("rgba()").split(",")[:3])) for colour in colours]
    assert (dark[0] > dark[1]) == (scheme == "dark")
    assert not seen.faults
    assert [urlsplit(url).scheme for url in seen.requests] == ["file"]
    page.close()
