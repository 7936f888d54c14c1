"""Leave the sample projects to the tests that run them as projects of their own."""

collect_ignore = ["project", "project_service"]
