"""Make the cffi definition from the public headers.

The text between ``/* ffi:begin */`` and ``/* ffi:end */`` of every header is the whole binding, so
header and binding cannot drift apart. Run by CMake through ``python -m cffi.gen_src exec-python``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
_MARKED = re.compile(r"/\* ffi:begin \*/(.*?)/\* ffi:end \*/", re.DOTALL)
_INCLUDE = re.compile(r'^#include "(ae_\w+\.h)"', re.MULTILINE)


def headers_in_order() -> list[Path]:
    """Return every header with a marked block, each after the headers it includes."""
    order: list[Path] = []

    def visit(header: Path) -> None:
        if header in order:
            return
        for name in _INCLUDE.findall(header.read_text(encoding="utf-8")):
            visit(HERE / name)
        order.append(header)

    for header in sorted(HERE.glob("ae_*.h")):
        visit(header)
    return [h for h in order if _MARKED.search(h.read_text(encoding="utf-8"))]


def build() -> FFI:
    """Return the FFI whose C source includes the same headers it was made from."""
    ffi = FFI()
    headers = headers_in_order()
    for header in headers:
        for block in _MARKED.findall(header.read_text(encoding="utf-8")):
            ffi.cdef(block)
    ffi.set_source(
        f"audio_engine.{os.environ.get('AE_MODULE', '_kernels')}",
        "\n".join(f'#include "{header.name}"' for header in headers),
    )
    return ffi


ffibuilder = build()
