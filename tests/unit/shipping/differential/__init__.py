"""Generated scripts and notebooks: the answer of a worker against that of the call made here.

`snippets` is what programs are made of, `programs` puts them together, `answers` is the worker and
the form in which answers are compared, `sessions` runs programs and submits what they say, `found`
keeps those that once went wrong. ``python -m differential`` looks for failures without stopping.
"""
