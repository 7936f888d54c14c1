from gc_warm import errors, warm


@warm(size=len, maxbytes=10)
def table(length: int) -> bytes:
    return bytes(length)


def error_of(argument: object) -> str:
    try:
        table(argument)
    except errors.GcWarmError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


print(error_of([3]))
print(error_of(30))
