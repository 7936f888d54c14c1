"""Globus Compute's executor without the cloud."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import threading
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gc_warm.errors import UsageError
from gc_warm.local.pool import WorkerPool
from gc_warm.local.registry import FunctionRegistry, code_of
from gc_warm.local.settings import ExecutorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gc_warm.local.protocol import ComputeFuture, ComputeSerializer, Strategylike

log = logging.getLogger(__name__)

_NO_ENDPOINT = """\
No endpoint_id set.  Did you forget to set it at construction?
  Hint:

    gce = Executor(endpoint_id=<ep_id>)
    gce.endpoint_id = <ep_id>    # alternative"""


class LocalExecutor(ExecutorSettings, concurrent.futures.Executor):
    """Run functions in real worker processes of this machine, as an endpoint would.

    It is used as ``globus_compute_sdk.Executor`` is, and a task takes the same way: function and
    arguments are serialized, and the endpoint's own ``execute_task`` runs them. Workers start
    clean: the client's modules, working directory, ``sys.path``, open files and environment are
    not there, so what would be missing on an endpoint is missing here.

    Two things differ. Tasks that are unfinished when the interpreter exits are ended, unless
    `shutdown` was called. And arguments that cannot be serialized fail only their own task.

    Args:
        endpoint_id: The endpoint's id that tasks are told; by default a new one.
        client: Not supported: None.
        task_group_id: The task group; by default that of the executors before.
        resource_specification: Not supported: None.
        user_endpoint_config: Not supported: None.
        label: Part of the executor's ``repr``.
        batch_size: Kept, as are the next three, but without effect: tasks are sent at once.
        amqp_port: See above.
        api_burst_limit: See above.
        api_burst_window_s: See above.
        serializer: Serializes functions and arguments, and deserializes results.
        result_serializers: Strategies that workers try in turn on a result.
        workers: How many worker processes.
        worker_python: The workers' interpreter, by default this one's. It needs
            ``globus-compute-endpoint``, and this one's minor version of Python unless functions
            are serialized as source text.
        worker_path: Folders that come first on the workers' ``sys.path``.
        worker_env: What workers have in their environment besides
            `gc_warm.local.template.INHERITED_NAMES`.
        max_retries_on_system_failure: How often a task is tried again after its worker died.

    Raises:
        UsageError: An argument is wrong or not supported.
        WorkerStartError: `worker_python` cannot be run. If it runs but cannot be a worker, the
            tasks fail with this.
    """

    def __init__(  # noqa: PLR0917 - the SDK's signature
        self,
        endpoint_id: uuid.UUID | str | None = None,
        client: None = None,
        task_group_id: uuid.UUID | str | None = None,
        resource_specification: None = None,
        user_endpoint_config: None = None,
        label: str = "",
        batch_size: int = 128,
        amqp_port: int | None = None,
        api_burst_limit: int = 4,
        api_burst_window_s: int = 16,
        serializer: ComputeSerializer | None = None,
        result_serializers: Iterable[Strategylike] | None = None,
        *,
        workers: int = 2,
        worker_python: str | os.PathLike[str] | None = None,
        worker_path: Sequence[str | os.PathLike[str]] = (),
        worker_env: Mapping[str, str] | None = None,
        max_retries_on_system_failure: int = 0,
    ) -> None:
        _refuse(
            client=client,
            resource_specification=resource_specification,
            user_endpoint_config=user_endpoint_config,
        )
        self.label = label
        self.batch_size = max(1, batch_size)
        self.amqp_port = amqp_port
        self.api_burst_limit = min(8, max(1, api_burst_limit))
        self.api_burst_window_s = min(32, max(1, api_burst_window_s))
        self.task_count_submitted = 0
        self._functions = FunctionRegistry()
        self._lock = threading.RLock()
        self._stopped = False
        self._pool = WorkerPool(
            workers=_count("workers", workers, at_least=1),
            python=worker_python,
            path=_folders(worker_path),
            environment=_environment(worker_env),
            max_retries=_count(
                "max_retries_on_system_failure", max_retries_on_system_failure, at_least=0
            ),
        )
        # The pool ends itself when the interpreter exits.
        weakref.finalize(self, self._pool.stop).atexit = False
        try:
            # Imports the SDK. Meanwhile the pool, started before, imports what workers need.
            super().__init__(
                endpoint_id=endpoint_id or uuid.uuid4(),
                task_group_id=task_group_id,
                serializer=serializer,
                result_serializers=result_serializers,
            )
        except BaseException:
            self._pool.finish()
            raise

    def __repr__(self) -> str:
        label = self.label and f"{self.label}; "
        endpoint = f"ep_id:{self.endpoint_id}; " if self.endpoint_id else ""
        group = f"tg_id:{self.task_group_id}; "
        return f"{type(self).__name__}<{label}{endpoint}{group}bs:{self.batch_size}>"

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank."""
        return self._pool.worker_pids

    def register_function(self, fn: Callable[..., Any], function_id: str | None = None) -> str:
        """Serialize a function, once for all its tasks, and remember it by its id.

        Args:
            fn: The function.
            function_id: The id to know it by, as with one that was registered before.

        Returns:
            The function's id.

        Raises:
            ValueError: The function is registered already, with another id.
            RuntimeError: The executor is shut down.
            SerializationError: It cannot be serialized. As the SDK's, the executor then shuts down.
        """
        if self._stopped:
            raise RuntimeError(f"{self!r} is shutdown; refusing to register function")
        return self._functions.register(fn, function_id, lambda: self._serialize(fn))

    def _serialize(self, fn: Callable[..., Any]) -> str:
        from gc_warm.local.protocol import serialize_function

        try:
            log.debug("registering function %s", fn.__name__)
            return serialize_function(self.serializer, fn)
        except Exception:
            log.error("unable to register function %r", fn)  # noqa: TRY400 - it is raised
            self.shutdown(wait=False, cancel_futures=True)
            raise

    def submit(  # type: ignore[override]
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> ComputeFuture:
        """Run ``fn(*args, **kwargs)`` on a worker.

        Args:
            fn: The function; it is registered if it was not.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            A future that has its ``task_id`` at once.

        Raises:
            RuntimeError: The executor is shut down.
            ValueError: `endpoint_id` was set to None.
            SerializationError: The function cannot be serialized.
        """
        self._check_running()
        code = self._functions.code_for(fn, lambda: self._serialize(fn))
        return self._send(lambda: code, args, kwargs)

    def submit_to_registered_function(
        self,
        function_id: str,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> ComputeFuture:
        """Run a registered function on a worker.

        Args:
            function_id: What `register_function` returned, for any executor of this process.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Returns:
            A future that has its ``task_id`` at once.

        Raises:
            RuntimeError: The executor is shut down.
            ValueError: `endpoint_id` was set to None, or the function's id is not a UUID.
        """
        self._check_running()
        key = uuid.UUID(str(function_id))
        return self._send(
            lambda: code_of(key), () if args is None else args, {} if kwargs is None else kwargs
        )

    def _send(
        self, find_code: Callable[[], str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ComputeFuture:
        from gc_warm.local.task import Task

        endpoint_id = self._require_endpoint()
        if self.task_group_id is None:
            self.task_group_id = uuid.uuid4()
        task = Task(serializer=self.serializer, executor=self)
        try:
            task.pack(
                endpoint_id=endpoint_id,
                code=find_code(),
                args=args,
                kwargs=kwargs,
                result_serializers=self._result_serializer_paths,
            )
        except Exception as error:  # noqa: BLE001 - it is the future's
            task.future.set_exception(error)
        else:
            self._pool.submit(task)
            self.task_count_submitted += 1
        return task.future

    def map(
        self,
        fn: Callable[..., Any],  # noqa: ARG002 - the SDK's signature
        *iterables: Any,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
        chunksize: int = 1,  # noqa: ARG002
    ) -> NoReturn:
        """Raise, as the SDK's executor has no ``map`` either.

        Args:
            fn: Not used.
            iterables: Not used.
            timeout: Not used.
            chunksize: Not used.

        Raises:
            RuntimeError: The executor is shut down.
            NotImplementedError: Otherwise.
        """
        self._check_running()
        raise NotImplementedError

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """End the workers when all tasks are done.

        Workers get SIGTERM, and SIGKILL about a second later, as HTEX's do. Calling it again does
        nothing.

        Args:
            wait: Return when all tasks are done and the workers have ended. Otherwise that goes on
                in the background, and the interpreter does not exit before. So it does if this is
                called by a future's callback.
            cancel_futures: Cancel the tasks that no worker has been given yet.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        if cancel_futures:
            self._pool.cancel_pending()
        if wait and not self._pool.is_own_thread():
            self._pool.finish()
        else:
            threading.Thread(target=self._pool.finish, name="gc-warm-shutdown").start()

    def _require_endpoint(self) -> uuid.UUID:
        if self.endpoint_id is None:
            self.shutdown(wait=False, cancel_futures=True)
            raise ValueError(_NO_ENDPOINT)
        return self.endpoint_id

    def _check_running(self) -> None:
        if self._stopped:
            raise RuntimeError(f"{self!r} is shutdown; no new functions may be executed")


def _refuse(**unsupported: object) -> None:
    names = [name for name, value in unsupported.items() if value is not None]
    if names:
        raise UsageError(f"LocalExecutor does not support {', '.join(names)}; leave it None.")


def _count(name: str, value: int, *, at_least: int) -> int:
    if not isinstance(value, int) or value < at_least:
        raise UsageError(f"{name}={value!r} should be a whole number, at least {at_least}.")
    return value


def _folders(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    if isinstance(paths, str | os.PathLike):
        raise UsageError(f"worker_path={paths!r} should be a sequence of folders.")
    folders = [Path(path).resolve() for path in paths]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise UsageError(f"In worker_path, these are not folders: {', '.join(missing)}.")
    return [str(folder) for folder in folders]


def _environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    variables = dict(variables or {})
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(f"In worker_env, {name!r}: {value!r} should be two strings.")
    return variables
