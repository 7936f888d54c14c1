import os
import sys

from gc_warm import warm


@warm
def connection() -> str:
    return f"made by {'the parent' if os.getpid() == parent else 'the child'}"


@warm(fork="keep")
def table() -> str:
    return f"made by {'the parent' if os.getpid() == parent else 'the child'}"


parent = os.getpid()
connection()
table()
sys.stdout.flush()

if (child := os.fork()) == 0:
    print("connection", connection(), flush=True)
    print("table", table(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("in the parent, connection", connection())
