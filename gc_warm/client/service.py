"""What is asked of the web service about functions, and what its refusals mean."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from gc_warm.errors import GcWarmError
from gc_warm.errors.client import RegistryError, UnknownFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gc_warm.client.manifest import Entry

LOGIN = "globus-compute-endpoint login"
NOT_ALLOWED = {401, 403}
NOT_FOUND = {404, 410}


class ServiceClient(Protocol):
    """The part of ``globus_compute_sdk.Client`` that is used."""

    def register_function(
        self,
        function: Callable[..., Any],
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        public: bool = False,  # noqa: FBT001, FBT002 - the SDK's signature
        group: str | None = None,
    ) -> str:
        """Register a function, and return its id."""

    def get_function(self, function_id: str) -> Any:
        """Return what the service knows of a function."""

    def delete_function(self, function_id: str) -> Any:
        """Delete a function."""


def connect() -> ServiceClient:
    """Make a client of the real service.

    Raises:
        RegistryError: There are no credentials, or there is no network.
    """
    from globus_compute_sdk import Client

    with explaining("connect"):
        client: ServiceClient = Client()
        return client


def register(client: ServiceClient, function: Callable[..., Any], entry: Entry) -> str:
    """Register a function, and return its id.

    Args:
        client: The service's client.
        function: The function.
        entry: Who may run it, and what the service shall say of it.

    Raises:
        RegistryError: The service refuses, or does not answer, or something else does.
    """
    try:
        with explaining(f"register {entry.target}"):
            given = client.register_function(
                function, description=entry.description, public=entry.public, group=entry.group
            )
        return str(uuid.UUID(str(given)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GcWarmError):
            raise
        raise RegistryError(
            f"Cannot register {entry.target}: what answers gives no function id "
            f"({type(error).__name__}: {error}). Is there a proxy before the service?"
        ) from error


@contextmanager
def explaining(what: str, function_id: str = "") -> Iterator[None]:
    """Turn what the SDK raises into errors that say what to do.

    Args:
        what: What is being done, as a verb.
        function_id: The function it is done with, if it is a registered one.
    """
    import globus_sdk
    from globus_sdk.exc import GlobusSDKUsageError
    from requests import RequestException

    try:
        yield
    except GcWarmError:
        raise
    except globus_sdk.GlobusAPIError as error:
        raise _refused(what, function_id, error) from error
    except (globus_sdk.NetworkError, RequestException, ConnectionError, TimeoutError) as error:
        raise RegistryError(
            f"Cannot {what}: the Globus Compute service does not answer ({error}). Is there a "
            "network? Is GLOBUS_SDK_ENVIRONMENT, if set, the one you mean?"
        ) from error
    except (GlobusSDKUsageError, EOFError) as error:
        raise RegistryError(
            f"Cannot {what}: there are no credentials ({error}). Log in with `{LOGIN}`, or set "
            "GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET."
        ) from error


def _refused(what: str, function_id: str, error: Any) -> RegistryError:
    status, said = error.http_status, error.message or error.code
    if status in NOT_FOUND and function_id:
        return UnknownFunctionError(function_id)
    if status in NOT_ALLOWED:
        return RegistryError(
            f"Cannot {what}: the service refuses your credentials ({status}: {said}). Log in anew "
            f"with `{LOGIN}`; in a group or with a policy, you may not be allowed to."
        )
    return RegistryError(f"Cannot {what}: the service refuses ({status}: {said}).")
