"""What of torch's settings holds during an estimate, and after it."""

import pytest
import torch

from E3PoseLib.networks.device import exact_float32

NEW_NAMES = hasattr(torch.backends.cuda.matmul, "fp32_precision")


def places() -> list:
    """What the newer names belong to."""
    backends = torch.backends
    return [backends, backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn] if NEW_NAMES else []


@pytest.fixture(params=["untouched", "legacy", "medium", *(["new", "new, for all"] if NEW_NAMES else [])])
def settings_of_another_program(request):
    """As it may have set them; a function that reads them as it would."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    initial = [place.fp32_precision for place in places()]
    if request.param == "legacy":
        matmul.allow_tf32 = cudnn.allow_tf32 = True
    elif request.param == "medium":
        torch.set_float32_matmul_precision("medium")
    elif request.param == "new":
        matmul.fp32_precision = "tf32"
    elif request.param == "new, for all":
        torch.backends.fp32_precision = "tf32"
    if request.param.startswith("new"):
        yield lambda: [place.fp32_precision for place in places()]
    else:
        yield lambda: (torch.get_float32_matmul_precision(), matmul.allow_tf32, cudnn.allow_tf32)
    if not request.param.startswith("new"):
        matmul.allow_tf32, cudnn.allow_tf32 = False, True
        torch.set_float32_matmul_precision("highest")
    for place, setting in zip(places(), initial, strict=True):
        place.fp32_precision = setting


def test_they_are_exact_inside_and_afterwards_as_before(settings_of_another_program):
    before = settings_of_another_program()
    with exact_float32():
        if NEW_NAMES:
            assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
        else:
            assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    assert settings_of_another_program() == before
