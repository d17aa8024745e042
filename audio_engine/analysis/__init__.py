"""Findings in recordings: what is wrong with a sound, and when. No files, no devices."""
