"""What goes wrong with what a node's processes share."""

from gc_warm.errors import GcWarmError


class NodeFolderError(GcWarmError):
    """A folder of the node cannot be had: its place is not safe, has no locks, or is full."""


class NodeTimeoutError(NodeFolderError, TimeoutError):
    """Another process of the node was at work for too long; the message says which."""


class DiskFullError(NodeFolderError):
    """There is no space for a folder of the node."""
