"""What stands between a script and its warm workers: credentials, the service, an endpoint, tasks.

Only public names of the SDK are used, so that a script would find the same: in the cloud, and on a
`gc_warm.local.service.LocalService`.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from typing import TYPE_CHECKING, Any

from gc_warm.client.service import (
    CLIENT_ID,
    CLIENT_SECRET,
    LOGIN,
    explaining,
    how_to_reach,
    make_client,
    reach,
)
from gc_warm.client.trial import Check, Examination, Trial
from gc_warm.errors import GcWarmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from globus_compute_sdk import Client

SHOWN_ENDPOINTS = 10
_DISTRIBUTIONS = ("gc-warm", "globus-compute-sdk", "globus-compute-endpoint", "dill")


def examine(wanted: Examination, client: Client | None = None) -> Iterator[Check]:
    """Yield one check after the other, up to the first that makes the others pointless.

    Args:
        wanted: What to examine.
        client: The SDK's client; by default one with the credentials of the environment.
    """
    yield environment()
    if client is None:
        yield (found := credentials())
        if found.status == "fail":
            return
        try:
            client = make_client()
        except GcWarmError as error:
            yield Check("service", "fail", str(error))
            return
    for check in _at_service(client, wanted.endpoint_id):
        yield check
        if check.status == "fail":
            return
    if wanted.endpoint_id is not None:
        yield from Trial(wanted, client).run()


def _at_service(client: Client, endpoint_id: UUID | None) -> Iterator[Check]:
    yield reachable(client)
    yield answering(client)
    if endpoint_id is None:
        yield endpoints_of(client)
    else:
        yield from endpoint(client, endpoint_id)


# Here


def environment() -> Check:
    """Return what is installed here."""
    versions = {name: _version(name) for name in _DISTRIBUTIONS}
    python = platform.python_version()
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    details = {"python": python, "packages": versions}
    return Check("environment", "ok", f"Python {python}, {listed}", details=details)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def credentials() -> Check:
    """Check whether there are any, without asking the user to log in."""
    client_id, secret = os.environ.get(CLIENT_ID), os.environ.get(CLIENT_SECRET)
    if client_id and secret:
        return Check("credentials", "ok", f"those of client {client_id}, from the environment")
    if secret:
        text = f"{CLIENT_SECRET} is set, {CLIENT_ID} is not"
        return Check("credentials", "fail", text, "Set both, or neither.")
    try:
        app = make_client().app
        missing = app is None or app.login_required()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        text = f"they cannot be read: {type(error).__name__}: {error}"
        return Check("credentials", "fail", text, f"Log in again with `{LOGIN}`.")
    if missing:
        fix = f"Log in with `{LOGIN}`, or set {CLIENT_ID} and {CLIENT_SECRET}."
        return Check("credentials", "fail", "nobody is logged in here", fix)
    return Check("credentials", "ok", "somebody is logged in here")


# The service


def reachable(client: Client) -> Check:
    """Check quickly whether anything answers where the service should be."""
    address = client.web_service_address
    try:
        reach(address)
    except GcWarmError as error:
        message = f"nothing answers at {address} ({type(error.__cause__).__name__})"
        return Check("network", "fail", message, how_to_reach(address))
    return Check("network", "ok", f"something answers at {address}")


def answering(client: Client) -> Check:
    """Check whether the service accepts the credentials and this version of the SDK."""
    from globus_compute_sdk.errors import VersionMismatch

    begin = time.perf_counter()
    try:
        with explaining("ask the service for its version"):
            client.version_check()
    except VersionMismatch as error:
        fix = "pip install --upgrade globus-compute-sdk"
        return Check("service", "fail", f"the SDK is too old for it: {error}", fix)
    except GcWarmError as error:
        return Check("service", "fail", str(error))
    seconds = time.perf_counter() - begin
    message = f"accepts the credentials and this SDK; it answered in {seconds:.2f} s"
    return Check("service", "ok", message, details={"seconds": seconds})


# The endpoint


def endpoints_of(client: Client) -> Check:
    """List the user's endpoints, of which none was chosen."""
    try:
        with explaining("list your endpoints"):
            known = [
                {"id": str(each["uuid"]), "name": str(each.get("display_name") or each["name"])}
                for each in client.get_endpoints()
            ]
    except GcWarmError as error:
        return Check("endpoint", "fail", str(error))
    details = {"endpoints": known}
    if not known:
        fix = "Create one, or use one that is shared with you: gc-warm doctor --endpoint ID."
        return Check("endpoint", "warn", "you have none", fix, details)
    listed = ", ".join(f"{each['name']} ({each['id']})" for each in known[:SHOWN_ENDPOINTS])
    more = f" and {len(known) - SHOWN_ENDPOINTS} more" if len(known) > SHOWN_ENDPOINTS else ""
    fix = "gc-warm doctor --endpoint ID tries one with a few tasks."
    return Check("endpoint", "ok", f"yours: {listed}{more}", fix, details)


def endpoint(client: Client, endpoint_id: UUID) -> Iterator[Check]:
    """Check what an endpoint is, and whether it is online."""
    import globus_sdk

    try:
        with explaining(f"look at endpoint {endpoint_id}"):
            try:
                said = client.get_endpoint_metadata(str(endpoint_id))
            except globus_sdk.GlobusAPIError as error:
                if error.http_status not in _REFUSALS:
                    raise
                yield Check("endpoint", "fail", *_REFUSALS[error.http_status])
                return
            status = client.get_endpoint_status(str(endpoint_id))
    except GcWarmError as error:
        yield Check("endpoint", "fail", str(error))
        return
    yield from _described(said, status)


_REFUSALS = {
    404: ("the service knows no such endpoint", "Look it up: globus-compute-endpoint list."),
    403: ("it is someone else's, and not shared with you", "Ask its owner."),
}


def _described(said: dict[str, Any], status: dict[str, Any]) -> Iterator[Check]:
    name = said.get("display_name") or said.get("name") or "it"
    version = said.get("endpoint_version")
    details = {
        "name": name,
        "endpoint_version": version,
        "hostname": said.get("hostname"),
        "multi_user": said.get("multi_user"),
        **{key: status.get(key) for key in ("status", "details")},
    }
    where = f" on {said['hostname']}" if said.get("hostname") else ""
    what = f"{name}, globus-compute-endpoint {version or 'of unknown version'}{where}"
    if status.get("status") != "online":
        fix = "Start it on its own machine: globus-compute-endpoint start NAME."
        state = status.get("status")
        yield Check("endpoint", "fail", f"{what}: it is {state}, so tasks wait", fix, details)
        return
    yield Check("endpoint", "ok", f"{what}: it is online", details=details)
    ours = _version("globus-compute-sdk")
    if version and ours and _minor(version) != _minor(ours):
        message = f"the endpoint has {version}, the SDK here {ours}"
        fix = "Nothing, if all works; otherwise install the same version of both."
        yield Check("versions", "warn", message, fix)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
