"""What docs/checks.md says of published configs is what the checker says of them.

The files in published/ say, in our words, what in those configs matters for warmth.
"""

import re
import shutil
from pathlib import Path

import globus_compute_endpoint.endpoint.config
import pytest

from gc_warm.checks.endpoint import check_endpoint

PUBLISHED = Path(__file__).parent / "published"
DOCS = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| [^|]*\(`(\w+\.yaml)`\) \| ([GW0-9, ]+) \|", DOCS, re.MULTILINE))


def codes(path):
    """Return what is found, without what only says that this machine is another."""
    return sorted({found.code for found in check_endpoint(path) if found.code != "GW004"})


def named(text):
    return sorted(re.findall(r"GW\d+", text))


def test_five_are_judged():
    assert 5 == len(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_table_says_what_the_checker_says(name):
    assert named(ROWS[name]) == codes(PUBLISHED / name)


def test_delta_with_a_name_in_its_place():
    [said] = re.findall(r"With a name in its place: ([^.]*)\.", DOCS)
    assert named(said) == codes(PUBLISHED / "delta-mended.yaml")


def test_kubernetes_with_what_its_comment_proposes(tmp_path):
    text = (PUBLISHED / "kube.yaml").read_text()
    (tmp_path / "kube.yaml").write_text(
        text.replace("{{ COMMAND }}", "pip install --force-reinstall globus-compute-endpoint")
    )
    assert {"GW209"} == set(codes(tmp_path / "kube.yaml")) - set(named(ROWS["kube.yaml"]))


def test_globus_computes_own_template(tmp_path):
    source = Path(globus_compute_endpoint.endpoint.config.__file__).parent
    for name in ("user_config_template.yaml.j2", "user_config_schema.json"):
        shutil.copy(source / name, tmp_path)
    [said] = re.findall(r"Globus Compute's own default template,.*?gets(.*?):", DOCS, re.DOTALL)
    assert named(said) == codes(tmp_path)
