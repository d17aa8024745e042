"""Graphs: nodes and edges in Python, checked, compiled to the C plan; and the ready-made Engine."""
