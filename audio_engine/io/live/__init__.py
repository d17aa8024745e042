"""The engine live: devices, streams, far-end sources, recording, and what they measure."""
