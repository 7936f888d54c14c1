"""The commands of ``gc-warm``, one in each module; `gc_warm.cli` puts them together."""
