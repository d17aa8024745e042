"""Rooms of several participants."""
