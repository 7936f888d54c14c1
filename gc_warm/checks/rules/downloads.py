"""Rules about what each block downloads or builds again: environments, caches, images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gc_warm.checks.rules.rule import Settings, Trouble, Troubles, rule
from gc_warm.checks.rules.workers import CONTAINER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

# What takes minutes, or needs the network.
_COSTLY = re.compile(
    r"""(?x)
    \b(?:pip3?|pipx|uv\s+pip|uv|conda|mamba|micromamba|apt|apt-get|dnf|yum|npm|spack)
        \s+(?:\S+\s+)*?(?:install|create|sync|add|update)\b
    | \bconda\s+env\s+create\b
    | -m\s+(?:venv|virtualenv)\b | \b(?:virtualenv|uv\s+venv)\s
    | \bgit\s+clone\b
    | \b(?:curl|wget)\s
    | \b(?:docker|podman|apptainer|singularity)\s+(?:pull|build)\b
    | \b(?:huggingface-cli|hf)\s+download\b
    """
)
# What a command does stands at its beginning; to search all of a long one takes its square.
MAX_COMMAND = 2000
_OPENS = re.compile(r"^(?:if|case|elif)\b")
_CLOSES = re.compile(r"^(?:fi|esac)\b")
_DOCKER = {"docker", "podman", "podman-hpc"}
_APPTAINER = {"apptainer", "singularity"}
_BINDS = re.compile(r"(?:^|\s)(?:-v|--volume|--mount|-B|--bind)\b")
_NO_HOME = re.compile(r"--no-home\b|--contain(?:all)?\b|(?:^|\s)-[cC](?:\s|$)|--no-mount\b")
MAX_NAME = 1000
_TAG = re.compile(r"(?:^|/)[^/@]+(?::(?!latest$)[^/]+|@sha256:\w+)$")


@rule("GW209")
def environment_built_for_each_block(settings: Settings) -> Troubles:
    """`worker_init` installs or downloads in every block, before its workers start."""
    place = (*PROVIDER, "worker_init")
    script = settings.text(*place)
    for command in unguarded(script):
        yield Trouble(
            place,
            f"Every block runs `{command}` before it has workers; several at once may also spoil "
            "one another's environment.",
            'Do it only where it is missing: `if [ ! -e "$WORKER_ENV/.complete" ]; then ... fi`, '
            "as endpoint_configs/slurm-cpu does; or put it into the container's image.",
        )


def unguarded(script: str) -> Iterator[str]:
    """Yield each costly command that no condition guards, in the words of the script."""
    depth = 0
    for line in _logical_lines(script[:100_000]):
        for part in re.split(r";|(?<![&>])&(?![&>])", line):
            command = part.strip().lstrip("({").strip()
            command = re.sub(r"^(?:then|else|do)\s+", "", command)
            if _OPENS.match(command):
                depth += 1
                continue
            if _CLOSES.match(command):
                depth = max(0, depth - 1)
                continue
            if not depth and _is_costly(command):
                yield command if len(command) < 70 else command[:67] + "..."  # noqa: PLR2004


def _is_costly(command: str) -> bool:
    first, alternative, _ = command.partition("||")
    if alternative and re.match(r"\s*(?:\[|test\b|command -v|type\b|which\b)", first):
        return False  # only where something is missing
    return bool(_COSTLY.search(command[:MAX_COMMAND]))


def _logical_lines(script: str) -> Iterator[str]:
    """Yield lines without comments; those that end in a backslash are joined with the next."""
    joined = re.sub(r"\\\n\s*", "", script)
    for line in joined.splitlines():
        code = re.sub(r"(?:^|\s)#.*$", "", line).strip()
        if code:
            yield code


@rule("GW301")
def container_forgets_downloads(settings: Settings) -> Troubles:
    """Files that a build downloads stay in a container, and are gone with it."""
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
def container_is_fetched(settings: Settings) -> Troubles:
    """Each block fetches or converts the container's image again."""
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
def pod_is_fetched(settings: Settings) -> Troubles:
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
