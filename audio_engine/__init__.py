"""Real-time and offline audio repair for live rooms: echo, noise, loudness, true peak.

Examples
--------
>>> import numpy as np
>>> import audio_engine as ae
>>> mic = np.random.default_rng(1).standard_normal(16000) * 0.01
>>> clean = ae.enhance(mic, sample_rate_hz=16000, preset="solo-host")
>>> clean.shape
(16000,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audio_engine._native import kernel_build
from audio_engine.config import (
    AgcConfig,
    EchoConfig,
    EngineConfig,
    HighPassConfig,
    LimiterConfig,
    LipSyncConfig,
    LipSyncCorrectorConfig,
    MeterConfig,
    NoiseConfig,
)
from audio_engine.errors import (
    AudioEngineError,
    ConfigError,
    DeviceError,
    FormatError,
    InputFileError,
    ModelError,
    ModelWarning,
    StateError,
    StreamError,
)
from audio_engine.graph.compile import CompiledGraph, compile_graph
from audio_engine.graph.engine import Engine, enhance
from audio_engine.graph.model import Graph
from audio_engine.preset_files import preset_names
from audio_engine.processors.aec import EchoCanceller
from audio_engine.processors.agc import LoudnessLeveler
from audio_engine.processors.base import Processor, process_whole
from audio_engine.processors.limiter import TruePeakLimiter
from audio_engine.processors.lip_sync_corrector import LipSyncCorrector
from audio_engine.processors.loudness import (
    LoudnessMeter,
    LoudnessSeries,
    loudness_series,
    measure_loudness,
)
from audio_engine.processors.ns import NoiseSuppressor
from audio_engine.processors.resample import Resampler, resample
from audio_engine.processors.segments import SpeechSegment
from audio_engine.processors.stats import (
    EchoStats,
    EngineStats,
    LevelStats,
    LimiterStats,
    LipSyncStats,
    LoudnessStats,
    NoiseStats,
    ParticipantStats,
    RoomStats,
    SpeechStats,
    TeamStats,
)
from audio_engine.processors.vad import VoiceActivityDetector
from audio_engine.room.mixer import RoomMix, RoomMixer

if TYPE_CHECKING:
    from audio_engine.analysis.room_check import RoomCheck
    from audio_engine.analysis.sound_class import SoundClassifier, SoundSegment
    from audio_engine.io.clapper import ClapperMeasurement, measure_clapper
    from audio_engine.io.clapper_film import write_clapper
    from audio_engine.io.comparison import FileComparison, compare_files
    from audio_engine.io.face_mesh import FaceLandmarkerTracker, FaceMeshTracker
    from audio_engine.io.faces import Face, MouthTracker
    from audio_engine.io.lip_sync import FaceLipSync, LipSyncMeasurement, measure_lip_sync
    from audio_engine.io.lip_sync_correct import CorrectionReport, correct_lip_sync
    from audio_engine.io.live.session import LiveSession
    from audio_engine.io.live.simulated import SimulatedStream
    from audio_engine.io.live.stats import LiveEvent, LiveStats
    from audio_engine.io.live.stream import LiveStream, LoopbackDevice
    from audio_engine.io.measurement import FileMeasurement, measure_file
    from audio_engine.io.mixdown import MixedParticipant, MixReport, mix_files
    from audio_engine.io.normalise import normalise_loudness
    from audio_engine.io.offline import FileReport, process_file
    from audio_engine.io.room_check import CheckedRoom, check_file
    from audio_engine.processors.lipsync import (
        MOUTH_SIGNALS,
        LipSyncEstimate,
        LipSyncEstimator,
        LipSyncWeights,
    )

__version__ = "0.1.0"

# Live audio and files are loaded when they are used: the import stays quick.
_MODULE_OF = {
    "CheckedRoom": "audio_engine.io.room_check",
    "ClapperMeasurement": "audio_engine.io.clapper",
    "CorrectionReport": "audio_engine.io.lip_sync_correct",
    "Face": "audio_engine.io.faces",
    "FaceLandmarkerTracker": "audio_engine.io.face_mesh",
    "FaceLipSync": "audio_engine.io.lip_sync",
    "FaceMeshTracker": "audio_engine.io.face_mesh",
    "FileComparison": "audio_engine.io.comparison",
    "FileMeasurement": "audio_engine.io.measurement",
    "FileReport": "audio_engine.io.offline",
    "LipSyncEstimate": "audio_engine.processors.lipsync",
    "LipSyncEstimator": "audio_engine.processors.lipsync",
    "LipSyncMeasurement": "audio_engine.io.lip_sync",
    "LipSyncWeights": "audio_engine.processors.lipsync",
    "LiveEvent": "audio_engine.io.live.stats",
    "LiveSession": "audio_engine.io.live.session",
    "LiveStats": "audio_engine.io.live.stats",
    "LiveStream": "audio_engine.io.live.stream",
    "LoopbackDevice": "audio_engine.io.live.stream",
    "MOUTH_SIGNALS": "audio_engine.processors.lipsync",
    "MixReport": "audio_engine.io.mixdown",
    "MixedParticipant": "audio_engine.io.mixdown",
    "MouthTracker": "audio_engine.io.faces",
    "RoomCheck": "audio_engine.analysis.room_check",
    "SimulatedStream": "audio_engine.io.live.simulated",
    "SoundClassifier": "audio_engine.analysis.sound_class",
    "SoundSegment": "audio_engine.analysis.sound_class",
    "check_file": "audio_engine.io.room_check",
    "compare_files": "audio_engine.io.comparison",
    "correct_lip_sync": "audio_engine.io.lip_sync_correct",
    "measure_clapper": "audio_engine.io.clapper",
    "measure_file": "audio_engine.io.measurement",
    "measure_lip_sync": "audio_engine.io.lip_sync",
    "mix_files": "audio_engine.io.mixdown",
    "normalise_loudness": "audio_engine.io.normalise",
    "process_file": "audio_engine.io.offline",
    "write_clapper": "audio_engine.io.clapper_film",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULE_OF[name]), name)


__all__ = [
    "MOUTH_SIGNALS",
    "AgcConfig",
    "AudioEngineError",
    "CheckedRoom",
    "ClapperMeasurement",
    "CompiledGraph",
    "ConfigError",
    "CorrectionReport",
    "DeviceError",
    "EchoCanceller",
    "EchoConfig",
    "EchoStats",
    "Engine",
    "EngineConfig",
    "EngineStats",
    "Face",
    "FaceLandmarkerTracker",
    "FaceLipSync",
    "FaceMeshTracker",
    "FileComparison",
    "FileMeasurement",
    "FileReport",
    "FormatError",
    "Graph",
    "HighPassConfig",
    "InputFileError",
    "LevelStats",
    "LimiterConfig",
    "LimiterStats",
    "LipSyncConfig",
    "LipSyncCorrector",
    "LipSyncCorrectorConfig",
    "LipSyncEstimate",
    "LipSyncEstimator",
    "LipSyncMeasurement",
    "LipSyncStats",
    "LipSyncWeights",
    "LiveEvent",
    "LiveSession",
    "LiveStats",
    "LiveStream",
    "LoopbackDevice",
    "LoudnessLeveler",
    "LoudnessMeter",
    "LoudnessSeries",
    "LoudnessStats",
    "MeterConfig",
    "MixReport",
    "MixedParticipant",
    "ModelError",
    "ModelWarning",
    "MouthTracker",
    "NoiseConfig",
    "NoiseStats",
    "NoiseSuppressor",
    "ParticipantStats",
    "Processor",
    "Resampler",
    "RoomCheck",
    "RoomMix",
    "RoomMixer",
    "RoomStats",
    "SimulatedStream",
    "SoundClassifier",
    "SoundSegment",
    "SpeechSegment",
    "SpeechStats",
    "StateError",
    "StreamError",
    "TeamStats",
    "TruePeakLimiter",
    "VoiceActivityDetector",
    "__version__",
    "check_file",
    "compare_files",
    "compile_graph",
    "correct_lip_sync",
    "enhance",
    "kernel_build",
    "loudness_series",
    "measure_clapper",
    "measure_file",
    "measure_lip_sync",
    "measure_loudness",
    "mix_files",
    "normalise_loudness",
    "preset_names",
    "process_file",
    "process_whole",
    "resample",
    "write_clapper",
]
