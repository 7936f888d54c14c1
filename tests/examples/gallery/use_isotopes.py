import os
from pathlib import Path

from isotopes import mass

path = Path("masses.csv").absolute()
path.write_text("H1,1.00783\nC12,12.0\nO16,15.99491\n")
for formula in (["H1", "H1", "O16"], ["C12", "O16", "O16"]):
    call = executor.submit(mass.receipted, str(path), formula).result()
    print(f"{call.value:.5f} | cold starts: {call.receipt.cold_starts}")

path.write_text("H1,1.007825\nC12,12.0\nO16,15.994915\n")
os.utime(path, (2_000_000_000, 2_000_000_000))
call = executor.submit(mass.receipted, str(path), ["H1", "H1", "O16"]).result()
print(f"{call.value:.6f} | cold starts: {call.receipt.cold_starts}")
