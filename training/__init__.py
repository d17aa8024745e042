"""Train the learned suppressor; see README.md."""
