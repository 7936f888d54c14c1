"""Registering functions: what is registered when, and what the manifest remembers."""

import datetime as dt
import importlib
import itertools
import json
import multiprocessing
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml

import gc_warm
from gc_warm.client.manifest import Entry, Manifest, Version
from gc_warm.client.registry import FunctionRegistry, registered
from gc_warm.errors import RegistryError, ShippingError, UnknownFunctionError, UsageError
from gc_warm.functions.counter import increase_count, reset_count
from gc_warm.shipping.payload import fingerprint

SOURCE = '''"""A user's module."""

from gc_warm import self_contained


@self_contained
def double(number):
    """Double a number."""
    return {factor} * number


def plain():
    return 1
'''


# A program that registers functions of its own with the real client.
REGISTERING = """
import sys
import globus_sdk
from globus_compute_sdk.sdk import client
from gc_warm.client.registry import FunctionRegistry
from gc_warm.functions.counter import increase_count

url, manifest, *names = sys.argv[1:]
client.get_web_service_url = lambda _: url
authorizer = globus_sdk.AccessTokenAuthorizer("token")
registry = FunctionRegistry(
    manifest, client=client.Client(authorizer=authorizer, do_version_check=False)
)
print("ready", flush=True)
sys.stdin.readline()
for name in names:
    print(registry.register(increase_count, name=name).function_id, flush=True)
"""


@pytest.fixture
def clock():
    seconds = itertools.count()
    start = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)
    return lambda: start + dt.timedelta(seconds=next(seconds))


@pytest.fixture
def registry(tmp_path, client, clock):
    return FunctionRegistry(tmp_path / "functions.json", client=client, clock=clock)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write a user's module, with a factor that can be changed."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(factor=2):
        (tmp_path / "doubling.py").write_text(SOURCE.format(factor=factor))
        sys.modules.pop("doubling", None)
        importlib.invalidate_caches()
        return importlib.import_module("doubling")

    yield write
    sys.modules.pop("doubling", None)


def test_registers_and_remembers(registry, service):
    done = registry.register(increase_count)
    assert (True, "it is new") == (done.changed, done.reason)
    assert [done.function_id] == list(service.functions)
    data = json.loads(registry.path.read_text())
    assert 1 == data["format"]
    entry = data["functions"]["increase_count"]
    assert "gc_warm.functions.counter:increase_count" == entry["target"]
    assert (done.function_id, "2026-01-02T03:04:05Z") == (entry["id"], entry["registered"])
    assert fingerprint(increase_count)[1] == entry["hash"]


def test_unchanged_source_is_not_registered_again(registry, service):
    first, second = registry.register(increase_count), registry.register(increase_count)
    assert not second.changed
    assert first.function_id == second.function_id
    assert 1 == len(service.functions)


def test_unchanged_source_needs_no_service(registry):
    """Nor is the function serialized: that is its client's work."""
    first = registry.register(increase_count)
    alone = FunctionRegistry(registry.path, client=object())
    assert first.entry == alone.register(increase_count).entry


def test_changed_source_gets_a_new_id_and_keeps_the_old(registry, project):
    old = registry.register(project(2).double)
    new = registry.register(project(3).double)
    assert "its source changed" == new.reason
    assert old.function_id != new.function_id
    assert (old.entry.current,) == registry["double"].history


def test_the_hash_does_not_know_where_the_source_is(tmp_path, project, monkeypatch):
    before = fingerprint(project(2).double)[1]
    monkeypatch.syspath_prepend(folder := tmp_path / "elsewhere")
    folder.mkdir()
    (folder / "doubling.py").write_text(SOURCE.format(factor=2))
    (tmp_path / "doubling.py").unlink()
    sys.modules.pop("doubling")
    importlib.invalidate_caches()
    moved = importlib.import_module("doubling")
    assert str(folder) in moved.__file__
    assert before == fingerprint(moved.double)[1]


def test_two_functions_of_a_module_are_apart(registry):
    assert fingerprint(increase_count)[1] != fingerprint(reset_count)[1]
    assert (
        registry.register(increase_count).function_id != registry.register(reset_count).function_id
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"public": True}, "who may run it changed"),
        ({"group": str(uuid.uuid4())}, "who may run it changed"),
        ({"description": "Other"}, "its description changed"),
        ({"again": True}, "it was asked for"),
    ],
)
def test_other_reasons_to_register_anew(registry, service, options, reason):
    registry.register(increase_count)
    done = registry.register(increase_count, **options)
    assert (True, reason) == (done.changed, done.reason)
    stored = service.functions[done.function_id]
    assert options.get("public") == stored.get("public")
    assert options.get("group") == stored.get("group")


def written_by(service, function_id):
    """Return the identifier of the strategy in what the service was given."""
    return service.functions[function_id]["function_code"].split("\n")[1]


def test_it_is_written_by_the_strategy_that_is_asked_for(registry, service):
    done = registry.register(increase_count, strategy="PureSourceTextInspect")
    assert ("st", "PureSourceTextInspect") == (
        written_by(service, done.function_id),
        registry["increase_count"].current.strategy,
    )


@pytest.mark.parametrize(("strategy", "identifier"), [(None, "01"), ("AllCodeStrategies", "12")])
def test_each_registration_has_its_own_strategy(registry, service, strategy, identifier):
    """The client's own is what it was, for others who use it."""
    registry.register(increase_count, strategy="PureSourceDill")
    done = registry.register(reset_count, strategy=strategy)
    assert identifier == written_by(service, done.function_id)


def test_a_strategy_stays_until_another_is_asked_for(registry, service, project):
    first = registry.register(project(2).double, strategy="PureSourceTextInspect")
    assert not registry.register(project(2).double).changed
    edited = registry.register(project(3).double)
    assert "st" == written_by(service, edited.function_id)
    back = registry.register(project(3).double, strategy="DillCode")
    assert "its strategy was PureSourceTextInspect" == back.reason
    assert "01" == written_by(service, back.function_id)
    history = registry["double"].history
    assert ["PureSourceTextInspect"] * 2 == [each.strategy for each in history]
    assert [edited.function_id, first.function_id] == [each.id for each in history]


def test_an_unknown_strategy_is_refused_with_the_known_ones(registry, service):
    with pytest.raises(UsageError, match=r"'Dill' is no serialization strategy .*PureSourceDill"):
        registry.register(increase_count, strategy="Dill")
    assert not service.functions


def test_allowed_functions_say_what_wrote_them(registry):
    registry.register(increase_count, strategy="PureSourceDill")
    assert "# increase_count, by PureSourceDill" in registry.allowed_functions()


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m"])
def test_a_name_must_be_printable(registry, name):
    with pytest.raises(UsageError, match="choose a printable name"):
        registry.register(increase_count, name=name)


def test_dry_run_needs_no_service_and_writes_nothing(tmp_path):
    registry = FunctionRegistry(tmp_path / "functions.json", client=object())
    done = registry.register(increase_count, dry_run=True)
    assert (True, "it is new") == (done.changed, done.reason)
    assert [] == list(tmp_path.iterdir())


def test_a_name_is_one_functions(registry):
    registry.register(increase_count, name="count")
    with pytest.raises(UsageError, match=r"belongs to gc_warm.functions.counter:increase_count"):
        registry.register(reset_count, name="count")


def test_what_is_not_self_contained_is_refused(registry, project):
    with pytest.raises(UsageError, match="Put @self_contained above it"):
        registry.register(project().plain)


def test_what_cannot_be_shipped_is_refused(registry, service):
    made = gc_warm.self_contained(eval("lambda: 1", {"__name__": "made_without_a_file"}))
    with pytest.raises(ShippingError):
        registry.register(made)
    assert not registry.path.exists()
    assert not service.functions


def test_public_and_group_exclude_each_other(registry):
    with pytest.raises(UsageError, match="not both"):
        registry.register(increase_count, public=True, group=str(uuid.uuid4()))


def test_registered_gives_the_id(registry):
    done = registry.register(increase_count)
    assert done.function_id == registered("increase_count", registry.path)
    assert done.function_id == gc_warm.registered("increase_count", registry.path)


def test_an_unknown_name_lists_those_that_there_are(registry):
    registry.register(increase_count)
    with pytest.raises(UsageError, match="no function 'count'; it has: increase_count"):
        registered("count", registry.path)


def test_allowed_functions_load_as_an_endpoint_config(registry):
    ids = [registry.register(each).function_id for each in (increase_count, reset_count)]
    assert {"allowed_functions": ids} == yaml.safe_load(registry.allowed_functions())
    assert {"allowed_functions": ids[1:]} == yaml.safe_load(
        registry.allowed_functions(["reset_count"])
    )


def test_no_functions_allow_none(registry):
    assert {"allowed_functions": []} == yaml.safe_load(registry.allowed_functions())


def versions(registry, project, count):
    return [registry.register(project(factor).double).function_id for factor in range(count)]


def test_prune_forgets_old_versions(registry, project, service):
    ids = versions(registry, project, 4)
    assert [ids[1], ids[0]] == [each.id for each in registry.prune(keep=1)]
    assert [ids[2]] == [each.id for each in registry["double"].history]
    assert set(ids) == set(service.functions)


def test_prune_deletes_from_the_service(registry, project, service, client):
    ids = versions(registry, project, 3)
    client.delete_function(ids[0])  # someone did already
    registry.prune(["double"], delete=True)
    assert [ids[2]] == list(service.functions)
    assert () == registry["double"].history


def test_prune_wants_names_that_there_are(registry):
    with pytest.raises(UsageError, match="no function 'x'"):
        registry.prune(["x"])


def test_verify_names_what_the_service_forgot(registry, client):
    done = registry.register(increase_count)
    registry.verify()
    client.delete_function(done.function_id)
    with pytest.raises(UnknownFunctionError, match=f"{done.function_id}.*--again"):
        registry.verify()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refuses your credentials.*it says no.*Log in again"),
        (403, "forbids it .403: it says no.*may exclude you"),
        (404, "the service refuses"),
        (429, "the service refuses"),
        (500, "the service refuses .500: it says no"),
    ],
)
def test_refusals_are_explained(registry, service, status, message):
    service.refusal = status
    with pytest.raises(RegistryError, match=message) as caught:
        registry.register(increase_count)
    assert not isinstance(caught.value, UnknownFunctionError)
    assert not registry.path.exists()


def test_a_refusal_leaves_what_was_registered(registry, service, project):
    old = registry.register(project(2).double)
    service.refusal = 500
    with pytest.raises(RegistryError):
        registry.register(project(3).double)
    assert {"double": old.entry} == registry.entries()


def test_no_network_is_explained(tmp_path, connect):
    nobody = connect("http://127.0.0.1:1")
    registry = FunctionRegistry(tmp_path / "f.json", client=nobody)
    with pytest.raises(RegistryError, match="does not answer"):
        registry.register(increase_count)
    assert not registry.path.exists()


def test_what_is_no_web_service_is_explained(registry, service):
    """A proxy's page, for example, instead of an answer."""
    service.refusal = 302
    with pytest.raises(RegistryError, match="Cannot register"):
        registry.register(increase_count)


class Failing:
    fx_serializer = None

    def register_function(self, *_, **__):
        raise ZeroDivisionError


def test_other_errors_are_not_hidden(tmp_path):
    registry = FunctionRegistry(tmp_path / "f.json", client=Failing())
    with pytest.raises(ZeroDivisionError):
        registry.register(increase_count)


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< HEAD\n{}",
        "[]",
        "{}",
        '{"format": 99, "functions": {}}',
        '{"format": 1, "functions": {"x": {"id": "no"}}}',
        '{"format": 1, "functions": {"x": 7}}',
    ],
)
def test_a_broken_manifest_is_left_alone(registry, text):
    registry.path.write_text(text)
    with pytest.raises(RegistryError):
        registry.register(increase_count)
    assert text == registry.path.read_text()


def entry(name):
    return Entry(name, f"m:{name}", Version(str(uuid.uuid4()), "h", "t"))


def add(path, start, names):
    start.wait()
    for name in names:
        with Manifest(path).changing() as entries:
            entries[name] = entry(name)


def test_two_at_once_lose_nothing(tmp_path):
    path = tmp_path / "functions.json"
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    names = [[f"f{worker}_{number}" for number in range(15)] for worker in range(4)]
    processes = [context.Process(target=add, args=(path, start, part)) for part in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(name for part in names for name in part) == sorted(Manifest(path).read())


@pytest.fixture
def start(tmp_path, service):
    """Start programs that register functions, once all of them are ready."""
    programs = []

    def begin(*lists_of_names):
        for names in lists_of_names:
            command = [sys.executable, "-c", REGISTERING, service.url, tmp_path / "f.json", *names]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            programs.append(subprocess.Popen(command, cwd=tmp_path, **pipes))
        for program in programs:
            assert "ready\n" == program.stdout.readline()
        for program in programs:
            program.stdin.write("go\n")
            program.stdin.flush()
        return programs

    yield begin
    for program in programs:
        program.kill()
        program.communicate()


def test_programs_that_register_at_once_lose_nothing(tmp_path, service, start):
    names = [[f"f{worker}_{number}" for number in range(5)] for worker in range(2)]
    printed = [program.communicate(timeout=100)[0].split() for program in start(*names)]
    known = {name: entry.current.id for name, entry in Manifest(tmp_path / "f.json").read().items()}
    chain = itertools.chain.from_iterable
    assert dict(zip(chain(names), chain(printed), strict=True)) == known
    assert set(service.functions) == set(known.values())


@pytest.mark.slow("starts two programs, as does the test above")
def test_programs_that_register_the_same_register_it_once(tmp_path, service, start):
    printed = [program.communicate(timeout=100)[0].split() for program in start(*[["f"]] * 2)]
    assert 1 == len(service.functions)
    assert [[*service.functions]] * 2 == printed


WRITING = """
import sys
from pathlib import Path
from gc_warm.client.manifest import Entry, Manifest, Version

manifest, start = Manifest(Path(sys.argv[1])), int(sys.argv[2])
history = (Version("12345678-1234-5678-1234-567812345678", "h" * 64, "t"),) * 200
for number in range(start, start + 100_000):
    with manifest.changing() as entries:
        entries[f"f{number % 50}"] = Entry(f"f{number % 50}", "m:f", history[0], history)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_readable_manifest(tmp_path):
    """Kill it in the middle, again and again: between two bytes, too."""
    path = tmp_path / "functions.json"
    last = 0
    for delay in range(4):
        command = [sys.executable, "-c", WRITING, path, str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            for _ in range(3 + delay):
                last = int(program.stdout.readline())
            program.kill()
            last = max([last, *map(int, program.stdout.read().split("\n")[:-1])])
        assert f"f{last % 50}" in Manifest(path).read()  # what it said it wrote is there
    with Manifest(path).changing(timeout=5) as entries:
        entries["after"] = entry("after")
    assert "after" in Manifest(path).read()
    assert {"functions.json", ".functions.json.lock"} == {each.name for each in tmp_path.iterdir()}


def test_an_error_leaves_the_manifest_as_it_was(tmp_path):
    path = tmp_path / "functions.json"
    with Manifest(path).changing() as entries:
        entries["a"] = entry("a")
    before = path.read_text()

    def fail():
        with Manifest(path).changing() as entries:
            entries["b"] = entry("b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert before == path.read_text()


def test_a_held_manifest_is_not_waited_for_forever(tmp_path):
    path = tmp_path / "functions.json"
    with (
        Manifest(path).changing(),
        pytest.raises(RegistryError, match="Another program has locked"),
        Manifest(path).changing(timeout=0.05),
    ):
        pass


def test_a_folder_that_is_not_there(tmp_path):
    with (
        pytest.raises(RegistryError, match="Cannot write"),
        Manifest(tmp_path / "none" / "f.json").changing(),
    ):
        pass


@pytest.mark.slow("starts an executor")
def test_local_executors_ids_differ_from_the_manifests(registry):
    """The id is the service's: an executor of this process runs it only if it registered it."""
    done = registry.register(increase_count)
    with gc_warm.LocalExecutor() as executor:
        executor.register_function(increase_count, done.function_id)
        future = executor.submit_to_registered_function(registered("increase_count", registry.path))
        assert 1 == future.result(timeout=60)["count"]


def test_without_credentials_the_error_says_how_to_get_them(tmp_path):
    """The real client, in a home without tokens and with nobody to ask."""
    script = "import sys; from gc_warm.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "register", "gc_warm.functions.counter:increase_count"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert "there are no credentials" in done.stderr
    assert "globus-compute-endpoint login" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "functions.json").exists()


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "command",
    [
        ["register", "gc_warm.functions.counter:increase_count"],
        ["submit", "gc_warm.functions.counter:increase_count", "--endpoint", str(uuid.UUID(int=1))],
        ["doctor"],
    ],
    ids=lambda each: each[0],
)
def test_an_environment_that_makes_no_sense_is_explained(tmp_path, command):
    done = subprocess.run(
        [Path(sys.executable).with_name("gc-warm"), *command],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "GLOBUS_SDK_ENVIRONMENT": "local",
            "GLOBUS_COMPUTE_CLIENT_ID": str(uuid.uuid4()),
            "GLOBUS_COMPUTE_CLIENT_SECRET": "secret",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert 'Unrecognized environment "local"' in done.stdout + done.stderr
    assert 'eval "$(gc-warm serve --env)"' in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_network_the_error_says_so(tmp_path):
    """The real client, behind a proxy at which nobody listens."""
    script = "import sys; from gc_warm.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "register", "gc_warm.functions.counter:increase_count"],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "GLOBUS_COMPUTE_CLIENT_ID": str(uuid.uuid4()),
            "GLOBUS_COMPUTE_CLIENT_SECRET": "secret",
            "HTTPS_PROXY": "http://127.0.0.1:1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=8,  # the SDK alone goes on trying for some 16 seconds
        check=False,
    )
    assert 1 == done.returncode
    assert "does not answer at https://compute.api.globus.org" in done.stderr
    assert "Traceback" not in done.stderr
