"""``gc-warm map`` by the unmodified SDK and a real endpoint, on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_file_goes_through_a_real_endpoint(port_5000, tmp_path):
    (tmp_path / "lab.py").write_text("def double(number):\n    return 2 * number\n")
    (tmp_path / "in.jsonl").write_text("".join(f"{number}\n" for number in range(300)))
    command = [Path(sys.executable).with_name("gc-warm"), "map", "lab:double", "--service"]
    done = subprocess.run(
        [*command, "--input", "in.jsonl", "--output", "out.jsonl", "--report", "run.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (0, "300 done, 0 were done before: out.jsonl\n") == (done.returncode, done.stdout), done
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [2 * number for number in range(300)] == [json.loads(line)["result"] for line in lines]
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) < 50
