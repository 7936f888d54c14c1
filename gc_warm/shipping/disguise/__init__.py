"""What libraries must believe of a self-contained function so that they send it whole."""
