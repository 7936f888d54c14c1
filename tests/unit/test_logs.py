"""The end of a log file."""

import pytest

from gc_warm.logs import tail


@pytest.mark.parametrize(
    ("written", "size", "expected"),
    [
        (b"", 4, ""),
        (b"one\ntwo\n", 100, "one\ntwo"),
        (b"one\ntwo\n", 4, "two"),
        ("né\n".encode(), 2, "\ufffd"),  # cut within a character
    ],
)
def test_the_end_of_a_file(tmp_path, written, size, expected):
    path = tmp_path / "log"
    path.write_bytes(written)
    assert expected == tail(path, size)


def test_a_file_that_is_not_there(tmp_path):
    assert "" == tail(tmp_path / "log")
