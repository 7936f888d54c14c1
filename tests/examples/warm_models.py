from gc_warm import warm


@warm(maxsize=2)
def model(name: str, layers: int = 12) -> dict[str, object]:
    print(f"loading {name}, {layers} layers")
    return {"name": name, "layers": layers}


model("small")
model("small", layers=12)  # the same state: the key is all arguments, defaults included
model("large", layers=48)
model("small")  # still there: two have a place
model("other")  # the least recently used, "large", goes
model("large", layers=48)  # and is loaded again
