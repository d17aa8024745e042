"""What works on the project but is no part of it."""
