"""The picture of a report: what each worker did when, as SVG."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gc_warm.units import counted, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gc_warm.client.calls.records import TaskRecord

WIDTH = 1000
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 16, 34, 40
_LANES = 60
_LEAST = 0.4  # pixels, so that what is shorter can still be seen
_NAME = 22  # characters

STYLE = """\
.gw-timeline{--gw-ink:#1c2430;--gw-soft:#5b6675;--gw-line:#d9dee5;--gw-paper:#fff;--gw-warm:#3f7fbf;\
--gw-cold:#d9541e;--gw-lane:#f1f4f8;font:12px system-ui,sans-serif}
@media (prefers-color-scheme:dark){.gw-timeline{--gw-ink:#e8ecf2;--gw-soft:#9aa7b8;\
--gw-line:#38424f;--gw-paper:#12171e;--gw-warm:#6fa8dc;--gw-cold:#ff8a4c;--gw-lane:#1b222c}}
.gw-paper{fill:var(--gw-paper)}.gw-lane{fill:var(--gw-lane)}
.gw-warm{fill:var(--gw-warm)}.gw-cold{fill:var(--gw-cold)}
.gw-lost{stroke:var(--gw-cold);stroke-width:2;fill:none}
.gw-grid{stroke:var(--gw-line)}.gw-name{fill:var(--gw-ink)}.gw-soft{fill:var(--gw-soft)}
"""

# XML has no way to write these, nor halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# These change the direction of text: a name could look like another.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


@dataclass
class Lane:
    """What one worker did, in seconds from the beginning."""

    name: str
    busy: list[tuple[float, float]]
    builds: list[tuple[float, float]]


def lanes_of(records: Sequence[TaskRecord]) -> tuple[list[Lane], list[float], float]:
    """Return the lanes by their first task, when tasks were lost, and how long all took."""
    if not records:
        return [], [], 1.0
    first = min(each.submitted for each in records)
    total = max(each.received for each in records) - first
    lanes: dict[tuple[str, int], Lane] = {}
    for record in sorted(records, key=lambda each: each.started):
        if record.worker is None:
            continue
        host, pid = record.worker
        lane = lanes.setdefault(record.worker, Lane(f"{host}:{pid}", [], []))
        start = record.started - first
        lane.busy.append((start, start + record.seconds))
        for _, _, seconds, offset in record.builds:
            lane.builds.append((start + offset, start + offset + seconds))
    lost = sorted(each.received - first for each in records if each.worker is None)
    return list(lanes.values()), lost, max(total, 1e-6)


def svg(records: Sequence[TaskRecord], *, standalone: bool) -> str:
    """Draw the timeline, as a file of its own or as a part of a page."""
    lanes, lost, total = lanes_of(records)
    hidden = max(0, len(lanes) - _LANES)
    shown = lanes[:_LANES]
    height = 26 if len(shown) <= 12 else 14  # noqa: PLR2004
    bottom = _TOP + height * max(1, len(shown))
    full = bottom + _BOTTOM
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    parts = [
        (
            f'<svg{namespace} class="gw-timeline" viewBox="0 0 {WIDTH} {full}" role="img" '
            'aria-labelledby="gw-title gw-desc">'
        ),
        '<title id="gw-title">What each worker did when</title>',
        f'<desc id="gw-desc">{escape(describe(lanes, lost, total))}</desc>',
    ]
    if standalone:
        parts.append(f"<style>{STYLE}</style>")
    parts.append(f'<rect class="gw-paper" width="{WIDTH}" height="{full}"/>')
    parts += _legend()
    parts += _axis(total, bottom)
    for number, lane in enumerate(shown):
        parts += _lane(lane, total, _TOP + number * height, height)
    parts += [f'<path class="gw-lost" d="{_cross(_x(at, total), bottom)}"/>' for at in lost[:200]]
    if hidden:
        parts.append(
            f'<text class="gw-soft" x="{WIDTH - _RIGHT}" y="{full - 6}" text-anchor="end">'
            f"{hidden:,} more workers are not shown</text>"
        )
    parts.append("</svg>\n")
    return "\n".join(parts)


def describe(lanes: list[Lane], lost: list[float], total: float) -> str:
    """Return in words what the picture shows."""
    if not lanes and not lost:
        return "There were no tasks."
    builds = sum(len(lane.builds) for lane in lanes)
    building = sum(end - start for lane in lanes for start, end in lane.builds)
    text = (
        f"{counted(len(lanes), 'worker')} over {duration(total)}, with "
        f"{counted(builds, 'cold start')} that took {duration(building)} together."
    )
    if lost:
        text += f" Lost: {counted(len(lost), 'task')}, the first after {duration(lost[0])}."
    for lane in lanes[:_LANES]:
        busy = sum(end - start for start, end in lane.busy)
        text += f" {lane.name}: busy {duration(busy)}, {counted(len(lane.builds), 'cold start')}."
    return text


def escape(text: str) -> str:
    """Return what users or workers wrote, escaped for an element or a quoted attribute."""
    return html.escape(_TURNING.sub("\ufffd", _FORBIDDEN.sub("\ufffd", text)))


def _x(seconds: float, total: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(seconds / total, 0.0), 1.0)


def _lane(lane: Lane, total: float, top: int, height: int) -> Iterator[str]:
    name = lane.name if len(lane.name) <= _NAME else f"…{lane.name[-_NAME + 1 :]}"
    width = WIDTH - _LEFT - _RIGHT
    yield f"<g><title>{escape(lane.name)}</title>"
    yield (
        f'<text class="gw-name" x="{_LEFT - 8}" y="{top + height / 2 + 4:.0f}" text-anchor="end">'
        f"{escape(name)}</text>"
    )
    yield (
        f'<rect class="gw-lane" x="{_LEFT}" y="{top + 1}" width="{width}" height="{height - 2}"/>'
    )
    for kind, spans in (("gw-warm", lane.busy), ("gw-cold", lane.builds)):
        for left, right in _merged(spans, total):
            yield (
                f'<rect class="{kind}" x="{left:.1f}" y="{top + 3}" width="{right - left:.1f}" '
                f'height="{height - 6}"/>'
            )
    yield "</g>"


def _merged(spans: list[tuple[float, float]], total: float) -> list[tuple[float, float]]:
    """Convert seconds to pixels, and join what cannot be told apart."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        left = _x(start, total)
        right = max(_x(end, total), left + _LEAST)
        if merged and left <= merged[-1][1] + _LEAST:
            left, last = merged.pop()
            right = max(last, right)
        merged.append((left, right))
    return merged


def _legend() -> Iterator[str]:
    items = (("gw-warm", "running calls", 0), ("gw-cold", "cold start", 130))
    for kind, name, shift in items:
        x = _LEFT + shift
        yield f'<rect class="{kind}" x="{x}" y="10" width="14" height="12"/>'
        yield f'<text class="gw-name" x="{x + 20}" y="20">{name}</text>'
    x = _LEFT + 245
    yield f'<path class="gw-lost" d="{_cross(x + 7, 21)}"/>'
    yield f'<text class="gw-name" x="{x + 20}" y="20">lost task</text>'


def _axis(total: float, bottom: int) -> Iterator[str]:
    step = _step(total)
    count = int(total / step + 1e-9)
    for number in range(count + 1):
        x = _x(number * step, total)
        yield f'<line class="gw-grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom + 4}"/>'
        yield (
            f'<text class="gw-soft" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{duration(number * step) if number else '0'}</text>"
        )


def _step(total: float) -> float:
    """Return a round number of seconds that gives five to ten marks."""
    power = 1e-7
    while True:
        for factor in (1, 2, 5):
            if total / (power * factor) <= 10:  # noqa: PLR2004
                return power * factor
        power *= 10


def _cross(x: float, bottom: float) -> str:
    return f"M{x - 4:.1f} {bottom - 8}l8 8m0 -8l-8 8"
