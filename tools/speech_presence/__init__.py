"""Fit the classifier of ae_speech_presence to made-up scenes of speech in noise."""
