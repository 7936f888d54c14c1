"""A program that is slow to start, adapted: it starts once and then answers."""

from gc_warm import serve

table = [number**2 for number in range(1_000_000)]  # what takes long


def solve(request: dict[str, int]) -> dict[str, int]:
    print("solving", request)  # harmless: it goes to standard error
    return {"square": table[request["n"]]}


if __name__ == "__main__":
    serve(solve, idle_timeout=600)
