from batch import square_root

from gc_warm import LocalExecutor

with LocalExecutor(workers=1) as executor:
    for number in (1000, 1001, 1002):
        root, steps = executor.submit(square_root, number).result()
        print(f"{root:.6f} after {steps} steps")
