"""Commands of the command line that have a module of their own; `gc_warm.cli` adds them."""

from gc_warm.commands.check import check
from gc_warm.commands.doctor import doctor
from gc_warm.commands.register import functions, register
from gc_warm.commands.serve import serve

__all__ = ["check", "doctor", "functions", "register", "serve"]
