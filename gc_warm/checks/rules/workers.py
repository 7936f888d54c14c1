"""Rules about the workers themselves: how many, on which accelerators, for how long."""

from __future__ import annotations

import re

from gc_warm.checks.rules.rule import Place, Settings, Severity, Trouble, Troubles, rule

# A node's cores, where it is not said; and how many workers are a surprise, but no accident.
MANY = 64
FEW = 5
WORKERS = ("engine", "max_workers_per_node")


def gpus(settings: Settings) -> tuple[int, Place]:
    """Return how many GPUs a node is asked for, and where that stands; 1 if it is not said."""
    if (count := settings.number(*PROVIDER, "gpus_per_node", default=0)) >= 1:
        return int(count), (*PROVIDER, "gpus_per_node")
    nodes = max(1, int(settings.number(*PROVIDER, "nodes_per_block", default=1)))
    for name in ("gres", "select_options", "scheduler_options"):
        place = (*PROVIDER, name)
        text = "\n".join(line for line in settings.text(*place).splitlines() if _is_read(line))
        if found := _GPUS.search(text):
            return int(found[1] or 1), place
        if found := _GPUS_OF_JOB.search(text):
            return max(1, int(found[1] or 1) // nodes), place
    for name in ("extra_limits", "extra_requests"):
        limits = settings.get(*PROVIDER, name, default={})
        for key, value in limits.items() if isinstance(limits, dict) else ():
            if "gpu" in str(key)[:99].lower() and (count := _whole(value)):
                return count, (*PROVIDER, name)
    if re.search(r"--nv\b|--rocm\b|--gpus\b|\bnvidia\b", settings.text(*CONTAINER)):
        return 1, CONTAINER
    return 0, ()


def _is_read(line: str) -> bool:
    """Return whether a scheduler reads a line, which may be one of its directives or a comment."""
    return not re.match(r"\s*#(?!SBATCH|PBS|BSUB|\$)", line)


def pinned_otherwise(settings: Settings) -> bool:
    """Return whether something else chooses GPUs: the launcher, or a server that has them."""
    if _BINDS_GPUS.search(settings.text(*PROVIDER, "launcher", "overrides")[:4000]):
        return True
    return bool(_HAS_GPUS.search(settings.text(*PROVIDER, "worker_init")[:100_000]))


def _whole(value: object) -> int:
    """Return a small whole number that is a number or text; 0 for all else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
        return int(value)
    return value if type(value) is int and 0 < value < 10**6 else 0


# For each node: what Slurm, PBS and LSF call it, with the kind of GPU where it is said.
_GPUS = re.compile(
    r"(?:--gpus-per-(?:node|task)[= ]|gres[=:/ ]gpu:?|^gpu:|ngpus=|-gpu\s+[\"']?num=)"
    r"(?:[a-z][\w.-]*:)?(\d{1,4})?",
    re.IGNORECASE | re.MULTILINE,
)
_GPUS_OF_JOB = re.compile(r"(?:--gpus[= ]|\s-G\s*)(?:[a-z][\w.-]*:)?(\d{1,4})?", re.IGNORECASE)
_BINDS_GPUS = re.compile(r"--gpu-bind|--gpus-per-task|gpu_affinity|VISIBLE_DEVICES")
_HAS_GPUS = re.compile(
    r"(?:CUDA_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES|HIP_VISIBLE_DEVICES|ZE_AFFINITY_MASK)="
    r"|\b(?:tritonserver|vllm\s+serve|vllm\.entrypoints|ollama\s+serve|llama-server|sglang)\b"
)
PROVIDER = ("engine", "provider")
CONTAINER = ("engine", "container_cmd_options")


@rule("GW201")
def workers_end_after_tasks(settings: Settings) -> Troubles:
    """Workers end after a number of tasks, and so does what they keep."""
    place = ("engine", "max_tasks_per_child")
    if not settings.is_set(*place) or settings.engine != "ProcessPoolEngine":
        return
    count = f"{settings.number(*place, default=1):g}"
    yield Trouble(
        place,
        f"Each worker ends after {count} tasks, so every {count} tasks build again.",
        "Leave `max_tasks_per_child` out.",
    )


@rule("GW202")
def threads_share_a_process(settings: Settings) -> Troubles:
    """Tasks run in threads of one process, whose state they share."""
    if settings.engine != "ThreadPoolEngine":
        return
    yield Trouble(
        ("engine", "type"),
        "ThreadPoolEngine runs tasks in threads of the endpoint's own process. They share its "
        "working folder, environment variables and module state; code that is not thread-safe "
        "breaks, and a crash ends the endpoint.",
        "Set `type: ProcessPoolEngine` with `max_workers: 1` or more.",
    )


@rule("GW203")
def worker_for_each_core(settings: Settings) -> Troubles:
    """There is a worker for each core, and each builds a state of its own."""
    if settings.engine == "ProcessPoolEngine":
        if not settings.is_set("engine", "max_workers"):
            yield _for_each_core("max_workers")
    elif (
        settings.has_workers
        and not settings.is_set(*WORKERS)
        and not settings.accelerators
        and not settings.is_set("engine", "max_workers")  # meant so, and refused when it loads
        and not settings.is_set("engine", "mem_per_worker")
        and _workers_for_cores(settings) >= FEW
    ):
        yield _for_each_core("max_workers_per_node")


def _workers_for_cores(settings: Settings) -> float:
    """Return how many workers a node has cores for, if it has many unless it is said."""
    cores = settings.number(*PROVIDER, "cores_per_node", default=MANY)
    return cores / max(1e-9, settings.number("engine", "cores_per_worker", default=1))


def _for_each_core(name: str) -> Trouble:
    return Trouble(
        ("engine",),
        f"Without `{name}` there are as many workers as cores, and each builds, and holds, a "
        "state of its own.",
        f"Set `{name}` under `engine` to how many states fit into memory together.",
    )


@rule("GW204", Severity.ERROR)
def more_workers_than_accelerators(settings: Settings) -> Troubles:
    """More workers are asked for than there are accelerators to pin them to."""
    workers = settings.number(*WORKERS, default=0)
    count = settings.accelerators
    if not settings.has_workers or not count or workers <= count:
        return
    yield Trouble(
        WORKERS,
        f"{workers:g} workers are asked for, but each gets an accelerator of its own and only "
        f"{count} are listed: only {count} workers start.",
        f"Set `max_workers_per_node: {count}`, or list more in `available_accelerators`.",
    )


@rule("GW205")
def workers_share_accelerators(settings: Settings) -> Troubles:
    """Workers are not pinned to accelerators: all of them use the first."""
    count, where = gpus(settings)
    workers = settings.number(*WORKERS, default=2)
    if not settings.has_workers or not count or settings.accelerators:
        return
    if workers <= 1 or pinned_otherwise(settings):
        return  # one may use all of them
    yield Trouble(
        where,
        f"{'GPUs are' if count > 1 else 'A GPU is'} asked for, but workers are not pinned: each "
        "sees what all see, and every one loads its state onto the first.",
        f"Set `available_accelerators: {count}` under `engine`.",
    )


@rule("GW206")
def accelerators_idle(settings: Settings) -> Troubles:
    """More GPUs are asked for than there are workers for."""
    count, where = gpus(settings)
    pinned = settings.accelerators
    workers = min(settings.number(*WORKERS, default=pinned or count), pinned or count)
    if not settings.has_workers or not pinned or workers >= count:
        return
    yield Trouble(
        where,
        f"{count} GPUs are asked for on each node, and {workers:g} workers are pinned to one "
        "each: the rest stays idle.",
        f"Set `available_accelerators: {count}` and `max_workers_per_node: {count}`.",
    )


@rule("GW207", Severity.ERROR)
def states_exceed_memory(settings: Settings) -> Troubles:
    """The states of a node's workers do not fit into its memory (with ``--state-gb``)."""
    state = settings.needs.state_gb
    if state is None:
        return
    yield from _worker_memory(settings, state)
    yield from _node_memory(settings, state)


def _worker_memory(settings: Settings, state: float) -> Troubles:
    place = ("engine", "mem_per_worker")
    memory = settings.number(*place, default=0)
    if settings.has_blocks and 0 < memory < state:
        yield Trouble(
            place,
            f"A worker is planned with {memory:g} GB, less than its state's {state:g}: more "
            "workers start than fit.",
            f"Set `mem_per_worker: {state:g}` or more.",
        )


def _node_memory(settings: Settings, state: float) -> Troubles:
    count = "max_workers" if settings.engine == "ProcessPoolEngine" else WORKERS[-1]
    workers = settings.number("engine", count, default=1)
    if settings.accelerators:
        workers = min(workers, settings.accelerators)
    memory, place = node_memory(settings)
    if memory and workers * state > memory:
        yield Trouble(
            place,
            f"{workers:g} workers with {state:g} GB each need {workers * state:g} GB, and there "
            f"are {memory:g}: workers are killed while they build.",
            f"Set `{count}: {int(memory // state) or 1}`, or ask for more memory.",
        )


def node_memory(settings: Settings) -> tuple[float, Place]:
    """Return a node's memory in GB and where that stands; 0 if it is not said."""
    if memory := settings.number(*PROVIDER, "mem_per_node", default=0):
        return memory, (*PROVIDER, "mem_per_node")
    default = "500Mi" if settings.provider == "KubernetesProvider" else ""
    text = settings.text(*PROVIDER, "max_mem") or default
    if found := re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([KMGT])i?", text):
        factor = {"K": 1e-6, "M": 1e-3, "G": 1, "T": 1e3}[found[2]]
        return float(found[1]) * factor, (*PROVIDER, "max_mem")
    return 0, ()


@rule("GW208")
def tasks_wait_for_busy_workers(settings: Settings) -> Troubles:
    """Tasks are bound to a node beforehand, and wait there while other workers are idle."""
    count = settings.number("engine", "prefetch_capacity", default=0)
    if not settings.has_blocks or count <= 0:
        return
    yield Trouble(
        ("engine", "prefetch_capacity"),
        f"Each node takes {count:g} tasks more than it has workers. They wait there, behind a "
        "build if need be, while workers elsewhere are idle and warm.",
        "Set `prefetch_capacity: 0`.",
    )
