"""Globus Compute's executor without the cloud."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

from gc_warm.errors import UsageError
from gc_warm.local.endpoint import LocalEndpoint
from gc_warm.local.faults import Faults
from gc_warm.local.sdk_executor import SdkExecutor
from gc_warm.local.surroundings.options import Surroundings
from gc_warm.local.workers import Supply, Workers, check_count, engine_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gc_warm.local.client import LocalClient
    from gc_warm.local.messages import ComputeFuture, ComputeSerializer, Strategylike

log = logging.getLogger(__name__)

_NO_ENDPOINT = """\
No endpoint_id set.  Did you forget to set it at construction?
  Hint:

    gce = Executor(endpoint_id=<ep_id>)
    gce.endpoint_id = <ep_id>    # alternative"""


class LocalExecutor(SdkExecutor, concurrent.futures.Executor):
    """Run functions in real worker processes of this machine, as an endpoint would.

    It is used as ``globus_compute_sdk.Executor`` is, and a task takes the same path: function and
    arguments are serialized, and the endpoint's own ``execute_task`` runs them. Workers start
    clean: the client's modules, working directory, ``sys.path``, open files and environment are
    not there, so what would be missing on an endpoint is missing here.

    With `endpoint_config` the workers are those of the config's own engine.

    Args:
        endpoint_id: The endpoint's id, which tasks are told; by default a new one.
        client: A `gc_warm.local.client.LocalClient`; by default a new one.
        task_group_id: The task group; by default the last that an executor had.
        resource_specification: What each task needs; only MPI engines know what to do with it.
        user_endpoint_config: What an endpoint's template is rendered with. A new value means new
            workers, all cold, as it does in the cloud.
        label: Part of the executor's ``repr``.
        batch_size: Kept, like the next three, but without effect: tasks are sent at once.
        amqp_port: See above.
        api_burst_limit: See above.
        api_burst_window_s: See above.
        serializer: Serializes functions and arguments, and deserializes results.
        result_serializers: Strategies that workers try in turn on a result.
        workers: How many worker processes; or `Workers` that others use before or afterwards.
        worker_python: The workers' interpreter. It needs ``globus-compute-endpoint``, and this
            one's minor version of Python unless functions are serialized as source text. By
            default workers have the packages that this interpreter has, but neither gc-warm, nor
            what only gc-warm needs here, nor editable installs.
        worker_path: Folders that come first on the workers' ``sys.path``.
        worker_env: What workers have in their environment besides
            `gc_warm.local.surroundings.options.INHERITED_NAMES`.
        worker_packages: Distributions of this interpreter that workers have all the same, such as
            ``["gc-warm"]``, or an editable project that the endpoint has installed.
        output: Whether to show on standard error, line by line, what workers print and log, which
            the cloud never does. It may be a folder, to keep the lines there, too, in a file for
            each worker. By default they are shown; `Workers` have an option of their own.
        max_retries_on_system_failure: How often a task is tried again after its worker died.
        endpoint_config: An endpoint's folder, or a template or config file: the engine that it
            describes runs the tasks. Then `workers` and `max_retries_on_system_failure` have no
            effect: the config sets both.
        user_runtime: The user's Python, as the template sees it; by default this one.
        local_provider: Start the config's blocks on this machine instead of by its scheduler.

    Raises:
        UsageError: An argument is wrong.
        WorkerStartError: `worker_python` cannot be run. If it runs but cannot be a worker, or the
            config is wrong, the tasks fail with this.
    """

    def __init__(  # noqa: PLR0917 - the SDK's signature
        self,
        endpoint_id: uuid.UUID | str | None = None,
        client: LocalClient | None = None,
        task_group_id: uuid.UUID | str | None = None,
        resource_specification: dict[str, Any] | None = None,
        user_endpoint_config: dict[str, Any] | None = None,
        label: str = "",
        batch_size: int = 128,
        amqp_port: int | None = None,
        api_burst_limit: int = 4,
        api_burst_window_s: int = 16,
        serializer: ComputeSerializer | None = None,
        result_serializers: Iterable[Strategylike] | None = None,
        *,
        workers: int | Workers = 2,
        worker_python: str | os.PathLike[str] | None = None,
        worker_path: Sequence[str | os.PathLike[str]] = (),
        worker_env: Mapping[str, str] | None = None,
        worker_packages: Sequence[str] = (),
        output: bool | str | os.PathLike[str] | None = None,
        max_retries_on_system_failure: int = 0,
        endpoint_config: str | os.PathLike[str] | None = None,
        user_runtime: dict[str, Any] | None = None,
        local_provider: bool = False,
    ) -> None:
        self.resource_specification = resource_specification
        self.user_endpoint_config = user_endpoint_config
        self.label = label
        self.batch_size = max(1, batch_size)
        self.amqp_port = amqp_port
        self.api_burst_limit = min(8, max(1, api_burst_limit))
        self.api_burst_window_s = min(32, max(1, api_burst_window_s))
        self.task_count_submitted = 0
        self._lock = threading.Lock()
        self._pid = os.getpid()
        check_count("max_retries_on_system_failure", max_retries_on_system_failure, 0)
        around = Surroundings.of(worker_python, worker_path, worker_env, worker_packages, output)
        if endpoint_config is not None:
            engine = engine_options(
                endpoint_config, user_runtime=user_runtime, local_provider=local_provider
            )
            supply = Supply(1, around, engine)
        elif user_runtime is not None or local_provider:
            raise UsageError("user_runtime= and local_provider= need endpoint_config=.")
        elif not isinstance(workers, Workers):
            supply = Supply(workers, around)
        elif around != Surroundings():
            raise UsageError("With Workers, the options worker_*= and output= belong to them.")
        else:
            supply = workers
        self._endpoint = LocalEndpoint(
            uuid.UUID(str(endpoint_id)) if endpoint_id else uuid.uuid4(),
            label or "local",
            supply,
            max_retries=max_retries_on_system_failure,
            config=user_endpoint_config,
        )
        try:
            # Imports the SDK. Meanwhile the workers, started before, import what they need.
            super().__init__(
                endpoint_id=self._endpoint.id,
                client=client,
                task_group_id=task_group_id,
                serializer=serializer,
                result_serializers=result_serializers,
            )
        except BaseException:
            self._endpoint.close()
            raise
        self.faults = Faults(self._endpoint)
        self._services.connect(self._endpoint)

    def __repr__(self) -> str:
        label = self.label and f"{self.label}; "
        endpoint = f"ep_id:{self.endpoint_id}; " if self.endpoint_id else ""
        group = f"tg_id:{self.task_group_id}; "
        return f"{type(self).__name__}<{label}{endpoint}{group}bs:{self.batch_size}>"

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are up, by rank; none of a real engine's."""
        return [pid for backend in self._endpoint.backends for pid in backend.worker_pids]

    def submit(  # type: ignore[override]
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> ComputeFuture:
        """Run ``fn(*args, **kwargs)`` on a worker.

        Args:
            fn: The function, which is registered first if need be.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            A future that has its ``task_id`` at once.

        Raises:
            RuntimeError: The executor is shut down.
            UsageError: This process was forked from the one that made the executor.
            ValueError: `endpoint_id` was set to None.
            ShippingError: A self-contained function cannot be carried. The executor goes on.
            SerializationError: The function cannot be serialized.
        """
        self._check_running()
        return self._send(self._id_of(fn), args, kwargs)

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
            UsageError: This process was forked from the one that made the executor.
            ValueError: `endpoint_id` was set to None, or the function's id is not a UUID.
        """
        self._check_running()
        return self._send(
            function_id, () if args is None else args, {} if kwargs is None else kwargs
        )

    def _send(
        self, function_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ComputeFuture:
        from globus_sdk import GlobusAPIError

        from gc_warm.local.messages import serialize_arguments
        from gc_warm.local.service.state.state import Submission
        from gc_warm.local.submission import failed_future

        if self.endpoint_id is None:
            self.shutdown(wait=False)
            raise ValueError(_NO_ENDPOINT)
        key = uuid.UUID(str(function_id))
        try:
            arguments = serialize_arguments(self.serializer, args, kwargs)
        except Exception as error:  # noqa: BLE001 - it is the future's
            return failed_future(error)
        submission = Submission(
            tasks={key: [arguments]},
            task_group_id=self.task_group_id,
            user_endpoint_config=self.user_endpoint_config,
            resource_specification=self.resource_specification,
            result_serializers=self.result_serializer_paths or None,
        )
        try:
            future, group = self._services.submit(
                self.endpoint_id, submission, self.serializer, self._endpoint
            )
        except GlobusAPIError as error:
            # A submission that the services refuse ends the SDK's executor, too.
            self.shutdown(wait=False)
            return failed_future(error)
        self.task_group_id = self.task_group_id or group
        self.task_count_submitted += 1
        return future

    def reload_tasks(self, task_group_id: uuid.UUID | str | None = None) -> Iterable[ComputeFuture]:
        """Return a future for each task of a group that has none waiting for it.

        Args:
            task_group_id: The group; by default the executor's. It becomes the executor's.

        Returns:
            Futures of the tasks that are done, and of those that a client sent.

        Raises:
            ValueError: No task group is set.
            ComputeAPIError: There is no such group.
        """
        if task_group_id is not None:
            self.task_group_id = task_group_id
        if self.task_group_id is None:
            raise ValueError("must specify a task_group_id in order to reload tasks")
        found = self._services.reload(self.task_group_id, self.serializer)
        if not found:
            log.warning("received no tasks for task group %s", self.task_group_id)
        return found

    def get_worker_hardware_details(self) -> str:
        """Return what the SDK's hardware report finds on a worker."""
        from globus_compute_sdk.sdk.hardware_report import run_hardware_report

        return str(self.submit(run_hardware_report, "Compute Endpoint worker").result())

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

    def shutdown(
        self,
        wait: bool = True,  # noqa: FBT001, FBT002
        *,
        cancel_futures: bool = False,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        """End the workers when all tasks are done.

        Workers get SIGTERM, and SIGKILL about a second later, as HTEX's do. Calling it again does
        nothing.

        Args:
            wait: Return when all tasks are done and the workers have ended. Otherwise, and always
                in a future's callback, that goes on in the background, and the interpreter does not
                exit before.
            cancel_futures: Without effect: as with the SDK's, tasks that were sent cannot be
                cancelled, and here they are sent at once.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        self._services.disconnect(self._endpoint)
        if wait and not any(each.is_own_thread() for each in self._endpoint.backends):
            concurrent.futures.wait(self._services.sent_elsewhere(self._endpoint))
            self._endpoint.close()
        else:
            threading.Thread(target=self._endpoint.close, name="gc-warm-shutdown").start()

    def abandon(self) -> None:
        """Shut down without waiting for tasks: those that are running are lost.

        It is for tests, which a task that never ends must not hold up. A `shutdown` that waits in
        another thread then ends, too.
        """
        for backend in self._endpoint.backends:
            backend.lose_tasks()
        self.shutdown(wait=not self._services.sent_elsewhere(self._endpoint))

    def _check_running(self) -> None:
        if self._stopped:
            raise RuntimeError(f"{self!r} is shutdown; no new functions may be executed")
        if self._pid != os.getpid():
            raise UsageError(
                f"{self!r} is of process {self._pid}, from which this one was forked: its workers "
                "cannot be used here. Make an executor in this process."
            )
