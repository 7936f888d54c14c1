from gc_warm import warm


@warm(maxsize=None, size=len, maxbytes=1000)
def tile(number: int) -> bytes:
    return bytes(100 * number)


def alive() -> str:
    entries = tile.info().entries
    return f"{[e.arguments for e in entries]}, {sum(e.size for e in entries)} bytes"


for number in (2, 3, 4, 5):
    tile(number)
    print(alive())

try:
    tile(11)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
