"""The commands of the READMEs are run, and their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
FOLDERS = sorted(path.parent.name for path in (REPOSITORY / "endpoint_configs").glob("*/README.md"))
PAGES = [f"endpoint_configs/{name}/README.md" for name in FOLDERS]
PAGES += ["endpoint_configs/README.md", "docs/endpoints.md", "docs/checks.md"]


def read(page):
    return (REPOSITORY / page).read_text(encoding="utf-8")


@pytest.mark.quick(1)
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_command_configures_an_endpoint(folder, tmp_path):
    [block] = re.findall(
        r"^\$ (globus-compute-endpoint configure .*?)\n```",
        read(f"endpoint_configs/{folder}/README.md"),
        re.DOTALL | re.MULTILINE,
    )
    # Root would make an endpoint for many users, which wants more than these options.
    command = block.replace("configure ", "configure --multi-user false ", 1)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GLOBUS_COMPUTE_USER_DIR": str(tmp_path / "endpoints"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    made = tmp_path / "endpoints" / f"warm-{folder}"
    for name in ("user_config_template.yaml.j2", "user_config_schema.json"):
        assert (REPOSITORY / "endpoint_configs" / folder / name).read_text() == (
            made / name
        ).read_text()
    assert (made / "user_environment.yaml").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", read(page)):
        assert ((REPOSITORY / page).parent / link).exists(), link


@pytest.mark.parametrize("folder", FOLDERS)
def test_settings_named_are_in_the_template(folder):
    template = (
        REPOSITORY / "endpoint_configs" / folder / "user_config_template.yaml.j2"
    ).read_text()
    table = (
        read(f"endpoint_configs/{folder}/README.md").partition("|---|---|")[2].partition("\n\n")[0]
    )
    for setting in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE):
        if ":" in setting and not setting.startswith("no "):
            assert re.search(rf"^\s*{re.escape(setting)}\s*$", template, re.MULTILINE), setting


def test_docs_list_every_rule():
    from gc_warm.checks.endpoint import LOADING, RULES

    rows = dict(
        re.findall(r"^\| (GW\d+) \|.*\| ([^|]+?) \|$", read("docs/checks.md"), re.MULTILINE)
    )
    expected = {code: rule.summary for code, rule in RULES.items()} | LOADING
    assert expected == rows


def test_the_page_for_choosing_has_every_sample_once():
    rows = re.findall(
        r"^\| [^|]+ \| \[([\w-]+)\]", read("endpoint_configs/README.md"), re.MULTILINE
    )
    assert sorted(rows) == FOLDERS
