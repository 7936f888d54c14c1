from gc_warm import LocalExecutor, self_contained, warm

WORDS = ["cold", "warm"]


@warm
def index():
    return {word: place for place, word in enumerate(WORDS)}


@self_contained(requires=["packaging>=20"])
def find(word):
    return index()[word]


if __name__ == "__main__":
    print(find.requirements().strip())
    with LocalExecutor(workers=1) as executor:
        print([executor.submit(find, word).result() for word in WORDS])
        print(executor.submit(find.receipted, "warm").result().receipt.cold_starts, "cold starts")
