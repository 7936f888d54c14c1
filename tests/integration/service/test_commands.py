"""What is registered, allowed and submitted on the command line, on the real agent."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

import gc_warm

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[3] / "endpoint_configs" / "high-security"
COUNT = "gc_warm.functions.counter:increase_count"
PATIENCE = 120
LAB = """
import os
from gc_warm import self_contained, warm

@warm
def model(name):
    return [name]

@self_contained
def use(name, *, times=1):
    return {(name, times): model(name) * times}

@self_contained
def fail(text):
    raise ValueError(text)

@self_contained
def wait():
    import time
    time.sleep(600)
"""


@pytest.fixture
def command(service, tmp_path):
    """Return a function that runs gc-warm as its user does, and returns what it printed."""

    def run(*arguments, code=0):
        done = subprocess.run(
            [Path(sys.executable).with_name("gc-warm"), *arguments],
            cwd=tmp_path,
            env={**os.environ, **service.environment, "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def high_security(service, command, tmp_path):
    """The sample, whose config.yaml allows what was registered."""
    command("register", COUNT, *strategy_of_the_readme())
    command("functions", "allow", "--endpoint-config", str(SAMPLE))
    command("register", COUNT, "--name", "pickled", "--strategy", "DillCode")
    folder = tmp_path / "sample"
    folder.mkdir()
    for each in SAMPLE.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    config = folder / "config.yaml"
    text = config.read_text().replace("allowed_functions: []", command("functions", "allow"))
    config.write_text(f"heartbeat_period: 5\n{text}")
    template = folder / "user_config_template.yaml.j2"
    text = template.read_text()
    assert "workers | default(2)" in text
    template.write_text(text.replace("workers | default(2)", "workers | default(1)"))  # to count
    return service.start_endpoint(folder)


def strategy_of_the_readme():
    return re.findall(r"gc-warm register .*(--strategy) (\w+)", (SAMPLE / "README.md").read_text())[
        0
    ]


def test_the_high_security_sample_as_its_readme_says(service, high_security, command, tmp_path):
    submit = ("submit", "increase_count", "--endpoint", str(high_security.id))
    answers = command(*submit, "--data-strategy", "JSONData", "--times", "3", "--json")
    assert [1, 2, 3] == [each["result"]["count"] for each in json.loads(answers)]

    serializer = ComputeSerializer(PureSourceTextInspect(), JSONData())
    function_id = gc_warm.registered("increase_count", tmp_path / "functions.json")
    with service.executor(high_security.id) as executor:
        executor.serializer = serializer
        future = executor.submit_to_registered_function(function_id)
        assert 4 == future.result(PATIENCE)["count"]
        pickled = gc_warm.registered("pickled", tmp_path / "functions.json")
        error = executor.submit_to_registered_function(pickled).exception(PATIENCE)
    assert isinstance(error, TaskExecutionFailed)
    assert "Code serializer DillCode disabled" in str(error)

    said = command(*submit, code=1)
    assert "Data serializer DillDataBase64 disabled" in said
    other = (
        "submit",
        COUNT,
        "--endpoint",
        str(high_security.id),
        "--strategy",
        "PureSourceTextInspect",
    )
    said = command(*other, "--data-strategy", "JSONData", code=1)
    assert "not permitted on endpoint" in said
    assert "an endpoint may allow only some functions" in said


def test_submit_is_the_counterpart_of_run(service, folder, command, tmp_path):
    endpoint = service.start_endpoint(folder("processes"))
    (tmp_path / "lab.py").write_text(LAB)
    there = ("--endpoint", str(endpoint.id), "--options", "{'workers': 1}")
    said = command(
        *("submit", "lab:use", *there, "--args", "('a',)", "--kwargs", '{"times": 2}'),
        *("--times", "2"),
    )
    assert 2 == said.count("['a', 'a']")
    found = json.loads(command("submit", "lab:use", *there, "--args", '["a"]', "--json"))
    assert [("{('a', 1): ['a']}", 0, 1)] == [
        (each["result"], each["receipt"]["cold_starts"], each["receipt"]["hits"]) for each in found
    ]
    said = command("submit", "lab:fail", *there, "--args", r'["a\u001b[2Jb"]', code=1)
    assert r"ValueError: a\x1b[2Jb" in said
    assert "\x1b" not in said
    said = command("submit", "lab:wait", *there, "--timeout", "2", code=1)
    assert "did not come back within 2 s, and was not cancelled" in said


def test_submit_to_an_endpoint_that_is_not_there(command):
    there = ("--endpoint", "4b116d3c-1703-4f8f-9f6f-39921e5864df")
    assert "Cannot submit" in command("submit", COUNT, *there, code=1)
