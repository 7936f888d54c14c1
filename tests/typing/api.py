"""The public names as a type checker sees them: checked by mypy --strict, never run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from typing_extensions import assert_type

from gc_warm import (
    CallReceipt,
    Faults,
    FunctionRegistry,
    JsonLines,
    Limits,
    LocalClient,
    LocalExecutor,
    NodeFolder,
    ProgramInfo,
    Prompt,
    Receipt,
    Receipted,
    Report,
    RestartPolicy,
    SelfContained,
    Sentinel,
    Visits,
    Warm,
    WarmExecutor,
    WarmInfo,
    WarmProcess,
    Workers,
    node_folder,
    node_stats,
    registered,
    self_contained,
    serve,
    serve_command,
    stats,
    warm,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from gc_warm.pytest_plugin import SessionWorkers


@dataclass(frozen=True)
class Model:
    name: str

    def predict(self, text: str) -> float:
        return float(len(text))


# An initialiser may be a function, a generator function or a class; options change no types.


@warm
def plain(name: str) -> Model:
    return Model(name)


@warm(maxsize=2)
def with_options(name: str, *, layers: int = 3) -> Model:
    return Model(f"{name}-{layers}")


@warm(maxsize=None, key=str.lower)
def with_key(name: str) -> Model:
    return Model(name)


@warm
def iterator(name: str) -> Iterator[Model]:
    yield Model(name)


@warm
def generator(name: str) -> Generator[Model, None, None]:
    yield Model(name)


@warm(maxsize=2)
def generator_with_options(name: str) -> Generator[Model, None, None]:
    yield Model(name)


@warm
class Engine:
    def __init__(self, path: str) -> None:
        self.path = path

    def close(self) -> None: ...


def use_warm() -> None:
    assert_type(plain("x"), Model)
    assert_type(plain(name="x"), Model)
    assert_type(with_options("x", layers=4), Model)
    assert_type(with_key("x"), Model)
    assert_type(iterator("x"), Model)
    assert_type(generator("x"), Model)
    assert_type(generator_with_options("x"), Model)
    assert_type(Engine("x").path, str)
    assert_type(plain("x").predict("text"), float)


def look_at_warm() -> None:
    state: Warm[..., Model] = plain
    assert_type(state.info(), WarmInfo)
    assert_type(plain.info(), WarmInfo)
    assert_type(plain.info().hits, int)
    assert_type(plain.info().build_seconds, float)
    assert_type(plain.info().maxsize, int | None)
    assert_type(stats(), dict[str, Any])
    plain.clear()


def misuse_warm() -> None:
    plain(1)  # type: ignore[arg-type]
    plain()  # type: ignore[call-arg]
    with_options("x", 4)  # type: ignore[call-arg]
    plain("x").missing  # type: ignore[attr-defined]  # noqa: B018
    warm(plain, maxsize=2)  # type: ignore[call-overload]
    warm(maxsize="2")  # type: ignore[call-overload]


# A self-contained function is called like the function; `receipted` says what it cost.


@self_contained
def classify(text: str, name: str = "small") -> str:
    return f"{plain(name).predict(text)}"


def use_self_contained() -> None:
    assert_type(classify("text"), str)
    assert_type(classify("text", name="large"), str)
    function: SelfContained[..., str] = classify
    assert_type(function("text"), str)
    assert_type(classify.receipted("text"), Receipted[str])
    assert_type(classify.receipted("text").value, str)
    assert_type(classify.receipted("text").receipt, Receipt)
    assert_type(classify.receipted("text").receipt.cold_starts, int)


@self_contained(requires=["numpy>=1.26"], data=["labels.txt"], modules=["mylab.plugins"])
def with_requirements(text: str, *, count: int = 1) -> list[str]:
    return [text] * count


def look_at_self_contained() -> None:
    assert_type(with_requirements("text", count=2), list[str])
    assert_type(with_requirements.source(), str)
    assert_type(with_requirements.payload_size(), int)
    assert_type(with_requirements.requirements(), str)
    assert_type(self_contained(plain, requires=["numpy"])("x"), Model)
    assert_type(self_contained(Model("x").predict)("text"), float)


def misuse_self_contained() -> None:
    self_contained(plain, require=["numpy"])  # type: ignore[call-overload]
    with_requirements(1)  # type: ignore[arg-type]
    classify(1)  # type: ignore[arg-type]
    classify.receipted(1)  # type: ignore[arg-type]
    classify("text", nam="large")  # type: ignore[call-arg]


# A program that stays running; its answers are what the program says.


@warm
def program(name: str) -> Iterator[WarmProcess]:
    limits, restarts = Limits(memory=2**30), RestartPolicy(budget=3)
    with WarmProcess([name], framing=Sentinel("{token}"), limits=limits, restarts=restarts) as it:
        yield it


def use_programs() -> None:
    assert_type(program("bc"), WarmProcess)
    assert_type(program("bc").info(), ProgramInfo)
    assert_type(program("bc").info().pid, int | None)
    assert_type(serve_command("module:function", workers=2), list[str])
    WarmProcess(serve_command("module:function"), framing=JsonLines(), concurrency=2).close()
    WarmProcess(["sqlite3"], framing="sqlite3").close()
    WarmProcess(["sh"], framing=Prompt("> "), timeout=None).call("x", timeout=1)
    serve(lambda request: request, idle_timeout=1.5)


def misuse_programs() -> None:
    WarmProcess(["sh"], JsonLines())  # type: ignore[call-arg]
    WarmProcess(["sh"], framing=Prompt)  # type: ignore[arg-type]
    Sentinel()  # type: ignore[call-arg]


# The executor is the SDK's, without the cloud.


def use_executor() -> None:
    with LocalExecutor() as executor:
        assert_type(executor, LocalExecutor)
        function_id = executor.register_function(classify)
        assert_type(function_id, str)
        assert_type(executor.submit(classify, "text").task_id, str | None)
        executor.submit_to_registered_function(function_id, args=("text",)).result()
        executor.submit_to_registered_function(function_id, kwargs={"text": "text"}).result()
        executor.shutdown(wait=True, cancel_futures=True)


def use_executor_options() -> None:
    client = LocalClient()
    with LocalExecutor(
        UUID(int=0),
        client,
        user_endpoint_config={"workers": 2},
        workers=3,
        worker_python="python3",
        worker_path=["src", Path("tests")],
        worker_env={"NAME": "value"},
        max_retries_on_system_failure=1,
    ) as executor:
        assert_type(executor.client, LocalClient)
        assert_type(executor.endpoint_id, UUID | None)
        assert_type(executor.task_group_id, UUID | None)
        assert_type(executor.worker_pids, list[int])
        assert_type(executor.get_worker_hardware_details(), str)
        assert_type(executor.register_source_code("def f(): ...", "f"), str)
        for future in executor.reload_tasks():
            assert_type(future.task_id, str | None)
        executor.resource_specification = {"num_nodes": 1}
    LocalExecutor(endpoint_config="folder", user_runtime={}, local_provider=True).shutdown()


def use_workers() -> None:
    with Workers(2, endpoint_config=Path("config.yaml"), output="folder") as workers:
        assert_type(workers, Workers)
        LocalExecutor(workers=workers).shutdown()


def use_faults(executor: LocalExecutor) -> None:
    assert_type(executor.faults, Faults)
    assert_type(executor.faults.kill_worker(), int)
    executor.faults.lose_block()
    executor.faults.drop_result(count=2)
    executor.faults.delay(0.5, count=3)
    executor.faults.walltime(60)
    executor.faults.memory_limit(None)
    executor.faults.clear()


def misuse_executor(executor: LocalExecutor) -> None:
    LocalExecutor(worker=3)  # type: ignore[call-arg]
    LocalExecutor(client=object())  # type: ignore[arg-type]
    LocalExecutor(worker_env={"NAME": 1})  # type: ignore[dict-item]
    executor.faults.kill_worker("1")  # type: ignore[arg-type]
    executor.worker_pids = []  # type: ignore[misc]


# Around any executor.


def use_warm_executor() -> None:
    with WarmExecutor(LocalExecutor(), workers=2, output=True, receipts="run.jsonl") as executor:
        assert_type(executor, WarmExecutor)
        executor.submit(classify, "text").result()
        with executor.map(classify, ["a", "b"], key=str.lower, retries=2) as results:
            for _ in results:
                pass
        executor.starmap(classify, [("a", "small")], key="name", chunksize=10).close()
        assert_type(executor.prewarm(plain, "small", workers=2, timeout=5), Visits)
        assert_type(executor.everywhere(stats).results, list[Any])
        assert_type(executor.stats(), list[dict[str, Any]])
        report = executor.report()
        assert_type(report, Report)
        report.save(Path("run.html"), title="A run")
        assert_type(Report.load("a.jsonl", "b.jsonl").figures().cold_rate, float | None)


def use_call_receipt(receipt: CallReceipt) -> None:
    assert_type(receipt.queue_seconds, float)
    assert_type(receipt.output, str | None)
    assert_type(receipt.builds[0].state, str)


def misuse_warm_executor(executor: WarmExecutor) -> None:
    executor.map(classify, ["a"], chunksize="many")  # type: ignore[arg-type]
    executor.map(classify, ["a"], retry=2)  # type: ignore[call-arg]
    WarmExecutor(LocalExecutor(), 2)  # type: ignore[call-arg]


def use_plugin(gc_executor: LocalExecutor, gc_faults: Faults, gc_workers: SessionWorkers) -> None:
    assert_type(gc_workers.executor(3), LocalExecutor)
    assert_type(gc_executor.faults, Faults)
    gc_faults.delay(1)


def registering(function: SelfContained[[int], str]) -> None:
    registry = FunctionRegistry("functions.json")
    done = registry.register(function, strategy="PureSourceDill", dry_run=True)
    assert_type(done.function_id, str)
    assert_type(done.entry.current.strategy, str)
    assert_type(registry.allowed_functions(), str)
    assert_type(registered("name"), str)


# A folder of the node is called without `folder`; its parameters are known where that comes first.


@node_folder
def folder_first(folder: Path, name: str, *, layers: int = 3) -> None: ...


@node_folder
def folder_last(name: str, folder: Path) -> None: ...


@node_folder(maxbytes=10**9, max_age=3600.0, wait=60, version="1", mutable=True)
def folder_with_options(folder: Path, name: str) -> None: ...


def use_folders() -> None:
    assert_type(folder_first("small", layers=2), Path)
    folder_first(1)  # type: ignore[arg-type]
    assert_type(folder_last("small"), Path)
    assert_type(folder_with_options("small"), Path)
    a_folder: NodeFolder[...] = folder_last
    assert_type(a_folder("small"), Path)
    assert_type(node_stats(), dict[str, Any])


@warm(builds_per_node=1)
def in_turn(name: str) -> Model:
    return Model(name)
