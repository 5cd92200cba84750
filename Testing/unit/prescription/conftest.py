"""What the tests of prescription share."""

import pytest
from brains import brain


@pytest.fixture(params=range(3))
def head_and_mask(request):
    """`brain` with three seeds."""
    return brain(request.param)
