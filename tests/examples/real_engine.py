"""Run tasks by the engine of an endpoint's config."""

import os
import tempfile
from pathlib import Path

from gc_warm import LocalExecutor

folder = tempfile.TemporaryDirectory()
(Path(folder.name) / "user_config_template.yaml.j2").write_text(
    "engine: {type: ProcessPoolEngine, max_workers: {{ workers | default(1) }}}\n"
)

# --8<-- start
with LocalExecutor(
    endpoint_config=folder.name, user_endpoint_config={"workers": 2}, local_provider=True
) as executor:
    print(executor.submit(os.path.basename, "/a/b").result())
# --8<-- end
folder.cleanup()
