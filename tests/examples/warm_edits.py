from gc_warm import LocalExecutor, self_contained, warm


@warm
def model(name: str) -> str:
    return name.upper()


def counts() -> str:
    info = model.info()
    return f"{info.misses} built, {info.handed_over} handed over"


@self_contained
def ask() -> str:
    return f"{model('small')}: {counts()}"


if __name__ == "__main__":
    with LocalExecutor(workers=1) as executor:
        print(executor.submit(ask).result())

        @self_contained  # as if the cell was edited, and run again
        def ask() -> str:
            return f"now {model('small')}: {counts()}"

        print(executor.submit(ask).result())

        @warm
        def model(name: str) -> str:
            return name.title()

        print(executor.submit(ask).result())
