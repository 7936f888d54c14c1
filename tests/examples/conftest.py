"""Leave the sample project to the tests that run it as a project of its own."""

collect_ignore = ["project"]
