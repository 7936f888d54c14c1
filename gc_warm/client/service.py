"""Requests to the web service, and what its refusals mean."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gc_warm.client.strategies import serializer
from gc_warm.errors import GcWarmError
from gc_warm.errors.client import RegistryError, UnknownFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from globus_compute_sdk import Client

    from gc_warm.client.manifest import Entry

LOGIN = "globus-compute-endpoint login"
CLIENT_ID, CLIENT_SECRET = "GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"
NOT_FOUND = {404, 410}
REACH_SECONDS = 10.0


def connect() -> Client:
    """Make a client of the real service.

    Raises:
        RegistryError: There are no credentials, or the service does not answer.
    """
    with explaining("connect"):
        client = make_client()
        if _has_credentials(client):
            reach(client.web_service_address)
        client.version_check()
    return client


def make_client() -> Client:
    """Make a client without sending a request.

    Raises:
        RegistryError: The SDK refuses what the environment says.
    """
    from globus_compute_sdk import Client

    with explaining("connect"):
        try:
            return Client(do_version_check=False)
        except ValueError as error:
            raise RegistryError(
                f"Cannot connect: the SDK refuses what the environment says ({error}). Are "
                f"GLOBUS_SDK_ENVIRONMENT, {CLIENT_ID} and {CLIENT_SECRET} what you mean? "
                'For gc-warm serve: eval "$(gc-warm serve --env)".'
            ) from error


def _has_credentials(client: Client) -> bool:
    """Return whether requests can be made at once; otherwise the SDK asks for a login, or fails."""
    of_client = os.environ.get(CLIENT_ID) and os.environ.get(CLIENT_SECRET)
    return bool(of_client) or client.app is None or not client.app.login_required()


def reach(address: str) -> None:
    """Check once that something answers; the SDK retries for a quarter of a minute.

    Raises:
        RegistryError: Nothing answers.
    """
    import requests

    with explaining("connect", address=address):
        requests.head(f"{address}/v2/version", timeout=REACH_SECONDS)


def register(client: Client, function: Callable[..., Any], entry: Entry) -> str:
    """Register a function, and return its id.

    Raises:
        RegistryError: The service refuses, or does not answer; or something else does.
    """
    try:
        with explaining(f"register {entry.target}"), _writing(client, entry.current.strategy):
            given = client.register_function(
                function, description=entry.description, public=entry.public, group=entry.group
            )
        return str(uuid.UUID(str(given)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GcWarmError):
            raise
        raise RegistryError(
            f"Cannot register {entry.target}: the answer has no function id "
            f"({type(error).__name__}: {error}). Is there a proxy in front of the service?"
        ) from error


@contextmanager
def _writing(client: Client, strategy: str) -> Iterator[None]:
    """Make a client serialize functions by a strategy."""
    before, client.fx_serializer = client.fx_serializer, serializer(strategy)
    try:
        yield
    finally:
        client.fx_serializer = before


@contextmanager
def explaining(what: str, function_id: str = "", address: str = "") -> Iterator[None]:
    """Turn what the SDK raises into errors that say what to do.

    Args:
        what: What is being done, as a verb.
        function_id: The function it is done with, if it is a registered one.
        address: Where the service is, if that is known.

    Raises:
        RegistryError: The service refuses, or does not answer, or there are no credentials.
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
        where = f" at {address}" if address else ""
        raise RegistryError(
            f"Cannot {what}: the Globus Compute service does not answer{where} ({error}). "
            f"{how_to_reach(address)}"
        ) from error
    except (GlobusSDKUsageError, EOFError) as error:
        raise RegistryError(
            f"Cannot {what}: there are no credentials ({error}). Log in with `{LOGIN}`, or set "
            f"{CLIENT_ID} and {CLIENT_SECRET}."
        ) from error


def how_to_reach(address: str) -> str:
    """Return what to do where nothing answers at an address."""
    if "localhost" in address or "127.0.0.1" in address:
        return "Start it: gc-warm serve."
    return "Is there a network? Is GLOBUS_SDK_ENVIRONMENT, if set, the one you mean?"


def _refused(what: str, function_id: str, error: Any) -> RegistryError:
    status, said = error.http_status, error.message or error.code
    if status in NOT_FOUND and function_id:
        return UnknownFunctionError(function_id)
    if status == 401:  # noqa: PLR2004
        return RegistryError(
            f"Cannot {what}: the service refuses your credentials ({status}: {said}). Log in "
            f"again with `{LOGIN}`."
        )
    if status == 403:  # noqa: PLR2004
        return RegistryError(
            f"Cannot {what}: the service forbids it ({status}: {said}). A group or a policy may "
            "exclude you; an endpoint may allow only some functions, by their ids."
        )
    return RegistryError(f"Cannot {what}: the service refuses ({status}: {said}).")
