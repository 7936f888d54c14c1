from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from gc_warm import warm


@warm(wait=0.2)
def model(name: str) -> Iterator[str]:
    yield name
    print(f"{name} goes")


with ThreadPoolExecutor(1) as other:
    with model.lease("small") as net:
        try:
            other.submit(model, "large").result()
        except TimeoutError as error:
            print(error)
        print(f"using {net}")
    print(f"now there is {other.submit(model, 'large').result()}")
