"""Every sample config: rendered and loaded by the endpoint's own code, and its submit script."""

import functools
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
import yaml
from globus_compute_endpoint.endpoint.config import CoreEndpointConfig

from gc_warm import endpoint_config
from gc_warm.checks.endpoint import check_endpoint
from gc_warm.checks.engine import describe

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())
REQUIRED = {"slurm-gpu": "account", "pbs-gpu": "account"}
FILES = {
    "config.yaml",
    "user_config_template.yaml.j2",
    "user_config_schema.json",
    "user_environment.yaml",
    "options.example.json",
    "README.md",
}


class Kubernetes(BaseHTTPRequestHandler):
    """As much of Kubernetes' service as starting a pod takes: it says yes, and remembers."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.pods.append(json.loads(body))
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def kubernetes(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    server.pods = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [
            {"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "me", "user": {}}],
    }
    (tmp_path / "kube").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube"))
    location = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(location, str(tmp_path / "kube"))  # it is read at import
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def as_at_a_site(monkeypatch, request):
    monkeypatch.setenv("WORKER_INTERFACE", "lo")
    if "kubernetes" in request.node.nodeid and "refuses" not in request.node.nodeid:
        request.getfixturevalue("kubernetes")


RUNTIME = functools.cache(endpoint_config.own_runtime)


def render(folder, options):
    return endpoint_config.render(
        CONFIGS / folder / "user_config_template.yaml.j2",
        CONFIGS / folder / "user_config_schema.json",
        options,
        runtime=RUNTIME(),
    )


def example(folder):
    return json.loads((CONFIGS / folder / "options.example.json").read_text())


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_is_complete(folder):
    more = {"network-policy.yaml"} if folder == "kubernetes" else set()
    assert FILES | more == {path.name for path in (CONFIGS / folder).iterdir()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_loads_with_example_options(folder):
    settings = describe(endpoint_config.load_text(render(folder, example(folder))))
    written = yaml.safe_load(render(folder, example(folder)))["engine"]
    assert written["type"] == settings["engine"]["type"]
    if "provider" in written:
        assert written["provider"]["type"] == settings["engine"]["provider"]["type"]


@pytest.mark.parametrize("folder", sorted({*FOLDERS} - {*REQUIRED}))
def test_loads_with_no_options(folder):
    assert endpoint_config.load_text(render(folder, {})).engine is not None


@pytest.mark.parametrize(("folder", "option"), REQUIRED.items())
def test_names_the_option_that_is_missing(folder, option):
    with pytest.raises(jsonschema.ValidationError, match=f"{option!r} is a required property"):
        render(folder, {})


@pytest.mark.parametrize("folder", FOLDERS)
def test_core_config_loads(folder):
    core = endpoint_config.load_folder(CONFIGS / folder)
    assert isinstance(core, CoreEndpointConfig)
    assert core.display_name


def test_high_security_allows_no_function_unless_named():
    assert () == endpoint_config.load_folder(CONFIGS / "high-security").allowed_functions


MALICIOUS = [
    "$(touch /tmp/owned)",
    "`id`",
    "x; rm -rf ~",
    "x\n#SBATCH --wrap=id",
    "x\nworker_init: id",
    'x"\ntype: ThreadPoolEngine',
    "x' && id",
    "{{ 7 * 7 }}",
    "x y",
    "x\n",
    "",
    "-x",
    "../../x",
    "x" * 200,
]


def options_of(kind):
    for folder in FOLDERS:
        schema = json.loads((CONFIGS / folder / "user_config_schema.json").read_text())
        for name, says in schema["properties"].items():
            if says["type"] in kind:
                yield pytest.param(folder, name, id=f"{folder}-{name}")


@pytest.mark.parametrize(("folder", "name"), list(options_of({"string"})))
@pytest.mark.parametrize("value", MALICIOUS)
def test_schema_refuses_malicious_text(folder, name, value):
    with pytest.raises(jsonschema.ValidationError):
        render(folder, {**example(folder), name: value})


@pytest.mark.parametrize(("folder", "name"), list(options_of({"integer", "number"})))
@pytest.mark.parametrize("value", [0, -1, 10**9, "2", "2; id", None, [2], 1e308])
def test_schema_refuses_impossible_numbers(folder, name, value):
    with pytest.raises(jsonschema.ValidationError):
        render(folder, {**example(folder), name: value})


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", ["worker_init", "unknown", "max_blocks", "endpoint_setup"])
def test_schema_refuses_unknown_options(folder, name):
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        render(folder, {**example(folder), name: "x"})


@pytest.mark.parametrize("state", ["$(id)", "a'b", 'a"b', "a b", "a\nb", "`id`", "\\", "{{ x }}"])
def test_a_state_is_quoted_even_without_its_schema(state):
    """The schema is the first line; this is the second."""
    text = endpoint_config.render(
        CONFIGS / "warm-pool" / "user_config_template.yaml.j2", None, {"state": state}
    )
    script = yaml.safe_load(text)["engine"]["provider"]["worker_init"]
    shown = os.popen(f'{script}\nprintf %s "$WARM_STATE"').read()
    assert state == shown


@pytest.mark.quick(1)
@pytest.mark.parametrize("folder", FOLDERS)
def test_our_checker_finds_nothing(folder, monkeypatch, tmp_path):
    here = tmp_path / folder
    here.mkdir()
    for path in (CONFIGS / folder).iterdir():
        text = path.read_text()
        if path.name == "user_environment.yaml":  # the network that this machine has
            text = re.sub(r'WORKER_INTERFACE: ".*"', 'WORKER_INTERFACE: "lo"', text)
        (here / path.name).write_text(text)
    assert [] == [str(finding) for finding in check_endpoint(here)]


# What each one submits, as its provider writes it


@pytest.mark.parametrize("folder", sorted({*FOLDERS} - {"process-pool", "kubernetes"}))
def test_submit_script(folder, tmp_path, monkeypatch):
    engine = endpoint_config.load_text(render(folder, example(folder))).engine
    command = launch_command(engine, tmp_path)
    submit(engine.executor.provider, command, tmp_path, monkeypatch)
    written = (tmp_path / "scripts").iterdir()
    [script] = [path for path in written if path.suffix not in {".ec", ".out", ".err"}]
    compare(folder, script.read_text(), tmp_path)


def test_pod(kubernetes, tmp_path):
    engine = endpoint_config.load_text(render("kubernetes", example("kubernetes"))).engine
    engine.executor.provider.submit(launch_command(engine, tmp_path), 1, "block-0")
    [pod] = kubernetes.pods
    pod["metadata"].pop("name")
    pod["metadata"].get("labels", {}).pop("parsl-job-id", None)
    [container] = pod["spec"]["containers"]
    container.pop("name")
    compare("kubernetes", json.dumps(pod, indent=2, sort_keys=True) + "\n", tmp_path)


def launch_command(engine, folder):
    """Compose what a block runs, as `engine.start()` does."""
    executor = engine.executor
    executor.run_dir = engine.run_dir = str(folder)
    executor.cert_dir = "CERTIFICATES" if executor.encrypted else None
    executor.logconf_path, executor.worker_port = None, 54321
    executor.provider.script_dir = str(folder / "scripts")
    (folder / "scripts").mkdir()
    if engine.container_type:
        executor.launch_cmd = engine.containerized_launch_cmd()
    executor.initialize_scaling()
    return executor._get_launch_command("0")


def submit(provider, command, folder, monkeypatch):
    """Submit to schedulers that take everything."""
    programs = folder / "programs"
    programs.mkdir()
    for name, answer in {"sbatch": "Submitted batch job 1", "qsub": "1.pbs", "sacct": ""}.items():
        (programs / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (programs / name).chmod(0o755)
    if type(provider).__name__ == "LocalProvider":
        command = f"true {command}"  # it would run at once
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    provider.submit(command, 1, "block-0")


def compare(folder, text, run_dir):
    text = re.sub(r"^true ", "", text.replace(str(run_dir), "RUN_DIR"), flags=re.MULTILINE)
    text = re.sub(r"block-0\.\d+\.\d+", "block-0.TIME", text)
    golden = GOLDEN / f"{folder}.{'json' if folder == 'kubernetes' else 'sh'}"
    if os.environ.get("GC_WARM_WRITE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text
