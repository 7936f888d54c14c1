"""What docs/checks.md says of published configs is what the checker says of them.

published.yaml says, in our words, what in those configs matters for warmth, and what an
administrator would name in each.
"""

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import globus_compute_endpoint.endpoint.config
import pytest
import yaml

from gc_warm.checks.endpoint import check_endpoint

DOCS = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `([\w-]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \| [^|]* \|$", DOCS, re.MULTILINE
)
PUBLISHED = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))


def codes(path):
    """Return what is found, without what only says that this machine is another."""
    return {found.code for found in check_endpoint(path) if found.code != "GW004"}


def named(text):
    return set(re.findall(r"GW\d+", text))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the checker says of each; several at a time, since each takes a process."""
    folder = tmp_path_factory.mktemp("published")
    paths = []
    for name, says in PUBLISHED.items():
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(says["config"]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(PUBLISHED, pool.map(codes, paths), strict=True))


def test_the_table_has_all():
    assert list(PUBLISHED) == [name for name, *_ in ROWS]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_says_what_is_right_wrong_and_missed(name, found):
    wanted = named(PUBLISHED[name]["named"])
    [row] = [cells for row, *cells in ROWS if row == name]
    right, wrong, missed = map(named, row)
    assert (right, wrong, missed) == (
        found[name] & wanted,
        found[name] - wanted,
        wanted - found[name],
    )


def test_globus_computes_own_template(tmp_path):
    source = Path(globus_compute_endpoint.endpoint.config.__file__).parent
    for name in ("user_config_template.yaml.j2", "user_config_schema.json"):
        shutil.copy(source / name, tmp_path)
    [said] = re.findall(r"Globus Compute's own default template,.*?gets(.*?):", DOCS, re.DOTALL)
    assert named(said) == codes(tmp_path)
