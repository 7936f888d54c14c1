"""The checker as a whole: what it says of files and folders, and that it never fails on them."""

import json
from pathlib import Path

import pytest

from gc_warm.checks.endpoint import LOADING, RULES, check_endpoint
from gc_warm.checks.reading import original_lines
from gc_warm.errors import UsageError

WARM = """\
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {{ workers | default(2) }}
  block_error_handler: false
  provider:
    type: LocalProvider
    min_blocks: 1
"""
SCHEMA = {
    "properties": {"workers": {"type": "integer", "minimum": 1, "maximum": 8}},
    "additionalProperties": False,
}


@pytest.fixture
def template(tmp_path):
    """A template with a schema. To check it starts one program; to check its folder, two."""
    path = tmp_path / "user_config_template.yaml.j2"
    path.write_text(WARM)
    path.with_name("user_config_schema.json").write_text(json.dumps(SCHEMA))
    return path


def codes(path, **options):
    return [
        (each.code, Path(each.file).name, each.line) for each in check_endpoint(path, **options)
    ]


def test_a_warm_folder_has_no_findings(template):
    template.with_name("config.yaml").write_text("display_name: mine\n")
    assert [] == codes(template.parent)


def test_a_finding_names_its_line_in_the_template(template):
    template.write_text(f"{{# about #}}\n{{% set y = 1 %}}\n{WARM}    max_blocks: 3\n")
    assert [("GW102", template.name, 3)] == codes(template)
    template.write_text(WARM.replace("min_blocks: 1", "min_blocks: 0"))
    assert [("GW101", template.name, 8)] == codes(template)


def test_all_findings_come_at_once(template):
    text = WARM.replace("min_blocks: 1", "min_blocks: 0").replace("false", "true")
    template.write_text(f"idle_heartbeats_soft: 10\n{text}")
    template.with_name("user_config_schema.json").unlink()
    assert {"GW101", "GW105", "GW111", "GW403"} == {code for code, _, _ in codes(template)}


def test_options_choose_what_is_rendered(template):
    template.write_text(
        WARM + "    {% if workers is defined and workers > 4 %}init_blocks: 0{% endif %}\n"
    )
    assert [] == codes(template)
    assert ["GW103"] == [code for code, *_ in codes(template, options={"workers": 5})]


def test_options_that_the_schema_refuses(template):
    assert ["GW005"] == [code for code, *_ in codes(template, options={"workers": 99})]


@pytest.mark.slow("loads many configs")
def test_without_the_options_that_it_demands_the_rest_is_checked(template):
    schema = {**SCHEMA, "properties": {"account": {"enum": ["m1"]}}, "required": ["account"]}
    template.with_name("user_config_schema.json").write_text(json.dumps(schema))
    text = WARM.replace("{{ workers | default(2) }}", "2").replace("min_blocks: 1", "min_blocks: 0")
    template.write_text(f"{text}    cmd_timeout: {{{{ account }}}}")
    assert ["GW004", "GW101"] == [code for code, *_ in codes(template)]
    assert "GW101" in [code for code, *_ in codes(template, options={"account": "m1"})]


@pytest.mark.slow("starts a loader")
def test_a_single_user_folder_is_checked_as_it_is(tmp_path):
    (tmp_path / "config.yaml").write_text("engine:\n  type: ThreadPoolEngine\n  max_workers: 2\n")
    expected = [("GW009", "config.yaml", 1), ("GW202", "config.yaml", 2)]
    assert expected == codes(tmp_path)


def test_python_is_loaded_and_checked(tmp_path):
    (tmp_path / "config.py").write_text(
        "from globus_compute_endpoint.endpoint.config import UserEndpointConfig\n"
        "from globus_compute_endpoint.engines import GlobusComputeEngine\n"
        "from parsl.providers import LocalProvider\n"
        "config = UserEndpointConfig(\n"
        "    idle_heartbeats_soft=10,\n"
        "    engine=GlobusComputeEngine(\n"
        "        address='127.0.0.1',\n"
        "        max_workers_per_node=2,\n"
        "        block_error_handler=False,\n"
        "        provider=LocalProvider(\n"
        "            min_blocks=0),\n"
        "    ),\n"
        ")\n"
    )
    assert [
        ("GW009", "config.py", 1),
        ("GW111", "config.py", 5),
        ("GW101", "config.py", 11),
    ] == codes(tmp_path)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("engine: [", "GW001"),
        ("- engine", "GW001"),
        ("a: b\n", "GW007"),
        ("engine: {type: NoSuchEngine}\n", "GW003"),
        ("engine: 7\n", "GW003"),
        ("engine: {type: GlobusComputeEngine, max_workers: x}\n", "GW003"),
    ],
)
def test_broken_yaml_is_a_finding(tmp_path, text, code):
    (tmp_path / "rendered.yaml").write_text(text)
    assert code in {found for found, *_ in codes(tmp_path / "rendered.yaml")}


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("engine: {{ }", "GW001"),
        ("engine: {{ missing }}\n", "GW002"),
        ("engine: {type: ThreadPoolEngine, label: {{ missing }}}\n", "GW202"),
        ("engine: {{ 1 / 0 }}\n", "GW002"),
        ("engine: {{ x | default('a: b: c') }}\n", "GW002"),
        ("engine: {{ ''.__class__.__mro__ }}\n", "GW002"),
        ("x: {{ 1 }}\n", "GW007"),
    ],
)
def test_broken_templates_are_findings(tmp_path, text, code):
    (tmp_path / "t.yaml.j2").write_text(text)
    assert code in {found for found, *_ in codes(tmp_path / "t.yaml.j2")}


@pytest.mark.quick(1)
@pytest.mark.parametrize("text", ["{", "[]x", '{"type": 7}', '{"properties": []}'])
def test_broken_schemas_are_findings(template, text):
    template.with_name("user_config_schema.json").write_text(text)
    assert {"GW001", "GW006"} & {code for code, *_ in codes(template)}


def test_what_this_machine_lacks_is_a_note(tmp_path):
    (tmp_path / "t.yaml").write_text(
        "engine: {type: GlobusComputeEngine, max_workers_per_node: 1, block_error_handler: false,"
        " address: {type: address_by_interface, ifname: none7}, provider: {type: LocalProvider,"
        " min_blocks: 1}}\n"
    )
    [found] = check_endpoint(tmp_path / "t.yaml")
    assert ("GW004", "note") == (found.code, str(found.severity))


def test_nothing_there_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="There is no"):
        check_endpoint(tmp_path / "nothing")


def test_an_empty_folder_is_a_finding(tmp_path):
    assert ["GW007"] == [code for code, *_ in codes(tmp_path)]


def test_every_rule_says_what_it_finds():
    for rule in RULES.values():
        assert rule.summary.endswith("."), rule
        assert rule.name
    assert not RULES.keys() & LOADING.keys()


def test_rendered_lines_are_found_in_their_template():
    template = "{% set x %}\nmoved: 1\n{% endset %}\na: {{ y }}\nb:\n  c: 1\n{{ x }}\n"
    assert [4, 5, 6, 2] == original_lines(template, "a: 7\nb:\n  c: 1\nmoved: 1\n")
