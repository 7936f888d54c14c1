"""Functions for workers to run; see the `tasks` fixture."""


def add(a, b=2):
    return a + b


def echo(value):
    return value


def nothing():
    return None


def zero():
    return 0


def keyword_only(*, name, times=2):
    return name * times


def collect(first, *rest, **named):
    return first, rest, named


def kind(value):
    return type(value).__name__


def documented(value):
    """Give it back."""
    return value


def fail(message="no such thing: é"):
    raise LookupError(message)


def fail_in_chain():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer") from error


def fail_with_own_class():
    class OwnError(Exception):
        def __reduce__(self):
            raise TypeError("cannot be pickled")

    raise OwnError("of its own class")


def fail_at_length(count):
    raise ValueError("x" * count)


def recurse(depth):
    return recurse(depth - 1) if depth else 0


def recurse_inside(depth):
    def down(left):
        return down(left - 1) + 1 if left else 0

    return down(depth)


def raise_keyboard_interrupt():
    raise KeyboardInterrupt


def exit_normally(status):
    import sys

    sys.exit(status)


def exit_at_once(status):
    import os

    os._exit(status)


def make_text(size):
    return "x" * size


def make_generator():
    return (each for each in ())


def make_broken_object():
    class Broken:
        def __reduce__(self):
            return int, ("not a number",)

    return Broken()


def make_function():
    def inner(value):
        return value * 3

    return inner


def import_module(name):
    import importlib

    return importlib.import_module(name).__name__


def make_noise():
    import os
    import sys

    sys.stdout.write("noise on stdout")
    sys.stderr.write("noise on stderr")
    os.write(1, b"noise on descriptor 1")
    return "quiet"


def environment():
    import os

    return dict(os.environ)


def folder():
    from pathlib import Path

    return str(Path.cwd())


def write_file(name):
    from pathlib import Path

    Path(name).write_text("written")
    return str(Path(name).resolve())


def change_folder():
    import os

    os.chdir("/")


def open_files():
    from pathlib import Path

    return [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]


def signals():
    import signal

    every = signal.valid_signals()
    ignored = [number.name for number in every if signal.getsignal(number) == signal.SIG_IGN]
    return ignored, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def path_and_modules():
    import sys

    return sys.path, sorted(sys.modules), sorted(vars(sys.modules["__main__"]))


def arguments_of_program():
    import sys

    return sys.argv


def read_stdin():
    import sys

    return sys.stdin.read()


def umask():
    import os

    os.umask(mask := os.umask(0))
    return mask


def process_name():
    import multiprocessing

    return multiprocessing.current_process().name


def pid():
    import os

    return os.getpid()


def task_id():
    import os

    return os.environ["GC_TASK_UUID"]


def pass_gate(begun, go):
    """Say at one pipe that it has begun, and wait at the other to be let go."""
    from pathlib import Path

    Path(begun).write_text("begun")
    Path(go).read_text()
    return "passed"


class Adder:
    """Something callable that is not a function, as ShellFunction is."""

    __name__ = "Adder"

    def __init__(self, amount):
        self.amount = amount

    def __call__(self, value):
        return value + self.amount


def make_greeting(command):
    """Make an object of a subclass of ShellFunction, as users write them."""
    from globus_compute_sdk import ShellFunction

    class Greeting(ShellFunction):
        def __call__(self, **kwargs):
            return ShellFunction.__call__(self, **kwargs).stdout

    return Greeting(command)


def remember():
    """Count calls in the worker, where an installed module would keep its state."""
    import sys
    import types

    module = sys.modules.setdefault("contract_state", types.ModuleType("contract_state"))
    module.calls = getattr(module, "calls", 0) + 1
    return module.calls


add_one = lambda value: value + 1  # noqa: E731 - it is what is tested


def make_closure(amount):
    def add_amount(value):
        return value + amount

    return add_amount
