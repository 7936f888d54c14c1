"""Rules about containers: what a new one has to fetch again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gc_warm.checks.rules.rule import Settings, Trouble, rule
from gc_warm.checks.rules.workers import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCKER = {"docker", "podman", "podman-hpc"}
_APPTAINER = {"apptainer", "singularity"}
_BINDS = re.compile(r"(?:^|\s)(?:-v|--volume|--mount|-B|--bind)\b")
_NO_HOME = re.compile(r"--no-home\b|--contain(?:all)?\b|(?:^|\s)-[cC](?:\s|$)|--no-mount\b")
MAX_NAME = 1000
_TAG = re.compile(r"(?:^|/)[^/@]+(?::(?!latest$)[^/]+|@sha256:\w+)$")


@rule("GW301")
def container_forgets_downloads(settings: Settings) -> Iterator[Trouble]:
    """Files that a build downloads are inside a container, and gone with it."""
    kind = settings.text("engine", "container_type")
    options = settings.text(*CONTAINER)
    if kind not in _DOCKER | _APPTAINER or not settings.is_set("engine", "container_uri"):
        return
    if settings.provider == "KubernetesProvider":
        return  # a pod is its own container: the endpoint refuses both
    if _BINDS.search(options):
        return
    if kind in _APPTAINER and not _NO_HOME.search(options):
        return  # the home folder, where caches are, is the host's
    bind = "-v /a/folder:/cache" if kind in _DOCKER else "--bind /a/folder"
    yield Trouble(
        CONTAINER,
        "Each block starts a new container. What its workers download into a cache stays inside "
        "it, and the next block downloads it again.",
        f"Bind a folder of the host: add `{bind}` to `container_cmd_options`.",
    )


@rule("GW302")
def container_is_fetched(settings: Settings) -> Iterator[Trouble]:
    """Each block fetches or converts the container's image anew."""
    image = settings.text("engine", "container_uri")
    kind = settings.text("engine", "container_type")
    options = settings.text(*CONTAINER)
    if kind in _APPTAINER and "://" in image:
        yield Trouble(
            ("engine", "container_uri"),
            f"{image} is downloaded and converted where its cache is missing, as on a new node.",
            "Convert it once, `apptainer pull image.sif docker://...`, and name the file.",
        )
    elif kind in _DOCKER and re.search(r"--pull[= ]always", options):
        yield Trouble(
            CONTAINER,
            "`--pull always` asks the registry before every block.",
            "Leave `--pull always` out, and name a version of the image.",
        )


@rule("GW303")
def pod_is_fetched(settings: Settings) -> Iterator[Trouble]:
    """Each pod asks the registry for its image, because no version is named."""
    place = ("engine", "provider", "image")
    image = settings.text(*place)
    if settings.provider != "KubernetesProvider" or not image or _TAG.search(image[-MAX_NAME:]):
        return
    yield Trouble(
        place,
        f"{image} names no version, so Kubernetes asks the registry whenever a pod starts, and "
        "pods may run different code.",
        f"Name one: `image: {image.removesuffix(':latest')}:1.0`.",
    )
