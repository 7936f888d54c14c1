"""Functions, classes and values, made again from what `gc_warm.shipping.definitions` sends."""
