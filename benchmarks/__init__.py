"""CPU-time benchmarks: the kernels beside peers, and the whole chain. Run by ``make bench``."""
