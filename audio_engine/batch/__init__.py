"""Many files: a plan, a manifest, and workers of this machine or of a cluster."""
