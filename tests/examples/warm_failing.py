from gc_warm import warm

now = 0.0
attempts = 0


@warm(retry_after=60, timer=lambda: now)
def database() -> str:
    global attempts  # noqa: PLW0603
    attempts += 1
    if now < 100:
        raise ConnectionError("the database is down")
    return "connected"


def ask() -> str:
    try:
        return database()
    except ConnectionError as error:
        return str(error)


for now in (0.0, 10.0, 50.0, 70.0, 140.0):
    print(f"{now:3.0f} s: {ask()}, attempts: {attempts}")
