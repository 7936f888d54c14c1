from pathlib import Path

from gc_warm import LocalExecutor, node_folder, self_contained, warm


@node_folder
def weights(name: str, folder: Path) -> None:
    print(f"filling the folder for {name}")
    (folder / "weights.txt").write_text(f"the weights of {name}")  # or copy, or unpack


@warm
def model(name: str) -> str:
    return (weights(name) / "weights.txt").read_text()


@self_contained
def predict(text: str, name: str = "small") -> str:
    return f"{text}, by {model(name)}"


if __name__ == "__main__":
    print(predict("here"))
    print(predict("again"))
    print(len(list(weights("small").iterdir())), "file")
    with LocalExecutor(workers=2) as executor:
        calls = [executor.submit(predict.receipted, str(number)).result() for number in range(6)]
    print({call.value.partition(", ")[2] for call in calls})
    print(sum(call.receipt.node_cold_starts for call in calls), "folders filled by workers")
