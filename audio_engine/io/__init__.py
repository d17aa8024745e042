"""Files in and out: checked reading, atomic writing, whole files through the engine."""
