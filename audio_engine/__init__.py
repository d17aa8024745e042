"""Real-time and offline audio repair for live rooms: echo, noise, loudness, true peak."""

from __future__ import annotations
