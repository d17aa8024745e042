"""Fit the weights that tell speech, music and noise apart (analysis/sound_class); see README.md."""
