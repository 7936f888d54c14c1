"""What warmth costs and saves, measured side by side in one run and reported as ratios."""
