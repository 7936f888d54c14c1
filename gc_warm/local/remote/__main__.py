"""Runs one of the modules beside it, in a Python that may have no gc-warm.

They are imported by a package name of their own, which no task asks for.
"""

import importlib
import os
import sys
import types

_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib takes a while

if sys.path[0] == _FOLDER:  # Python puts a script's folder there; no task must find our modules
    del sys.path[0]
package = types.ModuleType("_gc_warm_remote")
package.__path__ = [_FOLDER]
sys.modules[package.__name__] = package
importlib.import_module(f"{package.__name__}.{sys.argv.pop(1)}").main()
