import inspect

from gc_warm import warm

for option in list(inspect.signature(warm).parameters.values())[1:]:
    print(f"{option.name} = {option.default!r}")
