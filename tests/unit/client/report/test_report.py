"""What receipts add up to, and how that is saved."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ET

import pytest

from gc_warm import Report
from gc_warm.client.report.figures import share
from gc_warm.errors import UsageError

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J\x00\u202e&amp;"


def test_figures_add_up(records):
    found = Report(records).figures()
    assert (5, 129, 2) == (found.tasks, found.calls, found.failed)
    assert (3, 126) == (found.cold, found.warm)
    assert 3 / 129 == found.cold_rate
    assert (12.0, 126 * 4.0) == (found.build_seconds, found.saved_seconds)
    assert (20.0, 129 / 20) == (found.wall_seconds, found.calls_per_second)
    assert (1, {"WorkerLost: Task failure due to loss of worker 0 on host node": 1}) == (
        found.retried,
        found.lost,
    )
    assert ["laptop:1", "laptop:2"] == found.clients
    assert [("node", 100), ("node", 200)] == list(found.workers)
    first = found.workers["node", 100]
    assert (2, 110, 2, 8.0, 16.0) == (
        *(first.tasks, first.calls, first.cold, first.build_seconds, first.busy_seconds),
    )
    assert [("lab.model", "'small'", 3, 12.0, 2)] == found.states
    assert (7.5, "lab.classify", 8, "node", 100) == found.slowest[0]


def test_no_receipts_are_a_report_too(tmp_path):
    report = Report([])
    assert (0, None, 0.0) == (
        *(report.figures().calls, report.figures().cold_rate, report.figures().saved_seconds),
    )
    for kind in ("html", "svg", "jsonl"):
        report.save(tmp_path / f"run.{kind}")
    assert ["calls", "0", "in", "0", "tasks", "on", "0", "workers"] == str(report).split()[:8]


def test_printing_it_shows_tables(records):
    text = str(Report(records))
    for line in (r"cold starts +3 ", r"saved +8.4 min ", "node:100 ", "lab.model ", "WorkerLost: "):
        assert re.search(line, text), line
    titles = [*re.finditer(r"^(Workers|Warm state|Slowest calls|Lost tasks)$", text, re.MULTILINE)]
    assert ["\n\n"] * 4 == [text[each.start() - 2 : each.start()] for each in titles]


def test_what_is_saved_can_be_merged(records, tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    Report(records[:3]).save(first)
    Report(records[2:]).save(second)
    assert records == Report.load(first, second).records
    assert Report(records).figures() == Report.load(first, second, first).figures()


def test_a_line_that_was_cut_off_does_not_count(records, tmp_path):
    path = tmp_path / "run.jsonl"
    Report(records).save(path)
    path.write_text(path.read_text()[:-20])
    assert records[:-1] == Report.load(path).records


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"id": 1}', '{"id":"a","client":"b","function":"c","x":1}', "null"]
)
def test_other_files_are_refused(tmp_path, line):
    path = tmp_path / "run.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=r"run.jsonl is no file of receipts: line 1 is wrong"):
        Report.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", "<script>"),
        ("received", float("inf")),
        ("submitted", -1),
        ("payload_bytes", 10**400),
        ("pid", "7"),
        ("host", 7),
        ("client", None),
        ("builds", "abc"),
        ("builds", [["model", "", 1]]),
        ("slowest", [[1.0, "first"]]),
    ],
)
def test_a_field_of_a_wrong_kind_is_named_with_its_line(records, tmp_path, field, value):
    path = tmp_path / "run.jsonl"
    fields = dataclasses.asdict(records[0]) | {field: value}
    path.write_text(records[1].as_json() + json.dumps(fields) + "\n")
    with pytest.raises(UsageError, match=rf"line 2 is wrong \({field}: "):
        Report.load(path)


def test_unknown_endings_and_folders_are_named(records, tmp_path):
    with pytest.raises(UsageError, match=r"must end with \.html, \.svg or \.jsonl"):
        Report(records).save(tmp_path / "run.pdf")
    with pytest.raises(UsageError, match="No such file or directory"):
        Report(records).save(tmp_path / "no" / "run.html")
    assert [] == list(tmp_path.iterdir())


def test_the_picture_is_xml_with_a_lane_for_each_worker(records, tmp_path):
    Report(records).save(tmp_path / "run.svg")
    root = ET.parse(tmp_path / "run.svg").getroot()
    kinds = [each.get("class") for each in root.iter() if each.get("class")]
    assert 2 == kinds.count("gw-lane")
    # In the legend, and where they are: tasks that touch are one rectangle, two of them overlap.
    assert 1 + 3 == kinds.count("gw-cold")
    text = "".join(root.itertext())
    assert "2 workers over 20 s, with 3 cold starts that took 12 s together" in text
    assert "node:200: busy 16 s, 1 cold start." in text


def test_a_million_tasks_make_no_giant_picture(records, tmp_path):
    many = [
        dataclasses.replace(records[0], id=str(number), submitted=number, received=number + 1,
                            started=number + 0.1, seconds=0.8, builds=())
        for number in range(20_000)
    ]  # fmt: skip
    Report(many).save(tmp_path / "run.svg")
    assert (tmp_path / "run.svg").stat().st_size < 300_000


def test_what_users_wrote_is_escaped(records, tmp_path):
    hostile = [
        dataclasses.replace(
            each,
            function=HOSTILE,
            client=HOSTILE,
            host=HOSTILE,
            block=HOSTILE,
            builds=((HOSTILE, HOSTILE, 1.0, 0.0),),
        )
        for each in records
        if each.worker
    ]
    hostile.append(dataclasses.replace(records[3], lost=HOSTILE))
    report = Report(hostile)
    report.save(tmp_path / "run.html", title=HOSTILE)
    report.save(tmp_path / "run.svg")
    for name in ("run.html", "run.svg"):
        text = (tmp_path / name).read_text()
        assert "<script" not in text
        assert "<img" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "&lt;script&gt;" in text
    ET.parse(tmp_path / "run.svg")
    assert "\x1b" not in str(report)


def test_shares_as_people_write_them():
    assert ["-", "0.0%", "0.010%", "2.5%", "100.0%"] == [
        share(each) for each in (None, 0.0, 0.0001, 0.025, 1.0)
    ]
