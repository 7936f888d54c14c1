"""Will it stay warm? Said before anything is submitted."""
