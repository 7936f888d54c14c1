"""What the processes of one node share: folders that are filled once, and turns to build."""
