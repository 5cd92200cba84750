"""What the tests share: the reference material, real scans, and a small model with a scan to suit it."""

from __future__ import annotations

from pathlib import Path

import pytest
from phantoms import make_head, make_small_model

from E3PoseLib.imaging.volume import Volume
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.model import Model

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs {path.relative_to(ROOT.parent)} beside the project, which only its developers have")
    return path


@pytest.fixture(scope="session")
def reference() -> Path:
    """Official-format weights and what the official program gives with them."""
    return _folder(SHARED / "reference")


@pytest.fixture(scope="session")
def epi() -> Path:
    """Real clinical scans."""
    return _folder(SHARED / "data" / "epi")


@pytest.fixture(scope="session")
def t2_stacks() -> Path:
    """Real clinical T2 stacks, with brains drawn by hand."""
    return _folder(SHARED / "data" / "t2" / "stacks")


@pytest.fixture(scope="session")
def brains() -> Path:
    """Real reconstructed brains without skull, standing in RAS axes."""
    return _folder(SHARED / "data" / "brains")


@pytest.fixture(scope="session")
def official_model(reference) -> Model:
    return load_model(unet=reference / "unet.ckpt", e3cnn=reference / "e3cnn.pth")


@pytest.fixture(scope="session")
def small_model() -> Model:
    return make_small_model()


@pytest.fixture(scope="session")
def small_model_file(small_model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    small_model.save(path)
    return path


@pytest.fixture
def head() -> Volume:
    return make_head()
