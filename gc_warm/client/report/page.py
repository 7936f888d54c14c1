"""A report as one HTML file: no script, no network, for light and dark, and for screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.client.report import timeline
from gc_warm.client.report.summary import details, headline, plain_name, tables
from gc_warm.client.report.timeline import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gc_warm.client.calls.records import TaskRecord
    from gc_warm.client.report.figures import Figures
    from gc_warm.client.report.summary import Line, Table

_STYLE = """\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--paper:#fff;\
--card:#f6f8fb;--cold:#b8410f}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#9aa7b8;--line:#38424f;\
--paper:#12171e;--card:#1b222c;--cold:#ff8a4c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:24px;margin:0 0 4px;font-weight:650}
h2{font-size:17px;margin:36px 0 10px;font-weight:650}
p.lead{margin:0 0 22px;color:var(--soft);overflow-wrap:anywhere}
dl.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0}
dl.cards div{background:var(--card);border:1px solid var(--line);border-radius:8px;\
padding:12px 14px}
dl.cards dt{color:var(--soft);font-size:13px}
dl.cards dd{margin:0}
dd.value{font-size:23px;font-weight:650;font-variant-numeric:tabular-nums}
dd.meaning{color:var(--soft);font-size:12.5px;line-height:1.35}
div.cold dd.value{color:var(--cold)}
figure{margin:0;overflow-x:auto}
svg{display:block;width:100%;min-width:640px;height:auto}
div.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
caption{text-align:left;font-size:17px;font-weight:650;padding:32px 0 8px}
th{text-align:left;color:var(--soft);font-weight:500;font-size:13px;white-space:nowrap}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere}
.number{text-align:right;white-space:nowrap}
"""


def page(records: Sequence[TaskRecord], found: Figures, title: str) -> str:
    """Return a report as HTML."""
    return "\n".join(_parts(records, found, title)) + "\n"


def _parts(records: Sequence[TaskRecord], found: Figures, title: str) -> Iterator[str]:
    functions = ", ".join(sorted({plain_name(each.function) for each in records})) or "no calls"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    # Even what was not escaped could not run or fetch anything.
    yield (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
    )
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<link rel="icon" href="data:,">'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{_STYLE}{timeline.STYLE}</style>\n</head>\n<body>\n<main>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="lead">{escape(functions)}</p>'
    yield '<dl class="cards">'
    yield from map(_card, headline(found))
    yield '</dl>\n<h2 id="timeline">What each worker did when</h2>\n<figure>'
    yield timeline.svg(records, standalone=False)
    yield "</figure>"
    for each in tables(found):
        yield from _table(each)
    yield '<div class="scroll"><table><caption>All figures</caption><tbody>'
    yield from map(_row, details(found))
    yield "</tbody></table></div>\n</main>\n</body>\n</html>"


def _card(line: Line) -> str:
    kind = ' class="cold"' if line.name == "cold starts" else ""
    return (
        f'<div{kind}><dt>{escape(line.name)}</dt><dd class="value">{escape(line.value)}</dd>'
        f'<dd class="meaning">{escape(line.meaning)}</dd></div>'
    )


def _row(line: Line) -> str:
    return (
        f'<tr><th scope="row">{escape(line.name)}</th><td class="number">{escape(line.value)}</td>'
        f"<td>{escape(line.meaning)}</td></tr>"
    )


def _table(table: Table) -> Iterator[str]:
    yield f'<div class="scroll"><table><caption>{escape(table.title)}</caption><thead><tr>'
    kinds = [' class="number"' if name[0] == ">" else "" for name in table.columns]
    for kind, name in zip(kinds, table.columns, strict=True):
        yield f'<th scope="col"{kind}>{escape(name.lstrip(">"))}</th>'
    yield "</tr></thead><tbody>"
    for row in table.rows:
        cells = zip(kinds, row, strict=True)
        yield "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in cells) + "</tr>"
    yield "</tbody></table></div>"
