"""The report of a repaired recording: figures, curves, events and advice, as HTML and JSON."""
