import logging
from collections.abc import Iterator

from gc_warm import warm

logging.basicConfig(level=logging.CRITICAL)  # it is logged as an error; here we ask info()


@warm
def licence(name: str) -> Iterator[str]:
    yield name
    raise OSError("the licence server is gone")


licence("a")
print(licence("b"))  # the result is not hidden
print(licence.info().teardown_failures, licence.info().last_teardown_error)
