"""Sound cards and a JACK server made of software: live tests on a machine that has none."""

from soundcard.jack_server import JackRoom, JackServer
from soundcard.needs import missing_for_card, missing_for_jack
from soundcard.soft_card import SoftwareCard

__all__ = ["JackRoom", "JackServer", "SoftwareCard", "missing_for_card", "missing_for_jack"]
