"""Whatever it is given, the checker says what is wrong with it, and soon."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_warm.checks.endpoint import RULES, Needs, check_endpoint
from gc_warm.checks.reading import MAX_BYTES, original_lines, read_yaml
from gc_warm.checks.rules.rule import Settings
from gc_warm.checks.rules.shell import unguarded
from gc_warm.checks.rules.template import Template
from gc_warm.errors import UsageError

# Anything

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NAMES = st.sampled_from(
    [
        *("engine", "type", "provider", "min_blocks", "max_blocks", "init_blocks", "walltime"),
        *("job_status_kwargs", "max_idletime", "strategy", "available_accelerators", "gres"),
        *("max_workers_per_node", "mem_per_worker", "mem_per_node", "max_mem", "image"),
        *("idle_heartbeats_soft", "heartbeat_period", "worker_init", "container_type"),
        *("container_cmd_options", "container_uri", "extra_limits", "gpus_per_node"),
        *("prefetch_capacity", "drain_period", "heartbeat_threshold", "max_tasks_per_child"),
    ]
)
VALUES = SCALARS | st.sampled_from(
    [
        *("GlobusComputeEngine", "ProcessPoolEngine", "ThreadPoolEngine", "SlurmProvider"),
        *("KubernetesProvider", "htex_auto_scale", "docker", "apptainer", "--gpus"),
        *("1e9999Gi", "\ud800"),
        *("gpu:a100:99999", "99999-00:00", 10**30, -(10**30), float("nan"), float("inf")),
    ]
)
TREES = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=6)
    ),
    max_leaves=20,
)
ENGINES = st.fixed_dictionaries(
    {},
    optional={
        "engine": st.dictionaries(NAMES, TREES | st.dictionaries(NAMES, TREES, max_size=5)) | TREES,
        "idle_heartbeats_soft": VALUES,
        "idle_heartbeats_hard": VALUES,
        "heartbeat_period": VALUES,
    },
)
MANY = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(ENGINES | st.dictionaries(NAMES, TREES), st.floats(0, 1e9) | st.none())
def test_rules_survive_any_settings(data, state_gb):
    subject = Settings(data, needs=Needs(state_gb=state_gb))
    for rule in RULES.values():
        if not rule.of_templates:
            json.dumps([found.as_dict() for found in rule.check(subject)])


PIECES = st.sampled_from(
    [
        *("{{", "}}", "{%", "%}", "{#", "#}", "x", " | default(", "'10:00:00'", ")", '"', "\n"),
        *("_GC.env", "user_runtime", "set x =", "for i in range(9)", "endfor", "if x", "endif"),
        *("engine:", "  type: ", "- ", "shell_escape", "[1:-1]", "\0", "\x85", "é"),
    ]
)


@MANY
@given(st.lists(PIECES | st.text(max_size=5)).map("".join), TREES)
def test_rules_survive_any_template_and_schema(text, schema):
    template = Template("t", text, schema_text=repr(schema), schema=schema, has_schema=True)
    for rule in RULES.values():
        if rule.of_templates:
            json.dumps([found.as_dict() for found in rule.check(template)])


@MANY
@given(st.text() | st.lists(PIECES).map("".join), st.text())
def test_reading_survives_any_text(text, other):
    read_yaml(text)
    list(unguarded(text))
    assert len(other.splitlines()) == len(original_lines(text, other))


# Whole files and folders, as bytes

FILES = [
    *("config.yaml", "user_config_template.yaml.j2", "user_config_schema.json"),
    *("options.example.json", "user_environment.yaml", "config.py", "user_config_template.yaml"),
]
CORE = [
    *(b"display_name: x", b"user_config_template_path: /dev/zero", b"engine: {}", b"a: &a [*a]"),
    *(
        b"user_config_template_path: ..",
        b'user_config_schema_path: "\\ud800"',
        b"engine: &e {x: *e}",
    ),
]
BYTES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(CORE),
    ENGINES.map(lambda data: yaml.safe_dump(data).encode()),
    TREES.map(lambda data: json.dumps(str(data)).encode()),
    st.lists(PIECES).map(lambda parts: "".join(parts).encode()),
)
# What there may be instead of a file.
ODD = st.sampled_from(["folder", "dangling", "loop", "pipe", "device", "zero", "unreadable"])
FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def make(path, content):
    """Make a file of bytes, or what there is in its place."""
    match content:
        case bytes():
            path.write_bytes(content)
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path.name)
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/null")
        case "zero":
            path.symlink_to("/dev/zero")
        case "unreadable":
            path.write_bytes(b"engine: {}")
            path.chmod(0)


def look(path):
    """Check a path: findings, or wrong usage, and nothing else."""
    try:
        return [found.as_dict() for found in check_endpoint(path, timeout=20)]
    except UsageError as error:
        return str(error)


@pytest.mark.slow
@FEW
@given(st.dictionaries(st.sampled_from(FILES), BYTES | ODD, max_size=len(FILES)))
def test_any_folder(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("fuzz")
    for name, content in contents.items():
        make(folder / name, content)
    assert isinstance(look(folder), list)  # what is odd in a folder is a finding, not a failure


@pytest.mark.slow
@FEW
@given(BYTES | ODD, st.sampled_from(["t.yaml", "t.yaml.j2", "config.py"]))
def test_any_file(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("fuzz") / name
    make(path, content)
    json.dumps(look(path))


SAMPLES = Path(__file__).parents[3] / "endpoint_configs"
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=10) | BYTES), max_size=4
)


@pytest.mark.slow
@FEW
@given(
    st.sampled_from(sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())),
    st.sampled_from(FILES[:5]),
    CHANGES,
)
def test_any_change_of_a_sample(tmp_path_factory, name, changed, changes):
    """Overwrite, insert or delete something anywhere in one of its files."""
    folder = tmp_path_factory.mktemp("fuzz")
    for path in (SAMPLES / name).iterdir():
        data = path.read_bytes()
        for where, deleted, inserted in changes if path.name == changed else ():
            place = int(where * len(data))
            data = data[:place] + inserted + data[place + deleted :]
        (folder / path.name).write_bytes(data)
    assert isinstance(look(folder), list)


@pytest.mark.slow("loads two configs, for one kind of number")
def test_numbers_too_long_to_show(tmp_path):
    """Python refuses to show so many digits; as hexadecimals they can be written, and read."""
    huge = "0x" + "f" * 5000
    engine = {"type": "ProcessPoolEngine", "max_tasks_per_child": "H", "max_workers": "H"}
    limits = {"nvidia.com/gpu": "H", "H": 1}
    provider = {"type": "KubernetesProvider", "extra_limits": limits, "max_mem": "H"}
    for data in (
        {"engine": engine, "idle_heartbeats_soft": "H"},
        {"engine": {"type": "GlobusComputeEngine", "drain_period": "H", "provider": provider}},
    ):
        path = tmp_path / "t.yaml"
        path.write_text(yaml.safe_dump(data).replace(": H", f": {huge}").replace("H:", f"{huge}:"))
        assert look(path)


# What would take forever

LAUGHS = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12))
MERGES = "\n".join(f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}" for n in range(1, 12))
NESTED = "\n".join(
    f"x{n}: &x{n} {{{', '.join(f'k{k}: *x{n - 1}' for k in range(9))}}}" for n in range(1, 12)
)


@contextmanager
def within(seconds):
    """Demand an end in time, with room for a busy machine: what is refused takes far longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.mark.parametrize(
    "text",
    [
        f"x0: &x0 [a, b]\n{LAUGHS}",
        f"x0: &x0 {{a: b}}\n{MERGES}",
        f"x0: &x0 {{a: b}}\n{NESTED}",
        "a: &a [*a]",
        "engine: &a {provider: *a}",
        "engine: &a {<<: *a}",
        "a: &a {? *a : 1}",
    ],
    ids=["laughs", "merges", "mappings", "list", "mapping", "merge", "key"],
)
def test_anchors_that_never_end_are_refused(text):
    with within(10):
        assert read_yaml(text).failure


def test_anchors_are_fine():
    text = "base: &b {min_blocks: 1}\nengine: {provider: {<<: *b, max_blocks: 2}}\n"
    document = read_yaml(text)
    assert {"min_blocks": 1, "max_blocks": 2} == document.data["engine"]["provider"]


@pytest.mark.parametrize(
    "text", ['!!int ""', '!!float ""', "!!bool maybe", "!!timestamp x", "? {}"]
)
def test_tags_that_do_not_fit_are_refused(text):
    assert read_yaml(f"a: {text}").failure or read_yaml(f"a: {text}").data is not None


@pytest.mark.parametrize("part", ["[", "{a: ", "- ", "a:\n ", "!!map ", "&a "])
def test_depth_is_refused(part):
    with within(60):
        assert read_yaml(f"a: {part * 20_000}").failure


def test_long_files_are_refused(tmp_path):
    (tmp_path / "t.yaml").write_text("a" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="longer than"):
        check_endpoint(tmp_path / "t.yaml")


LONG = MAX_BYTES // 2


@pytest.mark.parametrize(
    "script",
    [
        *("pip " * (LONG // 4), "pip a " * (LONG // 6), "conda env " * (LONG // 10)),
        *(" " * LONG, "\\\n" * (LONG // 2), "uv pip\n" * (LONG // 7), "if x; " * (LONG // 6)),
        *("#" * LONG, " #" * (LONG // 2), "a||" * (LONG // 3), ";" * LONG),
    ],
    ids=lambda text: repr(text[:10]),
)
def test_long_scripts_are_read_soon(script):
    data = {"engine": {"type": "GlobusComputeEngine", "provider": {"worker_init": script}}}
    with within(20):
        check_rules(Settings(data))


@pytest.mark.parametrize("name", ["image", "gres", "select_options", "max_mem", "walltime"])
@pytest.mark.parametrize("part", ["a:", "gpu:", "/", " ", "1", "gpu:a", "--gpus ", "--mount"])
def test_long_values_are_read_soon(name, part):
    text = part * (LONG // len(part)) + "/"
    provider = {"type": "KubernetesProvider", name: text}
    engine = {
        "type": "GlobusComputeEngine",
        "provider": provider,
        "container_type": "docker",
        "container_uri": text,
        "container_cmd_options": text,
    }
    with within(20):
        check_rules(Settings({"engine": engine}, needs=Needs(state_gb=1)))


def check_rules(subject):
    for rule in RULES.values():
        if rule.of_templates is isinstance(subject, Template):
            json.dumps([found.as_dict() for found in rule.check(subject)])


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "text",
    [
        *("{{ x }}" * (LONG // 7), "{{ x }}\n" * (LONG // 8), " " * LONG + "{{ x }}"),
        *("a: {{ x | default('1:1') }}\n" * (LONG // 30), "{% if x %}{% endif %}" * (LONG // 22)),
        *("a" * LONG + "{{ x }}", "{{ " + "x ~ " * (LONG // 4) + "x }}", "{{ " + "(" * LONG),
        "{{ " + "x." * (LONG // 2) + "x }}",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_long_templates_are_read_soon(text):
    schema = {"properties": {"x": {"type": "string"}}}
    with within(60):
        check_rules(Template("t", text, schema_text=json.dumps(schema), schema=schema))


def test_long_schemas_are_read_soon():
    schema = {"properties": {f"option{n}": {"type": "string"} for n in range(5000)}}
    text = json.dumps(schema, indent=2)
    with within(60):
        check_rules(Template("t", "x: 1", schema_text=text, schema=schema, has_schema=True))


@pytest.mark.parametrize("part", ["a: 1\n", "a: 1\nb: 2\n", "- x\n\n"])
def test_long_texts_are_aligned_soon(part):
    before, after = part * 20_000, part[::-1] * 20_000
    with within(60):
        assert len(after.splitlines()) == len(original_lines(before, after))


# Programs: what config.py may do, and what rendering may lead to

LIMIT = 3  # seconds: what reaches it, reaches any
# One of a kind is tried each time; all of them take minutes.
QUICK = ("never ends", "fails oddly", "leaves a process")
PROGRAMS = {
    "never ends": "while True: pass",
    "waits": "import time; time.sleep(1000)",
    "asks": "input()",
    "exits": "import sys; sys.exit(0)",
    "exits at once": "import os; os._exit(0)",
    "kills itself": "import os; os.kill(os.getpid(), 9)",
    "fails": "1 / 0",
    "fails oddly": "class E(Exception):\n  __str__ = None\nraise E()",
    "interrupts": "raise KeyboardInterrupt",
    "is no program": "]",
    "is nothing": "",
    "is something else": "config = 7",
    "recurses": "def f(): f()\nf()",
    "prints": "import sys\nwhile True: print('x' * 9999); print('x' * 9999, file=sys.stderr)",
    "takes memory": "x = bytearray(64 * 1024**3); x[:] = b'x' * len(x)",
    "takes memory slowly": "x = []\nwhile True: x.append(bytearray(10**8))",
    "fills the disk": "f = open('x', 'wb')\nwhile True: f.write(bytes(10**7))",
    "leaves a thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "leaves a process": "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', 'left-by-config'])",
    "catches signals": "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
    "while True: pass",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in PROGRAMS],
)
def test_any_program_is_a_finding(tmp_path, name):
    (tmp_path / "config.py").write_text(PROGRAMS[name])
    with within(60):
        [found] = check_endpoint(tmp_path, timeout=LIMIT)
    assert "GW003" == found.code
    assert found.reason.strip()
    left = [each for each in psutil.process_iter() if "left-by-config" in command(each)]
    _, alive = psutil.wait_procs(left, timeout=10)  # it was killed, and may still be ending
    assert [] == alive
    assert ["config.py"] == sorted(
        path.name for path in tmp_path.iterdir() if path.name != "__pycache__"
    )


CHECK = """
from pathlib import Path
from gc_warm.checks.endpoint import check_endpoint
check_endpoint(Path({!r}), timeout={})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["never ends", "waits", "catches signals"])
def test_a_config_does_not_outlive_who_checks_it(tmp_path, name):
    (tmp_path / "config.py").write_text(PROGRAMS[name])
    text = CHECK.format(str(tmp_path), LIMIT)
    with psutil.Popen([sys.executable, "-c", text]) as client, within(60):
        while not (started := client.children()):
            assert client.poll() is None
            time.sleep(0.01)
        client.kill()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert [] == alive


def command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.slow("what a program leaves is quick above")
def test_what_a_program_leaves_running_does_not_delay(tmp_path):
    (tmp_path / "config.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "from globus_compute_endpoint.endpoint.config import UserEndpointConfig\n"
        "from globus_compute_endpoint.engines import ProcessPoolEngine\n"
        "config = UserEndpointConfig(engine=ProcessPoolEngine(max_workers=1))\n"
    )
    with within(50):
        assert ["GW009"] == [each.code for each in check_endpoint(tmp_path, timeout=60)]


@pytest.mark.slow("each of them takes seconds; the test below tries one")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "{{ 9 ** 9 ** 9 }}",
            "{{ 'a' * 10 ** 9 }}",
            "{% for i in range(99999) %}{{ i }}{% endfor %}",
        ),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        *(
            "{% include 'x' %}",
            "{{ ''.__class__ }}",
            "{{ lipsum(n=9999) }}",
            "engine: {{ '\\ud800' }}",
        ),
    ],
)
def test_any_template_is_a_finding(tmp_path, text):
    (tmp_path / "t.yaml.j2").write_text(text)
    with within(60):
        found = check_endpoint(tmp_path / "t.yaml.j2", timeout=LIMIT)
    assert found
    assert all(each.reason.strip() for each in found)


def test_a_template_that_never_ends_says_so(tmp_path):
    loop = "{% for i in range(99999) %}"
    (tmp_path / "t.yaml.j2").write_text(f"{loop * 2}{'{% endfor %}' * 2}")
    [found] = check_endpoint(tmp_path / "t.yaml.j2", timeout=LIMIT)
    assert ("GW002", True) == (found.code, f"longer than {LIMIT} seconds" in found.reason)


def test_what_is_printed_cannot_steer_a_terminal(tmp_path):
    image = r"\x1b]0;owned\a\ud800"
    (tmp_path / "t.yaml").write_text(
        "engine: {type: GlobusComputeEngine, address: 127.0.0.1, provider: "
        f'{{type: KubernetesProvider, image: "{image}"}}}}\n'
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("gc-warm"), "check", tmp_path / "t.yaml"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode, done.stderr
    assert b"GW303" in done.stdout
    assert b"\x1b" not in done.stdout
    assert rb"\x1b]0;owned\x07\ud800" in done.stdout
