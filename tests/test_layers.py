"""The rooms of the project and the doors between them.

This file holds the two tables: which part of the Python package may import which, and which C file
may include which. An edge that is not in the tables fails here, named together with the rule. The
tests at the end feed wrong edges to the same checks and demand that they are caught.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "audio_engine"
CSRC = ROOT / "csrc"
C_TESTS = ROOT / "tests" / "c"

# --- Python: cli > batch > report > io > room > graph > processors > _native > _kernels; leaves ---

LEAVES = {"config", "errors", "preset_files", "wording"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "preset_files": {"errors"},
    "config": {"errors", "preset_files"},
    "wording": {"errors"},
    "_kernels": set(),
    "_native": {"_kernels", *LEAVES},
    "processors": {"_native", *LEAVES},
    "graph": {"processors", "_native", *LEAVES},
    "room": {"graph", "processors", *LEAVES},
    "analysis": {"processors", *LEAVES},
    "io": {"analysis", "room", "graph", "processors", "_native", *LEAVES},
    "report": {"io", "analysis", "graph", "processors", *LEAVES},
    "batch": {"report", "io", "graph", *LEAVES},
    "cli": {"batch", "report", "io", "analysis", "room", "graph", "processors", *LEAVES},
    # The package's own face, and `python -m audio_engine`.
    "__init__": {
        *("batch", "report", "io", "analysis", "room", "graph", "processors", "_native"),
        *LEAVES,
    },
    "__main__": {"cli"},
}

# Who may use what is installed beside us; imports inside functions count too.
MAY_USE: dict[str, set[str]] = {
    "numpy": set(MAY_IMPORT) - LEAVES,
    "scipy": {"processors", "analysis", "io", "report", "cli"},
    "soundfile": {"io"},
    "soxr": {"io"},
    "sounddevice": {"io"},
    "webrtcvad": {"processors"},
    "av": {"io"},
    "mediapipe": {"io"},
    "cv2": set(),
    "matplotlib": {"cli"},
    "PIL": {"report"},
    "distributed": {"batch"},
    "dask": set(),
    "tomli_w": {"config"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "textual": {"cli"},
}


def room_of(module: str) -> str:
    """Name the room of a dotted module of ours; both kernel builds are the room `_kernels`."""
    parts = module.split(".")
    if len(parts) == 1:
        return "__init__"
    return "_kernels" if parts[1].startswith("_kernels") else parts[1]


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import, in functions and type-checking blocks too.

    ``from a import x`` is yielded as ``a.x``, whether x is a module or a name in one.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".")
                here = here[: len(here) - node.level + is_package]
                base = ".".join([*here, base] if base else here)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (
                (node.lineno, f"audio_engine.{text.lstrip('.')}" if text[:1] == "." else text)
                for text in (a.value for a in node.args if isinstance(a, ast.Constant))
                if isinstance(text, str) and text != "audio_engine"
            )


def wrong_imports(package: Path) -> list[str]:
    """Return a line for every import of `package` that the tables do not allow."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join([package.name, *(parts[:-1] if is_package else parts)])
        room = room_of(module)
        where = path.relative_to(package.parent)
        if room not in MAY_IMPORT:
            wrong.append(f"{where}: {room} is no room of the table in tests/test_layers.py")
            continue
        for line, name in imported(path.read_text(encoding="utf-8"), module, is_package):
            top = name.split(".")[0]
            if top in MAY_USE and room not in MAY_USE[top]:
                allowed = ", ".join(sorted(MAY_USE[top]))
                wrong.append(f"{where}:{line}: {room} uses {top}; only these may: {allowed}")
            if top != package.name:
                continue
            to = room_of(name)
            if to not in MAY_IMPORT:  # a name of the package's face, not a room
                to = "__init__"
            if to not in (room, *MAY_IMPORT[room]):
                allowed = ", ".join(sorted(MAY_IMPORT[room])) or "nothing of ours"
                wrong.append(f"{where}:{line}: {room} imports {to} ({name}); it may: {allowed}")
    return wrong


def import_loop(package: Path) -> list[str]:
    """Return modules that import each other in a loop when loaded; empty when there is none."""
    edges: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_import = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        source = "\n".join(map(ast.unparse, at_import))
        names = {name for _, name in imported(source, module, is_package)}
        edges[module] = {name for name in names if room_of(name) != "_kernels"}
    for module, names in edges.items():
        modules = {name if name in edges else name.rpartition(".")[0] for name in names}
        edges[module] = modules & edges.keys() - {module}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_python_imports_point_downward() -> None:
    assert not wrong_imports(PACKAGE), "\n" + "\n".join(wrong_imports(PACKAGE))


def test_python_imports_have_no_loop() -> None:
    assert import_loop(PACKAGE) == []


# --- C: rows from the top; an include points to a lower row ---------------------------------


def row(names: str) -> set[str]:
    return {f"ae_{name}" for name in names.split()}


C_ROWS: list[set[str]] = [
    row("rt"),
    row("reblock capture_port"),
    row("graph"),
    row("switch"),
    row("step bypass"),
    row("echo_state mixer"),
    row("participant mix_minus"),
    # Kernels: never include each other.
    row("highpass echo_filter suppressor leveller limiter loudness clock_bridge")
    | row("lipsync sync_delay"),
    # Parts: of the echo filter, of the suppressor, of the leveller, of the mixer, of the meter, of
    # the lip-sync estimator.
    row("echo_align echo_stage noise_stage net_stage hum"),
    row("mask_net"),
    row("net_model"),
    row("net"),
    row("delay kalman residual_echo echo_net")
    | row("noise_psd speech_gain speech_presence spectral_points cepstral_snr late_reverb")
    | row("comfort_noise musical_noise rumble music_guard hum_search transients")
    | row("speech_loudness")
    | row("automix balance")
    | row("loudness_gate"),
    row("lip_score lip_confidence"),
    row("far_end drift echo_spectra echo_bands")
    | row("speech_features decay_time")
    | row("lip_audio lip_mouth lip_lags lip_bandpass lip_track"),
    row("lip_model"),
    row("resample") | row("far_queue"),  # resample is a kernel of its own too
    row("echo_view echo_net_weights speech_presence_weights transients_weights lipsync_weights"),
    row("stft biquad kweight true_peak ring dll")
    | row("callback load_guard fifo comparison peak_meter"),
    row("fft"),
    row("vector_math"),
    row("common math"),
    row("heap host"),
]
ATOMICS = {"ae_ring"}
# Calls that the audio thread must never make; ae_common wraps the allocator and counts.
FORBIDDEN = re.compile(
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|free|abort|exit|usleep|nanosleep"
    r"|pthread_\w+|thrd_\w+|mtx_\w+|[fsvn]*printf|puts|fopen|fwrite|time|clock\w*)\s*\("
)
FORBIDDEN_ALLOWED = {
    "ae_common.c": {"aligned_alloc", "free"},
    # The one file that talks to the operating system.
    "ae_host.c": {
        "clock_gettime",
        "pthread_self",
        "pthread_getschedparam",
        "pthread_setschedparam",
    },
}
_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([\w./]+)[>"]', re.MULTILINE)


def row_of(stem: str) -> int | None:
    return next((i for i, row in enumerate(C_ROWS) if stem in row), None)


def blank(text: str) -> str:
    """Blank out comments and strings, keeping the line numbers."""
    return _COMMENT_OR_STRING.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def wrong_includes(csrc: Path) -> list[str]:
    """Return a line for every include, atomic or forbidden call that the tables do not allow."""
    wrong = []
    for path in sorted([*csrc.glob("*.c"), *csrc.glob("*.h")]):
        text = path.read_text(encoding="utf-8")
        row = row_of(path.stem)
        if row is None:
            wrong.append(f"{path.name}: in no row of C_ROWS in tests/test_layers.py")
            continue
        for match in _INCLUDE.finditer(text):
            where = f"{path.name}:{line_of(text, match.start())}"
            name = match.group(1)
            if name == "stdatomic.h" and path.stem not in ATOMICS:
                wrong.append(f"{where}: C11 atomics belong to {', '.join(sorted(ATOMICS))} only")
            if not name.startswith("ae_"):
                continue
            to = Path(name).stem
            to_row = row_of(to)
            if to != path.stem and (to_row is None or to_row <= row):
                wrong.append(f"{where}: includes {name}, which is not in a row below {path.stem}")
        wrong += [f"{path.name}:{complaint}" for complaint in wrong_words(path, blank(text))]
    return wrong


def wrong_words(path: Path, code: str) -> Iterator[str]:
    """Yield "line: complaint" for atomics and calls that `path` may not hold."""
    for match in re.finditer(r"\b_Atomic\b|\batomic_\w+", code):
        if path.stem not in ATOMICS:
            yield f"{line_of(code, match.start())}: {match.group()} outside {', '.join(ATOMICS)}"
    for match in FORBIDDEN.finditer(code):
        if match.group(1) not in FORBIDDEN_ALLOWED.get(path.name, set()):
            yield (
                f"{line_of(code, match.start())}: calls {match.group(1)}; memory comes from "
                "ae_allocate, and the core neither prints, waits nor tells the time"
            )


def lonely_files(csrc: Path, c_tests: Path) -> list[str]:
    """Return a line for every .c file that lacks its header or its test."""
    wrong = []
    stems = {path.stem for path in csrc.glob("ae_*.[ch]")}
    for stem in sorted(path.stem for path in csrc.glob("ae_*.c")):
        wanted = [csrc / f"{stem}.h", c_tests / f"test_{stem}.c"]
        wrong += [f"{stem}: {path.name} is missing" for path in wanted if not path.exists()]
    known = {f"test_{stem}" for stem in stems}
    tests = [path for path in c_tests.glob("test_*.c") if path.stem not in known]
    return wrong + [f"{path.name}: tests no file of csrc" for path in tests]


def long_functions(csrc: Path, limit: int = 120) -> list[str]:
    """Return a line for every C function above `limit` lines (they end with a lone brace)."""
    wrong = []
    for path in sorted(csrc.glob("*.c")):
        start = None
        for number, line in enumerate(blank(path.read_text(encoding="utf-8")).splitlines(), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start > limit:
                    wrong.append(f"{path.name}:{start}: a function of {number - start} lines")
                start = None
    return wrong


def test_c_includes_point_downward() -> None:
    assert not wrong_includes(CSRC), "\n" + "\n".join(wrong_includes(CSRC))


def test_the_rows_name_what_there_is() -> None:
    named = set().union(*C_ROWS)
    assert named == {path.stem for path in CSRC.glob("ae_*.h")}


def test_each_kernel_has_its_header_and_its_test() -> None:
    assert not lonely_files(CSRC, C_TESTS), "\n" + "\n".join(lonely_files(CSRC, C_TESTS))


def test_c_functions_stay_short() -> None:
    assert not long_functions(CSRC), "\n" + "\n".join(long_functions(CSRC))


# --- the checks themselves catch what they are for ----------------------------------------------


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("processors/ns.py", "from audio_engine.graph import Graph", "processors imports graph"),
        ("processors/ns.py", "from ..graph import Graph", "processors imports graph"),
        ("processors/ns.py", "from .. import cli", "processors imports cli"),
        ("processors/__init__.py", "from ..cli.main import main", "processors imports cli"),
        ("graph/model.py", "def f():\n    import audio_engine.io.files", "graph imports io"),
        ("room/mixer.py", "from audio_engine.io.files import open_reader", "room imports io"),
        ("graph/model.py", "from audio_engine import Engine", "graph imports __init__"),
        ("config.py", "from audio_engine import _native", "config imports _native"),
        ("processors/ns.py", "from audio_engine import _kernels_x86_64_v3", "imports _kernels"),
        ("io/a.py", "importlib.import_module('audio_engine.cli')", "io imports cli"),
        ("__init__.py", "from .cli import main", "__init__ imports cli"),
        ("graph/model.py", "def f():\n    import soundfile", "graph uses soundfile"),
        ("helpers.py", "", "helpers is no room"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    file = tmp_path / "audio_engine" / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    complaints = wrong_imports(tmp_path / "audio_engine")
    assert len(complaints) == 1
    assert complaint in complaints[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cli/main.py", "from audio_engine.io.files import open_reader\nimport typer"),
        ("graph/model.py", "from ..processors import ns\nfrom . import other"),
        ("_native.py", "from importlib import import_module\nfrom audio_engine import _kernels"),
        ("io/offline.py", "from audio_engine.graph import Engine\nimport soxr"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / "audio_engine" / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    assert wrong_imports(tmp_path / "audio_engine") == []


def test_an_import_loop_is_caught(tmp_path: Path) -> None:
    (tmp_path / "audio_engine").mkdir()
    (tmp_path / "audio_engine" / "__init__.py").write_text("from audio_engine.graph import Graph")
    (tmp_path / "audio_engine" / "graph.py").write_text("from audio_engine.processors import Ns")
    (tmp_path / "audio_engine" / "processors.py").write_text("def f():\n    from . import graph")
    assert import_loop(tmp_path / "audio_engine") == []
    (tmp_path / "audio_engine" / "processors.py").write_text("from audio_engine.graph import Graph")
    assert set(import_loop(tmp_path / "audio_engine")) == {
        "audio_engine.graph",
        "audio_engine.processors",
    }


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("ae_leveller.c", '#include "ae_limiter.h"', "not in a row below ae_leveller"),
        ("ae_fft.h", '#include "ae_graph.h"', "not in a row below ae_fft"),
        ("ae_leveller.c", "#include <stdatomic.h>", "C11 atomics belong to ae_ring"),
        ("ae_leveller.c", "static _Atomic int count;", "_Atomic outside ae_ring"),
        ("ae_leveller.c", "/* malloc(1) */\nvoid *p(void) { return malloc(1); }", "calls malloc"),
        ("ae_common.c", "void *p(void) { return malloc(1); }", "calls malloc"),
        ("ae_limiter.c", 'void p(void) { printf("x"); }', "calls printf"),
        ("ae_ring.c", "void p(void) { pthread_mutex_lock(0); }", "calls pthread_mutex_lock"),
        ("ae_other.c", "", "in no row"),
    ],
)
def test_a_wrong_c_file_is_caught(tmp_path: Path, name: str, source: str, complaint: str) -> None:
    (tmp_path / name).write_text(source, encoding="utf-8")
    complaints = wrong_includes(tmp_path)
    assert len(complaints) == 1
    assert complaint in complaints[0]


def test_a_right_c_file_passes(tmp_path: Path) -> None:
    (tmp_path / "ae_common.c").write_text(
        '#include "ae_common.h"\nvoid f(void *p) { free(p); /* printf( */ puts_count(); }'
    )
    (tmp_path / "ae_suppressor.c").write_text('#include "ae_stft.h"\n#include "ae_echo_view.h"\n')
    assert wrong_includes(tmp_path) == []


def test_a_missing_test_or_header_is_caught(tmp_path: Path) -> None:
    (tmp_path / "ae_limiter.c").touch()
    assert lonely_files(tmp_path, tmp_path) == [
        "ae_limiter: ae_limiter.h is missing",
        "ae_limiter: test_ae_limiter.c is missing",
    ]


def test_a_long_function_is_caught(tmp_path: Path) -> None:
    (tmp_path / "ae_limiter.c").write_text("void f(void)\n{\n" + "    g();\n" * 120 + "}\n")
    assert long_functions(tmp_path) == ["ae_limiter.c:2: a function of 121 lines"]
