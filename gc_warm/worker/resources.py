"""Data files that travelled with a package, as `importlib.resources` reads them."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Carried:
    """A carried data file, or a folder of such: an `importlib.resources.abc.Traversable`.

    Args:
        loader: The loader of its package, which has the ``data`` by path.
        path: Where it is on the client.
    """

    def __init__(self, loader: Any, path: str) -> None:
        self._loader = loader
        self._path = path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return os.path.basename(self._path)  # noqa: PTH119

    def __str__(self) -> str:
        return self._path

    def __truediv__(self, child: str) -> Carried:
        return self.joinpath(child)

    def joinpath(self, *parts: str) -> Carried:
        """Return what lies below."""
        path = os.path.normpath(os.path.join(self._path, *parts))  # noqa: PTH118
        return Carried(self._loader, path)

    def is_file(self) -> bool:
        """Return whether it is a file that was carried."""
        return self._path in self._loader.data

    def is_dir(self) -> bool:
        """Return whether carried files lie in it."""
        return any(path.startswith(self._path + os.sep) for path in self._loader.data)

    def iterdir(self) -> Iterator[Carried]:
        """Yield what lies directly in it."""
        start = self._path + os.sep
        inside = [path[len(start) :] for path in self._loader.data if path.startswith(start)]
        yield from (self / name for name in sorted({path.partition(os.sep)[0] for path in inside}))

    def read_bytes(self) -> bytes:
        """Return the file's content.

        Raises:
            FileNotFoundError: It was not carried; the message says how to.
        """
        data: bytes = self._loader.get_data(self._path)
        return data

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Return the file's text, of UTF-8 by default."""
        text: str = self.open(encoding=encoding or "utf-8", errors=errors).read()
        return text

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        """Open the file for reading, as text or (``"rb"``) as bytes."""
        stream = io.BytesIO(self.read_bytes())
        if "b" in mode:
            return stream
        kwargs.setdefault("encoding", "utf-8")
        return io.TextIOWrapper(stream, *args, **kwargs)


class Reader(Carried):
    """The folder of a package, as its loader's ``get_resource_reader`` returns it."""

    def files(self) -> Carried:
        """Return the folder itself."""
        return self

    def open_resource(self, resource: str) -> IO[bytes]:
        """Open a data file of the package."""
        return (self / resource).open("rb")

    def resource_path(self, resource: str) -> str:
        """Raise, because a carried file is on no disk."""
        raise FileNotFoundError(resource)

    def is_resource(self, path: str) -> bool:
        """Return whether the package has such a data file."""
        return (self / path).is_file()

    def contents(self) -> Iterator[str]:
        """Yield the names of the package's data files and folders."""
        return (each.name for each in self.iterdir())
