"""The documentation's site, opened as a file in a real browser: ``make docs`` builds it."""

import os
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SITE = Path(os.environ.get("GC_WARM_SITE") or Path(__file__).parents[2] / "site").absolute()
# Scripts and their timers run for this long, by the page's own clock.
MILLISECONDS = 20_000


@pytest.fixture(scope="module")
def read(browse):
    if not (SITE / "index.html").exists():
        pytest.skip("there is no site: run `make docs`")

    def dom(name, query=""):
        """Return the page after its scripts have run, and what it wrote to the console."""
        address = f"{(SITE / name).as_uri()}{query}"
        done = browse(address, "--dump-dom", f"--virtual-time-budget={MILLISECONDS}")
        return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)

    return dom


def test_the_start_page_is_rendered_with_an_empty_console(read):
    text, console = read("index.html")
    assert [] == console
    assert re.search(r"<h1[^>]*>gc-warm", text)
    assert "data-js-focus-visible" in text, "its scripts have not run"


def test_the_search_finds_a_name(read):
    text, console = read("index.html", "?q=node_folder")
    assert [] == console
    found = re.findall(r'<a href="([^"]*)" class="md-search-result__link"', text)
    assert f"{SITE.as_uri()}/reference/node.html?h=node_folder#gc_warm.node_folder" in found


def test_a_page_that_complains_would_show(read):
    """The tests above can fail: what a page's script throws is in the console."""
    page = SITE / "complaining.html"
    page.write_text((SITE / "index.html").read_text() + "<script>missing()</script>")
    try:
        assert len(read(page.name)[1]) == 1
    finally:
        page.unlink()
