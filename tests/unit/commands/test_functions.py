"""``gc-warm register`` and ``gc-warm functions``: what they print, and how they exit."""

import json
import os
from pathlib import Path

import pytest
import yaml
from click.shell_completion import ShellComplete

from gc_warm.cli import commands
from gc_warm.client.manifest import Entry, Manifest, Version

ID = "3f0d7a54-9c1e-4d34-8f5b-0c6a2f6f1a11"
COUNT = "gc_warm.functions.counter:increase_count"
LOOKING = [["functions", name] for name in ("list", "prune", "allow")] + [
    ["functions", "show", "f"]
]


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "functions.json"
    old = Version(ID.replace("3", "4"), "g", "2026-01-01T00:00:00Z")
    now = Version(ID, "h", "2026-01-02T00:00:00Z", "PureSourceTextInspect")
    with Manifest(path).changing() as entries:
        entries["f"] = Entry("f", "m:f", now, (old,))
    return path


def test_register_dry_run(gc_warm, tmp_path):
    done = gc_warm("register", COUNT, "--dry-run")
    assert (0, f"{COUNT}: would be registered, because it is new\n", "") == done
    assert [] == list(tmp_path.iterdir())


def test_register_dry_run_says_what_would_write_it(gc_warm):
    done = gc_warm("register", COUNT, "--dry-run", "--strategy", "PureSourceDill", "--json")
    assert "PureSourceDill" == json.loads(done.out)[0]["strategy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "is not MODULE:FUNCTION"),
        (["no_such:x"], "Cannot import"),
        (["gc_warm.functions.counter:x"], "Cannot find"),
        (["os:getcwd"], "not self-contained"),
        (["a:b", "c:d", "--name", "x"], "--name is for one"),
        ([COUNT, "--name", ""], "cannot be called ''"),
        ([COUNT, "--name", "a\nb"], r"cannot be called 'a\nb'"),
        ([COUNT, "--name", "\x1b[31mred"], r"cannot be called '\x1b[31mred'"),
        ([COUNT, "--strategy", "JSONData"], "'JSONData' is not one of 'DillCode'"),
    ],
)
def test_register_of_wrong_usage(gc_warm, arguments, message):
    done = gc_warm("register", *arguments, "--dry-run")
    assert (2, True) == (done.code, message in done.err), done.err


def test_list_show_prune_and_allow(gc_warm, manifest):
    assert f"{ID}  f  m:f  PureSourceTextInspect  (1 older)\n" == gc_warm("functions", "list").out
    shown = json.loads(gc_warm("functions", "show", "f").out)
    assert ("f", ID, 1) == (shown["name"], shown["id"], len(shown["history"]))
    allowed = gc_warm("functions", "allow").out
    assert f"allowed_functions:\n  - {ID}  # f, by PureSourceTextInspect\n" == allowed
    assert "forgotten" in gc_warm("functions", "prune").out
    listed = json.loads(gc_warm("functions", "list", "--json").out)
    assert [] == listed["f"]["history"]


def test_show_of_an_unknown_name(gc_warm, manifest):
    done = gc_warm("functions", "show", "g")
    assert (2, True) == (done.code, "has no function 'g'; it has: f." in done.err)


@pytest.mark.parametrize("arguments", LOOKING, ids=lambda each: each[1])
def test_a_manifest_that_is_not_there(gc_warm, arguments):
    done = gc_warm(*arguments)
    assert (2, "") == done[:2]
    assert "There is no functions.json. gc-warm register makes it" in done.err


def test_an_empty_manifest_is_no_error(gc_warm, tmp_path):
    (tmp_path / "functions.json").write_text('{"format": 1, "functions": {}}')
    done = gc_warm("functions", "list")
    assert (0, "", "functions.json has no functions.\n") == done
    assert {"allowed_functions": []} == yaml.safe_load(gc_warm("functions", "allow").out)


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "fifo", "/dev/fd/0"])
@pytest.mark.parametrize("arguments", [*LOOKING, ["register", COUNT]], ids=lambda each: each[-1])
def test_what_is_no_regular_file_is_no_manifest(gc_warm, fifo, path, arguments):
    done = gc_warm(*arguments, "--manifest", path)
    assert (1, True) == (done.code, "it is no regular file" in done.err), done


@pytest.mark.parametrize("arguments", [*LOOKING, ["register", COUNT]], ids=lambda each: each[-1])
@pytest.mark.parametrize("path", ["x" * 5000, "a/" * 2500, "functions.json/f"])
def test_a_path_that_cannot_be(gc_warm, manifest, path, arguments):
    done = gc_warm(*arguments, "--manifest", path)
    assert done.code in {1, 2}
    assert 1 == done.err.count("Error:")


@pytest.mark.parametrize(
    "name", ["a\nallowed_functions: []", "\x1b[2J", "a\rb", "\u202eflip", "a\u2028b"]
)
@pytest.mark.parametrize("arguments", LOOKING, ids=lambda each: each[1])
def test_a_name_that_would_be_obeyed_is_shown_by_its_codes(gc_warm, manifest, name, arguments):
    data = json.loads(manifest.read_text())
    data["functions"][name] = data["functions"].pop("f")
    manifest.write_text(json.dumps(data))
    done = gc_warm(*arguments)
    assert (1, "") == done[:2]
    assert f"{name!r} is no printable text" in done.err
    assert done.err.rstrip("\n").isprintable()


# What the endpoint's workers may unpack

CODE = "globus_compute_sdk.serialize"
ALLOWED = {
    "none": "engine:\n  type: ThreadPoolEngine\n",
    "text": f"engine:\n  allowed_serializers:\n    # code\n    - {CODE}.PureSourceTextInspect\n\n"
    f"    - {CODE}.JSONData\n  max_workers: {{{{ workers }}}}\n",
    "pickle": f"engine: \n  allowed_serializers: [{CODE}.DillCode, '{CODE}.JSONData']\n",
    "wildcard": 'allowed_serializers:\n- "globus_compute_sdk.*Code"\n- globus_compute_sdk.*Data\n',
    "commented": f"allowed_serializers:\n  # - {CODE}.PureSourceTextInspect\n  - {CODE}.DillCode",
}


@pytest.mark.parametrize(
    ("template", "code"),
    [("none", 0), ("text", 0), ("pickle", 2), ("wildcard", 0), ("commented", 2)],
)
def test_allow_knows_what_workers_may_unpack(gc_warm, manifest, tmp_path, template, code):
    folder = tmp_path / "ep"
    folder.mkdir()
    (folder / "user_config_template.yaml.j2").write_text(ALLOWED[template])
    done = gc_warm("functions", "allow", "--endpoint-config", folder)
    assert (code, code == 0) == (done.code, done.out.startswith("allowed_functions:"))
    if code:
        assert "does not allow the strategies of f (by PureSourceTextInspect)" in done.err
        assert "It allows DillCode" in done.err
        assert 0 == gc_warm("functions", "allow").code
        assert "--strategy NAME" in done.err


@pytest.mark.parametrize("folder", [".", "no/such", "x" * 5000, "fifo"])
def test_allow_wants_a_folder_of_an_endpoint(gc_warm, manifest, fifo, folder):
    done = gc_warm("functions", "allow", "--endpoint-config", folder)
    assert (2, True) == (done.code, "has no user_config_template.yaml.j2" in done.err)


def test_the_samples_allow_what_their_engines_do(gc_warm, manifest):
    configs = Path(__file__).parents[3] / "endpoint_configs"
    codes = {
        folder.name: gc_warm("functions", "allow", "--endpoint-config", folder).code
        for folder in configs.iterdir()
        if folder.is_dir()
    }
    assert {0} == {*codes.values()}
    data = json.loads(manifest.read_text())
    data["functions"]["f"]["strategy"] = "DillCode"
    manifest.write_text(json.dumps(data))
    assert 2 == gc_warm("functions", "allow", "--endpoint-config", configs / "high-security").code


@pytest.mark.parametrize(("start", "names"), [("", ["f"]), ("f", ["f"]), ("g", [])])
@pytest.mark.parametrize("command", [["functions", "show"], ["functions", "prune"], ["submit"]])
def test_names_are_completed(gc_warm, manifest, command, start, names):
    completer = ShellComplete(commands, {}, "gc-warm", "_")
    assert names == [each.value for each in completer.get_completions(command, start)]
    manifest.write_text("nothing")
    assert [] == completer.get_completions(command, start)
