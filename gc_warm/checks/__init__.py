"""Will it stay warm? Asked before anything is submitted."""
