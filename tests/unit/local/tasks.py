"""Functions for workers to run; each imports what it needs, as a function for an endpoint must.

The tests get them from the `tasks` fixture, which runs this file as a script would be run: so they
are pickled by value, while workers would look in vain for a module of the tests.
"""

# ruff: noqa: T201 - some print


def add(a, b=2):
    return a + b


def echo(data):
    return data


def echo_with_pid(data):
    import os

    return data, os.getpid()


def fail():
    raise LookupError("no such thing: é")


def where():
    import os
    from pathlib import Path

    return {"pid": os.getpid(), "parent": os.getppid(), "folder": str(Path.cwd())}


def task_id():
    import os

    return os.environ["GC_TASK_UUID"]


def touch(path):
    from pathlib import Path

    Path(path).touch()


def pass_gate(begun, go):
    """Say at one pipe that it has begun, and wait at the other to be let go."""
    import os
    from pathlib import Path

    Path(begun).write_text(str(os.getpid()))
    Path(go).read_text()
    return os.getpid()


def make_large_text():
    return "x" * 11_000_000


def make_generator():
    return (each for each in ())


def make_pair():
    return (1, 2)


def make_broken_object():
    class Broken:
        def __reduce__(self):
            return int, ("not a number",)

    return Broken()


def exit_at_once(status):
    import os

    os._exit(status)


def exit_normally(status):
    import sys

    sys.exit(status)


def kill_self(number):
    import os
    import sys

    sys.stderr.write("about to die\n")
    os.kill(os.getpid(), number)


def die_the_first_time(path):
    """Die if the file is not there yet; make it first."""
    import os
    from pathlib import Path

    if not Path(path).exists():
        Path(path).write_text(str(os.getpid()))
        os._exit(5)
    return os.getpid()


def fork_and_return():
    """Come back twice, in two processes."""
    import os

    return os.fork() == 0


def fork_and_die():
    """Leave a child that keeps the worker's channel open."""
    import os
    import time

    if os.fork() == 0:
        time.sleep(600)
    os._exit(1)


def close_channel_and_sleep():
    import os
    import time

    os.closerange(3, 100)
    time.sleep(600)


def exit_with_a_thread_running():
    import sys
    import threading
    import time

    threading.Thread(target=time.sleep, args=(600,)).start()
    sys.exit(0)


def start_program():
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


def write_on_sigterm(path):
    """Install what a warm state's teardown installs."""
    import signal
    import sys
    from pathlib import Path

    def write(number, frame):
        Path(path).write_text("torn down")
        sys.exit(0)

    signal.signal(signal.SIGTERM, write)


def ignore_sigterm():
    import os
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return os.getpid()


def surroundings():
    """Tell all that a worker could have of its client."""
    import os
    import signal
    import sys
    import threading
    from pathlib import Path

    return {
        "argv": sys.argv,
        "descriptors": {
            int(entry.name): str(entry.readlink())
            for entry in Path("/proc/self/fd").iterdir()
            if entry.exists()
        },
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "is_main_thread": threading.current_thread() is threading.main_thread(),
        "main": sorted(vars(sys.modules["__main__"])),
        "modules": sorted(sys.modules),
        "path": sys.path,
        "pid": os.getpid(),
        "prefix": sys.prefix,
        "python": sys.executable,
        "signals": {
            name: repr(signal.getsignal(getattr(signal, name)))
            for name in ("SIGTERM", "SIGINT", "SIGCHLD", "SIGPIPE")
        },
        "stdin": sys.stdin.read(),
    }


def import_module(name):
    import importlib

    return importlib.import_module(name).__file__


def make_noise():
    import os
    import sys

    sys.stdout.write("noise on stdout")
    sys.stderr.write("noise on stderr")
    os.write(1, b"noise on descriptor 1")
    return "quiet"


# Printing


def talk(text="out"):
    import logging
    import os
    import sys

    print(text)
    print("err", file=sys.stderr)
    logging.getLogger("mylab").warning("logged")
    os.system("echo from a program")
    print("no end", end="")
    return os.getpid()


def print_and_fail(count=3, width=1):
    for number in range(count):
        print(str(number) * width)
    message = "wrong"
    raise ValueError(message)


def print_and_die(text):
    import os

    print(text, flush=True)
    os.abort()


def print_and_wait(path):
    import pathlib
    import time

    print("begun")
    while not pathlib.Path(path).exists():
        time.sleep(0.01)


def print_much():
    import sys

    for _ in range(300):
        sys.stdout.write("x" * 10_000)
    return "done"


def close_streams():
    import sys

    sys.stdout.close()
    sys.stderr = None
    return "closed"
