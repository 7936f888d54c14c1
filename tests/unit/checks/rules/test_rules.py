"""Each rule: what it finds, and what it lets pass."""

import json

import pytest
import yaml

from gc_warm.checks.endpoint import RULES, Needs
from gc_warm.checks.rules.blocks import walltime_seconds
from gc_warm.checks.rules.downloads import unguarded
from gc_warm.checks.rules.rule import Settings
from gc_warm.checks.rules.template import Template

LOCAL = "engine: {type: GlobusComputeEngine, provider: {type: LocalProvider}}"
SLURM = "engine: {type: GlobusComputeEngine, provider: {type: SlurmProvider}}"
THREADS = "engine: {type: ThreadPoolEngine}"
PROCESSES = "engine: {type: ProcessPoolEngine, max_workers: 2}"


def find(text, **needs):
    settings = Settings(yaml.safe_load(text), needs=Needs(**needs))
    found = [rule.check(settings) for rule in RULES.values() if not rule.of_templates]
    return {each.code for part in found for each in part}


def engine(provider="LocalProvider", within="", **settings):
    text = json.dumps(settings)
    return (
        f"engine: {{type: GlobusComputeEngine, provider: {{type: {provider}{within}}}, {text[1:]}"
    )


def options(provider, text, within="", **settings):
    return engine(provider, f"{within}, scheduler_options: {json.dumps(text)}", **settings)


def walltime(provider, value):
    return engine(provider, f", walltime: {json.dumps(value)}")


def launcher(name):
    return engine("SlurmProvider", f", nodes_per_block: 2, launcher: {{type: {name}}}")


NO_WALLTIMES = ("1-00:00:00", "10:00", "60", "12h", "1:2:3:4", "")
# Schedulers to which a block that had worked has not failed.
ORDERLY = ("Slurm", "PBSPro", "Torque", "GridEngine")
PINS = ", launcher: {type: SrunLauncher, overrides: --gpus-per-task=1 --gpu-bind=single:1}"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("GW101", LOCAL),
        ("GW101", engine(within=", min_blocks: 0")),
        ("GW102", engine(within=", min_blocks: 1, max_blocks: 4")),
        ("GW102", engine("KubernetesProvider", ", min_blocks: 1")),
        ("GW103", engine(within=", init_blocks: 0")),
        ("GW103", engine(within=", init_blocks: 1, min_blocks: 2")),
        ("GW104", engine(within=", max_blocks: 4", strategy="htex_auto_scale")),
        (
            "GW104",
            engine(within=", max_blocks: 4", job_status_kwargs={"strategy": "htex_auto_scale"}),
        ),
        ("GW105", LOCAL),
        ("GW105", engine(block_error_handler=True)),
        ("GW105", engine("LSFProvider")),
        ("GW105", engine("CondorProvider")),
        ("GW105", engine("KubernetesProvider", ", init_blocks: 1")),
        ("GW106", engine("SlurmProvider", block_error_handler=False)),
        ("GW106", engine("PBSProProvider", block_error_handler=False)),
        ("GW107", engine(strategy="none")),
        ("GW107", engine(job_status_kwargs={"strategy": None})),
        ("GW107", engine(within=", max_blocks: 0")),
        ("GW111", f"idle_heartbeats_soft: 10\n{LOCAL}"),
        ("GW111", f"idle_heartbeats_soft: 200\nheartbeat_period: 5\n{LOCAL}"),
        ("GW112", f"idle_heartbeats_soft: 10\nidle_heartbeats_hard: 12\n{LOCAL}"),
        ("GW113", engine(heartbeat_threshold=20)),
        ("GW113", engine(heartbeat_threshold=100, heartbeat_period=60)),
        ("GW121", SLURM),
        ("GW121", engine("SlurmProvider", ', walltime: "00:30:00"')),
        ("GW122", engine(drain_period=600)),
        ("GW201", "engine: {type: ProcessPoolEngine, max_tasks_per_child: 100}"),
        ("GW202", THREADS),
        ("GW203", LOCAL),
        ("GW203", "engine: {type: ProcessPoolEngine}"),
        ("GW204", engine(max_workers_per_node=8, available_accelerators=4)),
        ("GW204", engine(max_workers_per_node=3, available_accelerators=["0", "1"])),
        ("GW205", engine("SlurmProvider", ", gpus_per_node: 4", max_workers_per_node=4)),
        ("GW205", engine("SlurmProvider", ', scheduler_options: "#SBATCH --gpus-per-node=4"')),
        ("GW205", engine("SlurmProvider", ', gres: "gpu:a100:4"', max_workers_per_node=4)),
        ("GW205", engine("PBSProProvider", ', select_options: "ngpus=4"')),
        ("GW205", engine("KubernetesProvider", ', extra_limits: {nvidia.com/gpu: "2"}')),
        ("GW205", engine(container_type="docker", container_cmd_options="--gpus all")),
        ("GW205", options("SlurmProvider", "#SBATCH -G 4")),
        ("GW205", options("SlurmProvider", "#SBATCH -p gpu -G a100:4")),
        ("GW205", options("SlurmProvider", "#SBATCH --gpus=8", ", nodes_per_block: 2")),
        ("GW205", options("SlurmProvider", "#SBATCH --gres gpu:4")),
        ("GW205", options("LSFProvider", '#BSUB -gpu "num=4"')),
        ("GW206", engine("SlurmProvider", ", gpus_per_node: 4", available_accelerators=2)),
        ("GW208", engine(prefetch_capacity=10)),
        ("GW209", engine(within=', worker_init: "pip install torch"')),
        ("GW301", engine(container_type="docker", container_uri="x:1")),
        (
            "GW301",
            engine(
                container_type="apptainer", container_uri="x", container_cmd_options="--no-home"
            ),
        ),
        ("GW302", engine(container_type="apptainer", container_uri="docker://x:1")),
        ("GW302", engine(container_type="docker", container_cmd_options="--pull always")),
        ("GW303", engine("KubernetesProvider", ", image: python")),
        ("GW501", engine(strategy={"type": "SimpleStrategy"})),
        ("GW501", engine(strategy="SimpleStrategy")),
        ("GW501", engine(job_status_kwargs={"strategy": "htex"})),
        ("GW501", engine(job_status_kwargs={"max_idle_time": 60})),
        ("GW501", engine(job_status_kwargs={"max_idletime": "3600"})),
        *(("GW502", walltime("SlurmProvider", text)) for text in NO_WALLTIMES),
        *(("GW502", walltime("LSFProvider", text)) for text in NO_WALLTIMES),
        ("GW502", walltime("SlurmProvider", 36000)),
        ("GW502", walltime("PBSProProvider", "1-00:00:00")),
        ("GW503", engine("KubernetesProvider")),
        ("GW503", engine("KubernetesProvider", encrypted=True)),
        ("GW504", engine(within=", init_blocks: 0, max_blocks: 0")),
        ("GW504", engine(within=", init_blocks: 0", strategy="none")),
        ("GW504", "engine: {type: ProcessPoolEngine, max_workers: 0}"),
        ("GW505", engine("SlurmProvider", ", nodes_per_block: 2")),
        ("GW505", launcher("SimpleLauncher")),
        ("GW505", launcher("SingleNodeLauncher")),
        ("GW506", engine(cpu_affinity="list:0-3:4-7", max_workers_per_node=4)),
        ("GW506", engine(cpu_affinity="list:0-3:4-7", available_accelerators=4)),
        ("GW506", engine(cpu_affinity="list 0-3 4-7", max_workers_per_node=2)),
        ("GW506", engine(cpu_affinity="reverse", max_workers_per_node=2)),
        ("GW507", engine("SlurmProvider", encrypted=False)),
        ("GW303", engine("KubernetesProvider", ", image: 'python:latest'")),
        ("GW303", engine("KubernetesProvider", ", image: 'registry:5000/python'")),
    ],
)
def test_finds(code, text):
    assert code in find(text)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("GW101", engine(within=", min_blocks: 1")),
        ("GW101", engine(strategy="none")),
        ("GW101", engine(job_status_kwargs={"max_idletime": 3456000})),
        ("GW101", LOCAL.replace("provider", "job_status_kwargs: {max_idletime: .inf}, provider")),
        ("GW504", PROCESSES),
        ("GW101", PROCESSES),
        ("GW102", LOCAL),
        ("GW102", engine(within=", max_blocks: 4", job_status_kwargs={"max_idletime": 3600})),
        ("GW103", LOCAL),
        ("GW104", engine(strategy="htex_auto_scale")),
        ("GW105", engine(block_error_handler=False)),
        ("GW105", engine(within=", init_blocks: 2")),
        *(("GW105", engine(f"{name}Provider")) for name in ORDERLY),
        ("GW106", engine(block_error_handler=False)),
        ("GW106", engine("LSFProvider", block_error_handler=False)),
        ("GW106", engine("SlurmProvider")),
        ("GW107", LOCAL),
        ("GW107", engine(within=", init_blocks: 0", strategy="none")),
        ("GW111", LOCAL),
        ("GW111", f"idle_heartbeats_soft: 120\n{LOCAL}"),
        ("GW111", f"idle_heartbeats_soft: 0\n{LOCAL}"),
        ("GW112", f"idle_heartbeats_soft: 10\n{LOCAL}"),
        ("GW113", LOCAL),
        ("GW121", LOCAL),
        ("GW121", engine("SlurmProvider", ', walltime: "01:00:00"')),
        ("GW121", engine("CondorProvider", ', walltime: "00:10:00"')),
        ("GW121", engine("AWSProvider", ', walltime: "00:10:00"')),
        ("GW122", engine("SlurmProvider", ', walltime: "10:00:00"', drain_period=35000)),
        ("GW201", PROCESSES),
        ("GW202", LOCAL),
        ("GW203", engine(max_workers_per_node=2)),
        ("GW203", engine(mem_per_worker=8)),
        ("GW203", engine("SlurmProvider", ", cores_per_node: 1")),
        ("GW203", LOCAL.replace("GlobusComputeEngine", "GlobusMPIEngine")),
        ("GW204", engine(max_workers_per_node=4, available_accelerators=4)),
        ("GW205", engine("SlurmProvider", ", gpus_per_node: 4", available_accelerators=4)),
        ("GW205", engine("SlurmProvider", ", gpus_per_node: 1", max_workers_per_node=1)),
        ("GW205", options("SlurmProvider", "# --gpus-per-node=4 for others")),
        ("GW205", options("SlurmProvider", "#SBATCH --gpus-per-node=4", PINS)),
        (
            "GW205",
            options(
                "SlurmProvider", "#SBATCH --gpus-per-node=4", ", worker_init: 'vllm serve x &'"
            ),
        ),
        (
            "GW205",
            options("SlurmProvider", "#SBATCH -G 4", ", worker_init: 'CUDA_VISIBLE_DEVICES=1 x &'"),
        ),
        ("GW206", engine("SlurmProvider", ", gpus_per_node: 4", available_accelerators=4)),
        (
            "GW206",
            options(
                "SlurmProvider", "#SBATCH -G 8", ", nodes_per_block: 2", available_accelerators=4
            ),
        ),
        ("GW208", engine(prefetch_capacity=0)),
        ("GW209", engine(within=', worker_init: "source env/bin/activate"')),
        (
            "GW301",
            engine(container_type="docker", container_uri="x:1", container_cmd_options="-v /a:/b"),
        ),
        ("GW301", engine(container_type="apptainer", container_uri="x.sif")),
        ("GW301", engine("KubernetesProvider", container_type="docker")),
        ("GW301", engine("KubernetesProvider", container_type="docker", container_uri="x:1")),
        ("GW205", engine("PBSProProvider", ', select_options: "ngpus=4"', max_workers_per_node=1)),
        ("GW302", engine(container_type="apptainer", container_uri="/images/x.sif")),
        ("GW303", engine("KubernetesProvider", ", image: 'python:3.12'")),
        ("GW303", engine("KubernetesProvider", ", image: 'registry:5000/python:3.12'")),
        *(("GW501", engine(strategy=how)) for how in ("simple", "htex_auto_scale", "none")),
        ("GW501", engine(strategy=None, job_status_kwargs={"strategy": None})),
        ("GW501", engine(job_status_kwargs={"max_idletime": 60, "strategy_period": 2})),
        ("GW502", walltime("SlurmProvider", "100:00:00")),
        ("GW502", walltime("PBSProProvider", 3456000)),
        ("GW502", walltime("CondorProvider", "1-00:00:00")),
        ("GW503", engine("KubernetesProvider", encrypted=False)),
        ("GW503", engine("SlurmProvider")),
        ("GW504", engine(within=", init_blocks: 0")),
        ("GW505", launcher("SrunLauncher")),
        ("GW505", launcher("SimpleLauncher").replace("GlobusComputeEngine", "GlobusMPIEngine")),
        ("GW505", engine("KubernetesProvider", ", nodes_per_block: 2")),
        ("GW506", engine(cpu_affinity="list:0-3,8:4-7", max_workers_per_node=2)),
        ("GW506", engine(cpu_affinity="block-reverse", max_workers_per_node=2)),
        ("GW506", engine(cpu_affinity="list:0-3:4-7")),
        ("GW507", engine("KubernetesProvider", encrypted=False)),
        ("GW507", engine("SlurmProvider", encrypted=True)),
    ],
)
def test_lets_pass(code, text):
    assert code not in find(text)


@pytest.mark.parametrize(
    ("text", "state_gb", "found"),
    [
        (engine(mem_per_worker=8), 14, True),
        (engine(mem_per_worker=16), 14, False),
        (engine("SlurmProvider", ", mem_per_node: 64", max_workers_per_node=8), 14, True),
        (engine("SlurmProvider", ", mem_per_node: 128", max_workers_per_node=8), 14, False),
        (engine("KubernetesProvider", "", max_workers_per_node=1), 14, True),
        (engine("KubernetesProvider", ", max_mem: 16Gi", max_workers_per_node=1), 14, False),
        (engine("SlurmProvider", ", mem_per_node: 1", max_workers_per_node=8), None, False),
    ],
)
def test_states_fit_into_memory(text, state_gb, found):
    assert found is ("GW207" in find(text, state_gb=state_gb))


def test_a_longer_pause_asks_for_more():
    text = f"idle_heartbeats_soft: 120\n{LOCAL}"
    assert "GW111" in find(text, pause=24 * 3600)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("01:30:00", 5400),
        ("1-00:00:00", None),
        ("10:00", None),
        ("30", None),
        (36000, 36000),
        ("later", None),
        (None, None),
        (True, None),
    ],
)
def test_walltimes_are_read_as_parsl_reads_them(text, seconds):
    assert seconds == walltime_seconds(text)


@pytest.mark.parametrize(
    "script",
    [
        "pip install torch",
        "module load conda; conda create -n x python=3.12",
        "python3 -m venv /tmp/x",
        "uv venv x",
        "uv pip install torch",
        "git clone https://example.org/x",
        "curl -LO https://example.org/model",
        "singularity pull x.sif docker://x",
        "source x &&\\\n  pip install torch",
        "if true; then echo; fi; pip install torch",
    ],
)
def test_what_every_block_would_do_again(script):
    assert 1 == len(list(unguarded(script)))


@pytest.mark.parametrize(
    "script",
    [
        "source env/bin/activate",
        "# pip install torch",
        "[ -d env ] || python3 -m venv env",
        "test -e env || { python3 -m venv env; }",
        "if [ ! -d env ]; then\n  python3 -m venv env\n  env/bin/pip install torch\nfi",
        "module load conda\nconda activate base",
        "",
    ],
)
def test_what_only_the_first_block_does(script):
    assert [] == list(unguarded(script))


# Templates


def look(text, schema=None):
    template = Template(
        "t.yaml.j2",
        text,
        schema_text=json.dumps(schema) if schema else "",
        schema=schema,
        has_schema=schema is not None,
    )
    assert not template.failure
    found = [rule.check(template) for rule in RULES.values() if rule.of_templates]
    return {each.code for part in found for each in part}


def closed(**properties):
    return {"properties": properties, "additionalProperties": False}


NAME = {"type": "string", "pattern": "^[a-z]+$"}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "maximum": 4}


@pytest.mark.parametrize(
    ("code", "text", "schema"),
    [
        ("GW401", "x: {{ user_runtime.python.version }}", closed()),
        ("GW401", "{% set r = _GC.user_runtime %}x: 1", closed()),
        ("GW401", "{% set r = _GC['user_runtime'] %}x: 1", closed()),
        ("GW402", "x: {{ x }}", closed(x={"type": "string"})),
        ("GW402", "x: {{ x }}", closed(x={"type": "integer", "minimum": 1})),
        ("GW402", "x: {{ x }}", closed(x={})),
        ("GW402", "x: {{ x }}", closed(x={"type": "array"})),
        ("GW402", "x: {{ x }}", closed(x={"type": ["string", "null"]})),
        ("GW403", "x: {{ x }}", None),
        ("GW404", "x: {{ x }}", {"properties": {"x": NAME}}),
        ("GW404", "x: {{ x }}", {"properties": {"x": NAME}, "additionalProperties": True}),
        ("GW405", "x: 1", closed(x=NAME)),
        ("GW411", "walltime: {{ x | default('10:00:00') }}", closed(x=NAME)),
        ("GW412", 'x: "{{ x }}"', closed(x=NAME)),
        ("GW412", "x: '{{ x }}'", closed(x=NAME)),
        ("GW413", "s: |\n  conda activate {{ x }}\n", closed(x={"type": "string"})),
        ("GW413", "s: conda activate {{ x }}", None),
        ("GW413", "s: module load {{ x | join(' ') }}", closed(x={"type": "array"})),
        ("GW413", "s: |\n  if [ {{ x }} ]; then", None),
        ("GW414", "x: {{ _GC.mapped_identity.local.uname }}", closed()),
        ("GW414", "x: {{ _GC.env['HOME'] }}", closed()),
    ],
)
def test_finds_in_templates(code, text, schema):
    assert code in look(text, schema)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("x: {{ x }}", closed(x=NAME)),
        ("x: {{ x | default('\"10:00:00\"') }}", closed(x=NAME)),
        ("x: {{ x | default('null') }}", closed(x=NAME)),
        ("x: {{ x | default(4) }}", closed(x=COUNT)),
        ("x: 'gpus={{ x }}'", closed(x=COUNT)),
        ('x: "{{ (x | shell_escape)[1:-1] }}"', closed(x=NAME)),
        ('x: "export A={{ (x | shell_escape)[1:-1] }}"', closed(x=NAME)),
        ("x: {{ _GC.env.HOME | tojson }}", closed()),
        ("x: {{ x }}", closed(x={"enum": ["a", "b"]})),
        ("x: {{ x }}  # e.g., debug", closed(x=TEXT)),
        ("x: [{{ x }}]", closed(x=TEXT)),
        ("x: [home, {{ x }}, scratch]", closed(x=TEXT)),
        ("x: [{{ x | join(', ') }}]", closed(x={"type": "array", "items": TEXT, "maxItems": 2})),
        ("o: |\n  +ProjectName = {{ x }}\n  Requirements = True\n", closed(x=TEXT)),
        ("{% for i in range(3) %}x{{ i }}: 1\n{% endfor %}", closed()),
        ("{% set y = x | default(1) %}x: {{ y }}", closed(x=COUNT)),
    ],
)
def test_lets_templates_pass(text, schema):
    assert set() == look(text, schema) - {"GW402"}


def test_a_queue_for_trying_out_is_named():
    text = engine("SlurmProvider", ", partition: debug")
    [found] = RULES["GW121"].check(Settings(yaml.safe_load(text)))
    assert "another partition than 'debug'" in found.fix
