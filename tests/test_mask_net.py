"""The nets in C answer as they did in PyTorch, where they were trained.

tests/data holds what went in and what came out there, made together with the files of the nets:
``python -m training.export NET audio_engine/models/small.aenet --vector tests/data/small_net.npz``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_engine import _native

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "audio_engine" / "models"
ffi, lib = _native.ffi, _native.lib


def loaded(content: bytes) -> tuple[int, object]:
    """Return the status and the model."""
    out = ffi.new("ae_net_model **")
    status = lib.ae_net_model_create(out, ffi.from_buffer(content), len(content))
    return status, ffi.gc(out[0], lib.ae_net_model_destroy)


@pytest.mark.parametrize("tier", ["small", "large"])
def test_the_answers_are_pytorchs(tier: str) -> None:
    wanted = np.load(ROOT / "tests" / "data" / f"{tier}_net.npz")
    status, model = loaded((MODELS / f"{tier}.aenet").read_bytes())
    assert status == 0
    out = ffi.new("ae_mask_net **")
    assert lib.ae_mask_net_create(out, model, 0.3125) == 0
    net = ffi.gc(out[0], lib.ae_mask_net_destroy)
    hop, answer = ffi.new("ae_mask_net_hop *"), ffi.new("ae_mask_net_answer *")
    worst = dict.fromkeys(("gains", "filters", "speech"), 0.0)
    for t, bins in enumerate(wanted["bins"]):
        planes = [
            np.ascontiguousarray(plane, np.float32)
            for plane in (wanted["features"][t], bins.real, bins.imag, *wanted["aside"][t].T)
        ]
        hop.heard, hop.re, hop.im, *aside = (ffi.from_buffer("float[]", p.data) for p in planes)
        for n, plane in enumerate(aside):
            hop.aside[n] = plane
        lib.ae_mask_net_process(net, hop, answer)
        taps = [np.array(list(part)).reshape(3, 64).T for part in (answer.tap_re, answer.tap_im)]
        found = {
            "gains": np.array(list(answer.gain)),
            "filters": np.concatenate(taps, axis=1),
            "speech": answer.speech,
        }
        for name in worst:
            worst[name] = max(worst[name], float(np.abs(found[name] - wanted[name][t]).max()))
    assert max(worst.values()) < 1e-4, worst
    assert np.ptp(wanted["gains"]) > 0.5  # the net does something in it
