"""The check on a worker that it has the packages which a function requires.

The *text* of this module travels with functions that have ``requires=`` and is run there, before
their modules are imported. ``packaging`` is there: Globus Compute itself needs it.
"""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import Requirement

requires: list[str]  # set by what runs this


def lacking(wanted: list[str]) -> list[str]:
    """Return each requirement that is not met, with what is there instead."""
    found = []
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{text} (missing)")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{text} (it has {version})")
    return found


def advice(wanted: list[str]) -> str:
    """Return how an endpoint gets packages, as text."""
    quoted = " ".join(f"'{text}'" for text in wanted)
    lines = "\\n".join(wanted)
    return (
        f"On your own endpoint, install them in its worker_init:\n    pip install {quoted}\n"
        "On an endpoint with Globus Compute's default template, ask for them from the client:\n"
        f'    Executor(..., user_endpoint_config={{"requirements": "{lines}"}})'
    )


if __name__ != "gc_warm.shipping.presence" and (problems := lacking(requires)):  # noqa: F821
    from gc_warm.errors import RequirementError

    raise RequirementError(
        f"This worker lacks what the function requires: {', '.join(problems)}.\n{advice(requires)}"  # noqa: F821
    )
