"""Fit the detector of key strokes (ae_transients) anew; see README.md."""
