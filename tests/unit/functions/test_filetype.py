from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gc_warm.functions.filetype import BATCH_SIZE, identify, model


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    pixels = b"".join(b"\0" + bytes((row * 16, 255 - row * 16, 128)) * 16 for row in range(16))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    )


def _pdf() -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>",
    ]
    body = b"%PDF-1.4\n"
    for number, content in enumerate(objects, 1):
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    return body + b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n190\n%%EOF\n"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.txt", "one " * 100)
        archive.writestr("two.txt", "two " * 100)
    return buffer.getvalue()


PYTHON = Path(__file__).read_bytes()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(PYTHON)
    return str(path)


@pytest.mark.parametrize(
    ("content", "label", "group", "mime_type"),
    [
        (PYTHON, "python", "code", "text/x-python"),
        (_png(), "png", "image", "image/png"),
        (_pdf(), "pdf", "document", "application/pdf"),
        (_zip(), "zip", "archive", "application/zip"),
        (gzip.compress(PYTHON), "gzip", "archive", "application/gzip"),
        (json.dumps({"a": list(range(50))}).encode(), "json", "code", "application/json"),
    ],
    ids=["python", "png", "pdf", "zip", "gzip", "json"],
)
def test_knows_a_file_by_its_content(tmp_path, content, label, group, mime_type):
    path = tmp_path / "without-extension"
    path.write_bytes(content)

    [answer] = identify([path])

    score = answer.pop("score")
    assert answer == {"path": str(path), "label": label, "group": group, "mime_type": mime_type}
    assert 0.5 < score <= 1


def test_an_empty_file_is_empty(tmp_path):
    path = tmp_path / "nothing"
    path.touch()

    assert identify([path])[0]["label"] == "empty"


def test_answers_are_plain_data(source):
    answers = identify([source, "/nowhere"])

    assert json.loads(json.dumps(answers)) == answers
    assert {type(value) for value in answers[0].values()} == {str, float}


def test_no_paths_need_no_model():
    model.clear()

    assert identify([]) == []
    assert model.info().currsize == 0


def test_answers_come_in_the_order_of_the_paths(tmp_path):
    contents = {"python": PYTHON, "png": _png(), "pdf": _pdf()}
    labels = list(contents) * BATCH_SIZE
    paths = [tmp_path / f"{number}-{label}" for number, label in enumerate(labels)]
    for path, label in zip(paths, labels, strict=True):
        path.write_bytes(contents[label])

    answers = identify(paths)

    assert [answer["path"] for answer in answers] == [str(path) for path in paths]
    assert [answer["label"] for answer in answers] == labels


def test_a_path_given_twice_is_answered_twice(source):
    first, second = identify([source, source])

    assert first == second


def test_a_link_is_followed_and_keeps_its_name(tmp_path, source):
    link = tmp_path / "link"
    link.symlink_to(source)

    [answer] = identify([link])

    assert (answer["path"], answer["label"]) == (str(link), "python")


def test_a_name_that_is_no_unicode_is_answered(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(name)).write_bytes(PYTHON)

    [answer] = identify([name])

    assert (os.fsencode(answer["path"]), answer["label"]) == (name, "python")


def _missing(folder):
    return folder / "missing"


def _folder(folder):
    return folder


def _below_a_file(folder):
    (folder / "file").touch()
    return folder / "file" / "below"


def _broken_link(folder):
    (folder / "link").symlink_to("nowhere")
    return folder / "link"


def _circular_link(folder):
    (folder / "link").symlink_to("link")
    return folder / "link"


def _pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _device(_folder):
    return "/dev/zero"


def _error_of_null():
    """Python's words, which are others since 3.13."""
    with pytest.raises(ValueError, match="null") as raised:
        Path("a\0b").stat()
    return str(raised.value)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_missing, "No such file or directory"),
        (_folder, "Not a file, but a directory"),
        (_below_a_file, "Not a directory"),
        (_broken_link, "Broken symbolic link"),
        (_circular_link, "Too many levels of symbolic links"),
        (_pipe, "Not a file, but a named pipe"),
        (_device, "Not a file, but a character device"),
        (lambda _: "", "No such file or directory"),
        (lambda _: "a\0b", _error_of_null()),
        (lambda _: 0, "Not a path, but of type int"),
        (lambda _: None, "Not a path, but of type NoneType"),
    ],
)
def test_a_bad_path_gets_an_error_and_spoils_no_other(tmp_path, source, make, error):
    bad = make(tmp_path)

    before, answer, after = identify([source, bad, source])

    assert answer == {"path": str(bad), "error": error}
    assert (before["label"], after["label"]) == ("python", "python")


def test_a_socket_gets_an_error():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = f"{folder}/s"  # short: socket names have a limit that pytest's folders may exceed
        server.bind(path)

        assert identify([path]) == [{"path": path, "error": "Not a file, but a socket"}]


@pytest.mark.may_skip("a test run by root cannot make an unreadable file")
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_file_gets_an_error(source):
    Path(source).chmod(0)

    assert identify([source]) == [{"path": source, "error": "Permission denied"}]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_file_that_fails_when_read_fails_alone(source):
    before, answer, after = identify([source, "/proc/self/mem", source])

    assert answer == {"path": "/proc/self/mem", "error": "Invalid argument"}
    assert (before["label"], after["label"]) == ("python", "python")


@pytest.mark.parametrize("paths", ["/etc/hosts", b"/etc/hosts", Path("/etc/hosts")])
def test_one_path_instead_of_a_list_is_refused(paths):
    with pytest.raises(
        TypeError, match=r"takes a list of paths, not one path: identify\(\[.*hosts"
    ):
        identify(paths)


def test_threads_share_one_model(source):
    model.clear()
    builds = model.info().misses
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return identify([source])[0]["label"]

    with ThreadPoolExecutor(8) as threads:
        labels = list(threads.map(ask, range(8)))

    assert labels == ["python"] * 8
    assert model.info().misses - builds == 1


def test_a_worker_loads_the_model_once_for_many_tasks(one_worker, source):
    futures = [one_worker.submit(identify.receipted, [source]) for _ in range(50)]
    answers = [future.result() for future in futures]

    assert [answer.value[0]["label"] for answer in answers] == ["python"] * 50
    assert [answer.receipt.cold_starts for answer in answers] == [1] + [0] * 49
    assert [answer.receipt.hits for answer in answers] == [0] + [1] * 49
    assert len({answer.receipt.pid for answer in answers}) == 1
