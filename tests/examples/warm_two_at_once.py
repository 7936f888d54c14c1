from gc_warm import self_contained, warm


@warm
def model(name: str) -> str:
    print(f"loading {name}")
    return name


@self_contained
def compare() -> None:
    model("small")
    model("large")  # "small" is in use by this very call: both are alive
    model("small")
    print(f"during the call: {model.info().currsize} alive")


compare()
print(f"after it: {model.info().currsize} alive")
print(f"the capacity was exceeded {model.info().overdrafts} time")
