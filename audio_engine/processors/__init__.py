"""Single processors: each stage of the chain, usable alone, all with the same verbs."""
