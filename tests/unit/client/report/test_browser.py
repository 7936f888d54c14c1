"""The page in a real browser: rendered, with nothing in its console, and the right numbers."""

import html.parser
import re
import struct
import zlib

import pytest

from gc_warm import Report

CONSOLE = re.compile(r"CONSOLE")


@pytest.fixture
def page(records, tmp_path):
    Report(records).save(tmp_path / "run.html", title="Two workers & <one> lost task")
    return tmp_path / "run.html"


class Texts(html.parser.HTMLParser):
    """What stands in each cell of the tables, and in each card."""

    def __init__(self):
        super().__init__()
        self.cells = []
        self.title = ""
        self._open = ""

    def handle_starttag(self, tag, attrs):
        self._open = tag
        if tag in {"dt", "dd", "td", "th"}:
            self.cells.append("")

    def handle_data(self, data):
        if self._open in {"dt", "dd", "td", "th"}:
            self.cells[-1] += data.strip()
        elif self._open == "h1":
            self.title += data.strip()


def test_it_is_rendered_with_the_right_numbers_and_an_empty_console(browse, page, records):
    done = browse(page.as_uri(), "--dump-dom")
    assert not CONSOLE.search(done.stderr), done.stderr
    texts = Texts()
    texts.feed(done.stdout)
    assert "Two workers & <one> lost task" == texts.title
    found = Report(records).figures()
    value = {
        name: texts.cells[texts.cells.index(name) + 1]
        for name in ("calls", "cold starts", "saved", "failed", "retried")
    }
    assert {
        "calls": f"{found.calls}",
        "cold starts": f"{found.cold}",
        "saved": "8.4 min",
        "failed": f"{found.failed}",
        "retried": f"{found.retried}",
    } == value
    row = texts.cells.index("node:100")
    assert ["-", "2", "110", "2", "8 s", "16 s", "0"] == texts.cells[row + 1 : row + 8]


@pytest.mark.slow("starts a browser, to test the test")
def test_a_violation_of_its_policy_would_show(browse, page):
    """The test above can fail: what the page must not do is seen in the console."""
    page.write_text(page.read_text().replace("<main>", "<main><script>1</script>"))
    assert CONSOLE.search(browse(page.as_uri(), "--dump-dom").stderr)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("scheme", "background"), [("1", (255, 255, 255)), ("0", (18, 23, 30))])
def test_it_is_light_or_dark_as_its_reader_likes(browse, page, tmp_path, scheme, background):
    picture = tmp_path / "page.png"
    address = page.as_uri()
    browse(address, f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}")
    assert background == first_pixel(picture.read_bytes())


def first_pixel(png):
    """Return the colour of a PNG's first pixel, which no filter changes."""
    content, place = b"", 8
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        if kind == b"IDAT":
            content += png[place + 8 : place + 8 + length]
        place += length + 12
    return tuple(zlib.decompress(content)[1:4])
