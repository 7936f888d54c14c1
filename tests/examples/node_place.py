import os
import tempfile

from gc_warm import node_stats

os.environ["GC_WARM_NODE_DIR"] = tempfile.gettempdir()
print(node_stats()["place"])
