"""Every option of every sample: whatever a user gives, it is refused, or stays what it is.

An option that passes may change the settings it is meant for, and nothing beside them: no setting
appears, none vanishes, and no shell reads more than one word of it.
"""

import functools
import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_warm import endpoint_config

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
SCHEMAS = {
    path.parent.name: json.loads(path.read_text())
    for path in sorted(CONFIGS.glob("*/user_config_schema.json"))
}
OPTIONS = [(folder, name) for folder, schema in SCHEMAS.items() for name in schema["properties"]]
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


RUNTIME = functools.cache(endpoint_config.own_runtime)


def render(folder, options, *, schema=True):
    config = CONFIGS / folder
    return endpoint_config.render(
        config / "user_config_template.yaml.j2",
        config / "user_config_schema.json" if schema else None,
        options,
        runtime=RUNTIME(),
    )


def example(folder):
    return json.loads((CONFIGS / folder / "options.example.json").read_text())


def is_text(folder, name):
    return SCHEMAS[folder]["properties"][name]["type"] == "string"


TEXTS = [(folder, name) for folder, name in OPTIONS if is_text(folder, name)]

# Digits, says `\d`; no scheduler agrees.
ARABIC = "\u0660\u0661:\u0660\u0660:\u0660\u0660"
METACHARACTERS = st.sampled_from(
    [
        *("$(", ")", "`", ";", "&", "|", "<", ">", "\n", "\r", "\t", " ", "'", '"', "\\", "!", "#"),
        *(": ", "- ", "{", "}", "[", "]", "*a", "&a", "!!python/object:os.system", "%", "@", "|\n"),
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#SBATCH",
            "#PBS",
            "\0",
            "\x85",
            "\u2028",
            "\ufeff",
            "\x7f",
        ),
        *("null", "true", "1e3", "0x1f", "~", "---", "...", "..", "/", "$HOME", "-", "=", ",", "?"),
    ]
)
WORDS = st.from_regex(SAFE, fullmatch=True)
TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(METACHARACTERS | WORDS, max_size=6).map("".join),
    st.tuples(WORDS, METACHARACTERS, WORDS).map("".join),
    WORDS,
    st.sampled_from(["01:00:00", "00:00:00", "99:59:59", "1-00:00:00", "60", ARABIC]),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NUMBERS = st.integers(-5, 5000) | st.integers() | st.floats() | st.integers(1, 64).map(float)
MANY = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def interface(monkeypatch):
    monkeypatch.setenv("WORKER_INTERFACE", "lo")


def leaves(data, place=()):
    """Give the place and the value of each leaf; the places are what a config is made of."""
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        return {k: v for key, each in items for k, v in leaves(each, (*place, key)).items()}
    return {place: data}


@functools.cache
def settings_of_the_example(folder):
    return leaves(yaml.safe_load(render(folder, example(folder))))


def changed(folder, options, *, schema=True):
    """Return the settings that differ from the example's; no other may come or go."""
    before = settings_of_the_example(folder)
    after = leaves(yaml.safe_load(render(folder, options, schema=schema)))
    assert before.keys() == after.keys()
    return [value for place, value in after.items() if value != before[place]]


def threads_of(workers):
    """Return what `cpu_affinity` of pbs-gpu is for so many workers."""
    ranks = ["24-31,56-63", "16-23,48-55", "8-15,40-47", "0-7,32-39"]
    return ":".join(["list", *ranks[:workers]]) if workers <= len(ranks) else "none"


@pytest.mark.parametrize(("folder", "name"), OPTIONS)
def test_an_option_is_refused_or_stays_what_it_is(folder, name):
    @MANY
    @given(TEXT | ANYTHING | NUMBERS)
    def try_it(value):
        options = {**example(folder), name: value}
        try:
            values = changed(folder, options)
        except jsonschema.ValidationError:
            return
        if is_text(folder, name):
            assert SAFE.fullmatch(value)
            assert all(each == value or value in shlex.split(each)[1] for each in values)
            return
        says = SCHEMAS[folder]["properties"][name]
        assert says["minimum"] <= value <= says["maximum"]
        assert type(value) is not bool
        assert {int, str} >= {type(each) for each in values}
        follows = {int(value), f"ngpus={int(value)}", threads_of(int(value))}
        assert all(each in follows for each in values)

    try_it()


@pytest.mark.parametrize(("folder", "name"), TEXTS)
def test_text_is_quoted_even_without_its_schema(folder, name):
    """The schema is the first line; this is the second."""

    @MANY
    @given(TEXT.filter(lambda text: text.isprintable() and text.isascii()))
    def try_it(value):
        options = {**example(folder), name: value}
        for each in changed(folder, options, schema=False):
            is_script = each.startswith("export ")
            assert shlex.split(each)[1:] == [f"WARM_STATE={value}"] if is_script else each == value

    try_it()


@pytest.mark.parametrize("folder", SCHEMAS)
def test_unknown_options_are_refused(folder):
    known = SCHEMAS[folder]["properties"]

    @MANY
    @given(TEXT.filter(lambda name: name not in known), ANYTHING)
    def try_it(name, value):
        with pytest.raises(jsonschema.ValidationError):
            render(folder, {**example(folder), name: value})

    try_it()


@pytest.mark.parametrize(("folder", "name"), OPTIONS)
def test_what_the_schema_describes_is_accepted(folder, name):
    """It refuses nothing that it does not have to: each option's own values render, and load."""
    says = SCHEMAS[folder]["properties"][name]
    texts = ["x", "m0000_g", "a.b-c", "x" * 64] if "walltime" not in name else ["00:30:00"]
    texts = says.get("enum", texts)
    numbers = [says.get("minimum"), says.get("maximum")]
    for value in texts if is_text(folder, name) else numbers:
        text = render(folder, {**example(folder), name: value})
        assert value in leaves(yaml.safe_load(text)).values() or str(value) in text
