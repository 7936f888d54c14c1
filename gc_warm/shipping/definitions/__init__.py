"""What a script or notebook has defined, taken apart for `gc_warm.worker.definitions`."""
