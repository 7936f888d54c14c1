"""The rules for endpoint configs, one function each."""
