"""Load a config without doing what it would do: no connection, no scheduler, no cloud resource.

Parsl's constructors act: ``AWSProvider`` makes a network with its gateway, ``KubernetesProvider``
wants a cluster, ``SlurmProvider`` asks the scheduler, and an engine without an address asks a
service on the internet for one. Here, each only remembers what it is given. Whatever else opens a
connection is refused.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from typing import Any

import parsl.addresses
import parsl.executors.high_throughput.executor
import parsl.providers
import parsl.providers.local.local
import typeguard
from parsl.providers.cluster_provider import ClusterProvider

# Makes resources, and so is only remembered; what is said of it then.
CLOUD = ("AWSProvider", "AzureProvider", "GoogleCloudProvider")
REMEMBERED = (*CLOUD, "KubernetesProvider")
SOMEWHERE = "127.0.0.1"  # stands for an address of the machine where the endpoint will run

_CONNECTS = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
}
_STARTS = {"os.exec", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen"}


class Submitted(BaseException):
    """Raised where a provider hands a block to its scheduler; nobody else may catch it."""


def disarm(notes: list[str], *, programs: bool) -> None:
    """Make loading a config harmless, for the rest of this process.

    Args:
        notes: Gets what could not be verified because of that.
        programs: Whether programs may be started: a ``config.py`` is one itself.
    """
    _replace(parsl.addresses, "address_by_interface", _address_by_interface(notes))
    for name in ("address_by_route", "address_by_hostname", "address_by_query"):
        original = getattr(parsl.addresses, name)
        _replace(parsl.addresses, name, _answering(SOMEWHERE, original))
    asks = parsl.executors.high_throughput.executor
    _replace(asks, "get_all_addresses", _answering({SOMEWHERE}, asks.get_all_addresses))
    for name in REMEMBERED:
        provider = getattr(parsl.providers, name)
        _replace(provider, "__init__", _remembering(provider, notes))
    _replace(ClusterProvider, "execute_wait", _answer)
    _replace(parsl.providers.local.local, "execute_wait", _submit)
    sys.addaudithook(functools.partial(_refuse, _CONNECTS if programs else _CONNECTS | _STARTS))


def _replace(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _answering(value: Any, original: Any) -> Any:
    """Make a function that takes what the original takes, and does nothing for its answer."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def answer(*args: Any, **kwargs: Any) -> Any:
        signature.bind(*args, **kwargs)
        return value

    return answer


def _address_by_interface(notes: list[str]) -> Any:
    original = parsl.addresses.address_by_interface

    def look_up(ifname: str) -> str:
        try:
            return str(original(ifname))
        except OSError as error:
            notes.append(f"this machine has no network interface {ifname!r}: {error}")
            return SOMEWHERE

    return look_up


def _remembering(provider: type[Any], notes: list[str]) -> Any:
    """Make a constructor that checks and keeps its arguments, and does nothing else."""
    original = provider.__init__
    signature, hints = inspect.signature(original), typing.get_type_hints(original)

    @functools.wraps(original)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        for name, value in list(bound.arguments.items())[1:]:
            try:
                typeguard.check_type(value, hints.get(name, Any))
            except typeguard.TypeCheckError as error:
                raise TypeError(f'argument "{name}": {error}') from error
            setattr(self, name, value)
        self.script_dir = None
        vars(self).setdefault("nodes_per_block", 1)
        if provider.__name__ in CLOUD:
            notes.append(
                f"{provider.__name__} is not made here, because it creates cloud resources; its "
                "account, keys and images are not verified"
            )

    return remember


def _answer(provider: Any, *_: Any, **__: Any) -> tuple[int, str, str]:
    """Stand for a scheduler: it takes blocks, and answers nothing else."""
    if provider.script_dir is not None:  # it has one from when it could submit
        raise Submitted
    return 1, "", "not asked while checking"


def _submit(*_: Any, **__: Any) -> None:
    raise Submitted


def _refuse(events: set[str], event: str, args: tuple[Any, ...]) -> None:
    if event not in events or (event == "socket.connect" and isinstance(args[1], str | bytes)):
        return  # a text is a socket of this machine
    raise PermissionError(f"a check opens no connections and starts no programs ({event})")
