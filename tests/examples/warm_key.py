from typing import Any

from gc_warm import warm


@warm(key=lambda config, comment="": config["name"])
def model(config: dict[str, Any], comment: str = "") -> str:
    print(f"loading {config['name']}")
    return config["name"]


model({"name": "small", "seed": 1})
model({"name": "small", "seed": 2}, comment="the same")
