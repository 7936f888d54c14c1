"""What the samples promise beyond being warm: which threads, ports, files and users."""

import inspect
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from parsl.executors import HighThroughputExecutor
from parsl.providers import KubernetesProvider

from gc_warm import endpoint_config

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
POLARIS = "list:24-31,56-63:16-23,48-55:8-15,40-47:0-7,32-39"


def rendered(folder, **options):
    config = CONFIGS / folder
    return yaml.safe_load(
        endpoint_config.render(
            config / "user_config_template.yaml.j2", config / "user_config_schema.json", options
        )
    )


@pytest.mark.parametrize(
    ("listed", "gpus", "bound"),
    [
        (None, 4, POLARIS),
        (None, 2, "list:24-31,56-63:16-23,48-55"),
        (None, 12, "none"),
        ("none", 4, "none"),
        ("list:0-7:8-15", 2, "list:0-7:8-15"),
    ],
)
def test_each_worker_has_the_threads_beside_its_gpu(monkeypatch, listed, gpus, bound):
    """Workers end at once where there are not as many lists as workers."""
    if listed:
        monkeypatch.setenv("WORKER_AFFINITY", listed)
    assert bound == rendered("pbs-gpu", account="a", gpus_per_node=gpus)["engine"]["cpu_affinity"]


def test_polaris_threads_are_both_of_each_core():
    """As ALCF lists them: 64 hardware threads, the one of a core being 32 above the other."""
    ranks = POLARIS.split(":")[1:]
    threads = [
        thread
        for rank in ranks
        for part in rank.split(",")
        for first, last in [map(int, part.split("-"))]
        for thread in range(first, last + 1)
    ]
    assert list(range(64)) == sorted(threads)
    environment = (CONFIGS / "pbs-gpu" / "user_environment.yaml").read_text()
    assert POLARIS == yaml.safe_load(environment)["WORKER_AFFINITY"]


def test_the_network_policy_opens_what_workers_use():
    [workers, endpoint] = yaml.safe_load_all(
        (CONFIGS / "kubernetes" / "network-policy.yaml").read_text()
    )
    [rule] = endpoint["spec"]["ingress"]
    [ports] = rule["ports"]
    used = inspect.signature(HighThroughputExecutor).parameters["worker_port_range"].default
    assert used == (ports["port"], ports["endPort"])
    [pods] = [each["podSelector"]["matchExpressions"] for each in rule["from"]]
    assert workers["spec"]["podSelector"]["matchExpressions"] == pods
    assert ["Ingress"] == workers["spec"]["policyTypes"]
    assert "ingress" not in workers["spec"]  # nothing is let in
    assert f'"{pods[0]["key"]}"' in inspect.getsource(KubernetesProvider)


def test_a_pull_secret_is_used(monkeypatch):
    assert rendered("kubernetes")["engine"]["provider"]["secret"] is None
    monkeypatch.setenv("WORKER_PULL_SECRET", "registry")
    assert "registry" == rendered("kubernetes")["engine"]["provider"]["secret"]


def test_pods_are_not_root():
    provider = rendered("kubernetes")["engine"]["provider"]
    assert (True, "1000", "1000") == tuple(
        provider[name] for name in ("run_as_non_root", "user_id", "group_id")
    )


def test_a_pool_that_is_not_listed_is_refused():
    with pytest.raises(jsonschema.ValidationError, match="is not one of"):
        rendered("warm-pool", state="large-modle")


def cache_script(monkeypatch, folder):
    monkeypatch.setenv("WORKER_CACHE", str(folder))
    return rendered("apptainer")["engine"]["provider"]["worker_init"]


@pytest.mark.parametrize(
    ("mode", "owner", "used"),
    [(None, 0, True), (0o700, 0, True), (0o777, 0, False), (0o755, 1, False)],
)
def test_a_cache_that_others_may_have_filled_is_refused(tmp_path, monkeypatch, mode, owner, used):
    if owner and os.getuid() != 0:
        pytest.skip("only root makes another user's folder")
    cache = tmp_path / "the cache"
    if mode is not None:
        cache.mkdir()
        cache.chmod(mode)
        os.chown(cache, 12345 if owner else -1, -1)
    sleep = tmp_path / "sleep"
    sleep.touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = cache_script(monkeypatch, cache) + "\necho starts\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert used is (done.stdout == "starts\n"), done.stderr
    if mode is None:
        assert 0o700 == cache.stat().st_mode & 0o777


def test_downloads_are_in_the_home_folder_unless_said():
    engine = rendered("apptainer")["engine"]
    assert ("--nv", "worker_init" in engine["provider"]) == (engine["container_cmd_options"], False)
