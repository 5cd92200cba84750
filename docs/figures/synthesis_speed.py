"""Print how many synthetic scans one core makes a second: `python docs/figures/synthesis_speed.py [LABEL_MAP_FOLDER]`.

Set OMP_NUM_THREADS=1, or the matrix library's own threads blur the figure.
"""

import sys
import time

from E3PoseTraining.synthesis import FetalHeadGenerator
from E3PoseTraining.synthesis.kinds import KINDS

SCANS = 20


def measure(title, **settings):
    generator = FetalHeadGenerator(seed=0, **settings)
    generator(0)
    start = time.process_time()
    for index in range(SCANS):
        generator(index)
    print(f"{title}: {SCANS / (time.process_time() - start):.2f} scans per CPU second")


if __name__ == "__main__":
    brains = sys.argv[1] if len(sys.argv) > 1 else None
    measure("128 x 128 x 128, whole uterus", brains=brains, shape=(128, 128, 128))
    measure("clinical grids, whole uterus", brains=brains)
    measure("head alone", brains=brains, field="head")
    for kind in KINDS:
        measure(f"{kind}, whole uterus", brains=brains, kinds={kind: 1})
