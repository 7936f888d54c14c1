"""How tasks are made and sent: what an executor does for each task, and nothing else.

It imports the SDK, so an executor imports this only when its workers are starting: then each task
finds all that it needs at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gc_warm.local.client import MAX_SUBMISSION_BYTES, ServiceError, check_size, unknown_function
from gc_warm.local.protocol import ComputeFuture, serialize_arguments
from gc_warm.local.task import Task

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.fleet import Fleet
    from gc_warm.local.records import Function


class Sender:
    """Makes an executor's tasks and gives them to its workers.

    Args:
        fleet: The workers.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def send(
        self,
        executor: LocalExecutor,
        function: Function | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        group: uuid.UUID,
        endpoint_id: uuid.UUID,
        function_id: uuid.UUID | None,
    ) -> ComputeFuture:
        """Send a task, with the executor's settings of now.

        Args:
            executor: Whose task it is.
            function: What to run; None if nobody registered it.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            group: Its task group.
            endpoint_id: The endpoint that it is told to run on.
            function_id: The id that was asked for.

        Returns:
            The task's future, which has failed already if the task cannot be sent.
        """
        serializer = executor.serializer
        task = Task(group=group, serializer=serializer, executor=executor)
        try:
            arguments = serialize_arguments(serializer, args, kwargs)
            if function is None:
                raise unknown_function(function_id)  # noqa: TRY301 - as others below
            if len(arguments) > MAX_SUBMISSION_BYTES:
                check_size(len(arguments))
        except ServiceError as error:
            # A submission that the services refuse ends the SDK's executor, too.
            task.future.set_exception(error.as_sdk_error())
            executor.shutdown(wait=False, cancel_futures=True)
        except Exception as error:  # noqa: BLE001 - it is the future's
            task.future.set_exception(error)
        else:
            self._run(
                task,
                function,
                arguments,
                endpoint_id=endpoint_id,
                resource_specification=executor.resource_specification,
                user_endpoint_config=executor.user_endpoint_config,
                result_serializers=executor.result_serializer_paths,
            )
            executor.task_count_submitted += 1
        return task.future

    def accept(
        self,
        executor: LocalExecutor,
        function: Function,
        arguments: str,
        *,
        group: uuid.UUID,
        endpoint_id: uuid.UUID,
        resource_specification: dict[str, Any] | None,
        user_endpoint_config: dict[str, Any] | None,
        result_serializers: Sequence[str],
    ) -> str:
        """Send a task that a client has packed, with settings of its own; return its id."""
        task = Task(group=group, serializer=executor.serializer, executor=executor)
        task.publish()
        self._run(
            task,
            function,
            arguments,
            endpoint_id=endpoint_id,
            resource_specification=resource_specification,
            user_endpoint_config=user_endpoint_config,
            result_serializers=result_serializers,
        )
        return str(task.key)

    def _run(
        self,
        task: Task,
        function: Function,
        arguments: str,
        *,
        endpoint_id: uuid.UUID,
        resource_specification: dict[str, Any] | None,
        user_endpoint_config: dict[str, Any] | None,
        result_serializers: Sequence[str],
    ) -> None:
        backend = self._fleet.of(user_endpoint_config)
        task.pack(
            endpoint_id=endpoint_id,
            code=function.code,
            arguments=arguments,
            result_serializers=result_serializers,
            resource_specification=resource_specification,
        )
        if resource_specification or function.needs_mpi:
            refusal = backend.refusal(
                resource_specification=resource_specification, needs_mpi=function.needs_mpi
            )
            if refusal is not None:
                task.fail_remotely(refusal)
                return
        backend.submit(task)
