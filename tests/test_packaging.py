"""The package as a whole: what an import does, which kernels run, what the public face promises."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import typing
import zipfile
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import audio_engine as ae
from audio_engine import _native, config, preset_files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "audio_engine"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Modules that cost time or touch devices; each is imported by the function that needs it.
LAZY = {
    "PIL", "cffi", "click", "rich", "scipy", "sounddevice", "soundfile", "soxr", "textual",
    "tomli_w", "typer", "webrtcvad",
}  # fmt: skip
PUBLIC = {name: getattr(ae, name) for name in ae.__all__}
CALLABLES = {name: value for name, value in PUBLIC.items() if callable(value)}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, away from the checkout's root."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tests",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# --- importing ---


def test_import_loads_numpy_and_the_extension_only() -> None:
    result = python(
        "import sys, audio_engine; print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "numpy" in loaded
    assert not loaded & LAZY


def test_lazy_modules_are_the_dependencies() -> None:
    names = {re.split(r"[\s><=~!\[]", line)[0] for line in PROJECT["dependencies"]}
    modules = {name.removesuffix("-wheels").replace("-", "_") for name in names}
    modules = {{"pillow": "PIL"}.get(name, name) for name in modules}
    assert modules - {"numpy"} <= LAZY


def test_works_where_portaudio_is_missing() -> None:
    result = python(
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "import numpy as np, audio_engine as ae\n"
        "print(ae.enhance(np.zeros(4800), sample_rate_hz=48000).shape)\n"
        "try:\n    import sounddevice\nexcept OSError:\n    print('no PortAudio')"
    )
    assert result.stdout.splitlines() == ["(4800,)", "no PortAudio"], result.stderr


@pytest.mark.parametrize("build", ["baseline", "v3"])
def test_import_leaves_the_floating_point_mode_alone(build: str) -> None:
    if build == "v3" and not _native.lib.ae_cpu_has_v3():
        pytest.skip("this processor has no AVX2: only the baseline kernels run")
    result = python(
        "import numpy as np, audio_engine\n"
        "print((np.full(8, 1e-40, np.float32) * np.float32(1) != 0).all())",
        AUDIO_ENGINE_KERNELS=build,
    )
    assert result.stdout.strip() == "True", result.stderr


# --- the choice of kernels ---


@pytest.mark.parametrize(("wanted", "build"), [("baseline", "baseline"), ("v3", "x86-64-v3")])
def test_the_environment_chooses_the_kernels(wanted: str, build: str) -> None:
    if wanted == "v3" and not _native.lib.ae_cpu_has_v3():
        pytest.skip("this processor has no AVX2: only the baseline kernels run")
    code = "from audio_engine import _native; print(_native.kernel_build())"
    result = python(code, AUDIO_ENGINE_KERNELS=wanted)
    assert result.stdout.strip() == build, result.stderr


def test_the_best_kernels_are_the_default() -> None:
    code = "from audio_engine import _native; print(_native.kernel_build())"
    best = "x86-64-v3" if _native.lib.ae_cpu_has_v3() else "baseline"
    assert python(code, AUDIO_ENGINE_KERNELS="").stdout.strip() == best


def test_an_unknown_kernel_build_is_refused_with_the_known_ones() -> None:
    result = python("import audio_engine", AUDIO_ENGINE_KERNELS="avx512")
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert "AUDIO_ENGINE_KERNELS='avx512' is not known; use baseline or v3" in last


# --- the public face ---


def test_version_is_said_once() -> None:
    assert ae.__version__ == PROJECT["version"] == version(PROJECT["name"])


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(
        r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert PROJECT["version"] in headings


SOURCES = sorted((ROOT / "audio_engine").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_whatever_has_no_underscore_has_a_docstring_and_a_return_type(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name}, line {node.lineno}"
            assert isinstance(node, ast.ClassDef) or node.returns, f"{node.name}, {node.lineno}"


def public_methods(kind: type) -> dict[str, Any]:
    found = {}
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if not name.startswith("_") and (
            isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
        ):
            found[f"{kind.__name__}.{name}"] = member
    return found


METHODS = {
    name: member
    for kind in CLASSES.values()
    if kind.__module__.startswith("audio_engine")
    for name, member in public_methods(kind).items()
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    if callable(PUBLIC[name]):
        assert inspect.getdoc(PUBLIC[name])


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(METHODS[name])


def wanting_annotation(function: Any) -> list[str]:
    """Name the parameters, and "return", that have no annotation."""
    signature = inspect.signature(function)
    wanting = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is inspect.Parameter.empty and name not in {"self", "cls"}
    ]
    return wanting + ["return"] * (signature.return_annotation is inspect.Signature.empty)


@pytest.mark.parametrize("name", [n for n in CALLABLES if n not in CLASSES])
def test_public_functions_are_annotated(name: str) -> None:
    assert not wanting_annotation(CALLABLES[name])
    assert typing.get_type_hints(CALLABLES[name])


@pytest.mark.parametrize("name", METHODS)
def test_public_methods_are_annotated(name: str) -> None:
    member = METHODS[name]
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    assert not wanting_annotation(function)


# --- defaults: the class, its configuration and the functions beside it say the same ---

CONFIG_OF = {
    "EchoCanceller": config.EchoConfig,
    "NoiseSuppressor": config.NoiseConfig,
    "LoudnessLeveler": config.AgcConfig,
    "TruePeakLimiter": config.LimiterConfig,
    "LoudnessMeter": config.MeterConfig,
}


# Whether a stage runs at all, and what it leaves to the noise suppressor's net behind it.
OF_THE_CHAIN = {"enabled", "residual"}


def defaults(function: Any) -> dict[str, Any]:
    """Return the parameters that have a default."""
    parameters = inspect.signature(function).parameters.items()
    return {n: p.default for n, p in parameters if p.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("name", CONFIG_OF)
def test_a_processor_has_the_parameters_of_its_configuration(name: str) -> None:
    wanted = {item.name: item.default for item in fields(CONFIG_OF[name])}
    wanted = {key: value for key, value in wanted.items() if key not in OF_THE_CHAIN}
    given = defaults(PUBLIC[name])
    assert {key: given.get(key, MISSING) for key in wanted} == wanted


@pytest.mark.parametrize("name", CLASSES)
def test_rate_and_channel_defaults_agree(name: str) -> None:
    wanted = {item.name: item.default for item in fields(config.EngineConfig)}
    given = defaults(CLASSES[name].__init__)
    if "sample_rate_hz" in given:
        for key in ("sample_rate_hz", "channels", "far_channels"):
            assert given.get(key, wanted[key]) == wanted[key], key


@pytest.mark.parametrize("pair", [("measure_loudness", "LoudnessMeter")])
def test_function_and_class_agree(pair: tuple[str, str]) -> None:
    function, kind = (defaults(PUBLIC[name]) for name in pair)
    shared = function.keys() & kind.keys()
    assert {key: function[key] for key in shared} == {key: kind[key] for key in shared}


# --- the distributions ---


def build(what: str, target: Path) -> Path:
    """Build an sdist or a wheel with the project's own backend; return the file."""
    # The objects of `make` are used again; a checkout without them compiles here.
    settings = {"build-dir": str(ROOT / "build" / "editable")}
    code = (
        "import sys; from scikit_build_core.build import build_sdist, build_wheel\n"
        f"print('made', build_{what}({str(target)!r}, {settings!r}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return target / result.stdout.splitlines()[-1].removeprefix("made ")


def test_the_sdist_holds_the_sources_and_nothing_made(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        paths = [name.partition("/")[2] for name in archive.getnames()]
    tops = {path.split("/")[0] for path in paths}
    assert {"audio_engine", "csrc", "tests", "fixtures", "CMakeLists.txt", "LICENSE"} <= tops
    assert not tops & {".venv", "build", "dist", "demo-output", ".git"}
    assert not [path for path in paths if path.endswith((".so", ".pyc"))]


def test_the_wheel_is_abi3_and_holds_the_package_only(tmp_path: Path) -> None:
    wheel = build("wheel", tmp_path)
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    manual = "data/share/man/man1/audio-engine.1"
    assert [name for name in names if name.endswith(manual)]
    others = (name for name in names if ".dist-info/" not in name and not name.endswith(manual))
    assert {name.split("/")[0] for name in others} == {"audio_engine"}
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    for preset in preset_files.preset_names():
        assert f"audio_engine/presets/{preset}.toml" in names
    data = {".aenet", ".css", ".html", ".js", ".json", ".toml", ".wav", ".flac"}
    for path in (path for path in PACKAGE.rglob("*") if path.suffix in data):
        assert str(path.relative_to(ROOT)) in names
    extensions = [name for name in names if name.endswith(".so")]
    assert extensions
    assert all(".abi3." in name for name in extensions)


def test_no_compiler_flag_changes_the_whole_process() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    flags = re.sub(r"#.*", "", text).split()
    banned = {"-ffast-math", "-Ofast", "-ffinite-math-only", "-march=native"}
    assert not banned & {flag.strip(')"') for flag in flags}
