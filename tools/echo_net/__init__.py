"""Train the small net that judges what the echo filter leaves."""
