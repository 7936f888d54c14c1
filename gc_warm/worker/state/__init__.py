"""`@warm`: what a worker builds once and keeps."""
