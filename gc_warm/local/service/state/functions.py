"""The functions that the services know, and who may run them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gc_warm.local.failures import TOO_LARGE
from gc_warm.local.service.state.records import Function
from gc_warm.local.service.state.refusals import Forbidden, TooLarge, Unknown
from gc_warm.local.service.state.store import Table
from gc_warm.units import MAX_SUBMISSION_BYTES

if TYPE_CHECKING:
    from uuid import UUID

    from gc_warm.local.service.state.records import Endpoint, Identity
    from gc_warm.local.service.state.store import Store


def check_size(payload_bytes: int) -> None:
    """Refuse what is too large.

    Raises:
        TooLarge: It is.
    """
    if payload_bytes > MAX_SUBMISSION_BYTES:
        text = f"A submission of {payload_bytes} bytes exceeds {MAX_SUBMISSION_BYTES} bytes."
        text += f" {TOO_LARGE}"
        raise TooLarge("REQUEST_TOO_LARGE", text)


class Functions:
    """The registered functions.

    What there is not is `Unknown`; what is someone else's, and not shared, is `Forbidden`.

    Args:
        store: What keeps them.
    """

    def __init__(self, store: Store) -> None:
        self._table = Table(store, Function)

    def register(self, function: Function) -> None:
        """Remember a function.

        Raises:
            TooLarge: Its code is.
        """
        check_size(len(function.code))
        self._table.put(function)

    def find(self, asker: Identity, function_id: UUID) -> Function:
        """Return a function that someone may see and run."""
        function = self._table.get(function_id)
        if function is None or function.deleted:
            text = f"Function {function_id} could not be resolved."
            raise Unknown("FUNCTION_NOT_FOUND", text)
        shared = function.public or function.group in asker.groups
        if not shared:
            _demand_owner(asker, function)
        return function

    def delete(self, asker: Identity, function_id: UUID) -> None:
        """Let nobody run a function any more; tasks that were submitted before still run."""
        function = self.find(asker, function_id)
        _demand_owner(asker, function)
        self._table.put(replace(function, deleted=True))

    def code(self, function_id: UUID) -> str:
        """Return the code of a function, deleted or not."""
        return self._table[function_id].code


def _demand_owner(asker: Identity, function: Function) -> None:
    if not asker.is_same_as(function.owner):
        text = f"Unauthorized access to function {function.id}"
        raise Forbidden("FUNCTION_ACCESS_FORBIDDEN", text)


def check_allowed(function: Function, endpoint: Endpoint) -> None:
    """Refuse a function that an endpoint does not run.

    Raises:
        Forbidden: It does not.
    """
    allowed = endpoint.registration.allowed_functions
    elsewhere = function.ha_endpoint_id and function.ha_endpoint_id != endpoint.id
    if elsewhere or (allowed is not None and function.id not in allowed):
        text = f"Function {function.id} not permitted on endpoint {endpoint.id}"
        raise Forbidden("FUNCTION_NOT_PERMITTED", text)
