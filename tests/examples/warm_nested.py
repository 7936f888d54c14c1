from gc_warm import warm


@warm
def vocabulary() -> list[str]:
    print("reading the vocabulary")
    return ["a", "b", "c"]


@warm(maxsize=2)
def model(name: str) -> int:
    print(f"loading {name}")
    return len(vocabulary())


model("small")
model("large")  # uses the vocabulary that is there


@warm
def chicken() -> object:
    return egg()


@warm
def egg() -> object:
    return chicken()


try:
    chicken()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
