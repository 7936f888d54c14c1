from dataclasses import dataclass

from gc_warm import warm


@dataclass(frozen=True)
class Config:
    layers: int


@warm(maxsize=None)
def model(config: object = None) -> object:
    return object()


for group in (
    (1, 1.0, True),
    (0.0, -0.0),
    (-1, -2),
    (Config(2), Config(2)),
    ((1, (2.0, "x")), (1, (2, "x"))),
    (float("nan"), float("nan")),
):
    states = {id(model(value)) for value in group}
    print(f"{group!s:36} states: {len(states)}")

try:
    model({"layers": 2})
except ValueError as error:
    print(error)
