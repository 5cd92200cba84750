"""Estimate head poses for a folder of scans in any format that Slicer reads.

    Slicer --no-main-window --python-script E3PoseBatch.py --input scans/ --output poses/

For each scan NAME.npy (4x4), NAME.tfm (ITK), NAME.json and one poses.csv are written. Scans that are done are
skipped, so that an interrupted run goes on; a scan that fails is reported, listed in failures.csv, and the rest go on.
Exit status: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.

Slicer answers --help itself; without any option this script lists its own.
"""

import argparse
import contextlib
import signal
import sys
import traceback
from pathlib import Path

import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from E3PoseLib import dependencies, mrml
from E3PoseLib.cli import check_none_empty, voxel_size
from E3PoseLib.errors import DependencyError, OutputError, VolumeError
from E3PoseLib.models.catalog import find_model
from E3PoseLib.running.ending import SAME_COMMAND, SOME_FAILED, SUCCESS, WRONG_USAGE, exit_status, interrupts_wait
from E3PosePanel.logic import SEGMENTATION, TRANSFORM, E3PoseLogic

NIFTI = (".nii", ".nii.gz")
SUFFIXES = (*NIFTI, ".hdr", ".img.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".mgh.gz", ".mnc", ".gipl")
"""What is taken from a folder; a file named itself may be anything that Slicer reads, one DICOM file for its series."""


class SlicerScans:
    """The scans of a batch, each read into an empty scene by Slicer's own readers.

    ``model`` is the `Settings.model` of the batch.
    """

    def __init__(self):
        self.node = None
        self.scan = None
        self.model = ""

    @interrupts_wait()
    def read(self, task):
        """The task's scan, in world RAS; its node stays in the scene until the next one."""
        from E3PoseLib.imaging.file_doubts import check_whole

        slicer.mrmlScene.Clear(0)
        self._check_frames(task.path)
        check_whole(task.path)  # Slicer's reader fills with zeros what is missing
        # Of DICOM, whatever its names end in, one file stands for its series; elsewhere a numbered neighbour is another
        # scan.
        properties = {"name": task.name, "singleFile": task.path.name.lower().endswith(SUFFIXES)}
        try:
            self.node = slicer.util.loadVolume(str(task.path), properties)
        except RuntimeError as error:
            raise VolumeError(f"{task.path}: Slicer cannot read it as a volume ({error})") from error
        self.scan = mrml.read_scan(self.node)
        return self.scan.volume

    @interrupts_wait()
    def save_scene(self, path, volume, estimate):
        """Write the scan with its pose and mask as a scene for Slicer, which opens on the head."""
        from E3PoseLib.running.summary import with_origin

        logic = E3PoseLogic()
        parameters = logic.getParameterNode()
        transform, segmentation = (logic.addOutput(kind, self.node) for kind in (TRANSFORM, SEGMENTATION))
        result = with_origin(estimate, self.scan.file, model=self.model)
        logic.writeEstimate(self.scan, result, estimate.mask, mrml.ALIGN_VOLUME, transform, segmentation)
        mrml.show_mask(segmentation, in_slices=True, in_3d=True)
        before = mrml.open_on_head(slicer.mrmlScene, self.node, mrml.head_pose(transform))
        # As the panel keeps them: opened there, the scene shows the result, and the button turns the views back.
        parameters.inputVolume = self.node
        parameters.outputTransform, parameters.outputSegmentation = transform, segmentation
        parameters.planesBefore = mrml.planes_to_text(before)
        if not slicer.util.saveScene(str(path), {}):
            raise OutputError(f"{path.name}: Slicer cannot write the scene")

    @staticmethod
    def _check_frames(path: Path) -> None:
        """Say what is wrong with a 4-D NIfTI file; Slicer's own reader only says that it cannot read it."""
        from E3PoseLib.imaging.volume import count_frames

        n_frames = 1
        with contextlib.suppress(VolumeError):  # what nibabel cannot read is left to Slicer's reader
            n_frames = count_frames(path) if path.name.lower().endswith(NIFTI) else 1
        if n_frames > 1:
            raise VolumeError(
                f"{path}: holds {n_frames} frames; 'e3pose estimate' takes one with --frame N, or all with --all-frames"
            )


def run(chosen: argparse.Namespace) -> int:
    """The batch, by the engine of ``e3pose estimate``; returns the exit status."""
    missing = ", ".join(package.requirement for package in dependencies.missing())
    if missing:
        raise DependencyError(f"not installed: {missing}; press Install in the section Setup of the module E3-Pose")
    find_model(chosen.model)
    from E3PoseLib.running.batch import run_batch
    from E3PoseLib.running.results.folder import prepare_folder
    from E3PoseLib.running.results.known_model import model_file_hash
    from E3PoseLib.running.results.settings import Settings
    from E3PoseLib.running.scans.tasks import find_tasks
    from E3PoseLib.running.screen.progress import LeftOut
    from E3PoseLib.running.team import Estimators

    # Absolute, as a MRML scene looks for relative names in a folder of its own.
    left_out = LeftOut()
    tasks = find_tasks(
        [Path(name).absolute() for name in chosen.input],
        suffixes=SUFFIXES,
        recursive=chosen.recursive,
        apart_from=chosen.output,
        on_left_out=left_out,
    )
    left_out.tell()
    folder = prepare_folder(Path(chosen.output).absolute())
    scans = SlicerScans()

    def make_estimator(n_scans: int):
        from E3PoseLib.method.estimator import PoseEstimator
        from E3PoseLib.models.loading import load_model

        return PoseEstimator(load_model(chosen.model), chosen.device)

    estimators = Estimators(make_estimator, model_file_hash({"source": chosen.model}))
    settings = Settings(
        model=estimators.identity(folder, tasks),
        direction=chosen.direction,
        save_mask=chosen.save_mask,
        reslice_spacing=chosen.save_resliced,
        model_file=estimators.file_hash,
    )

    scans.model = settings.model

    def tell(task, failed) -> None:
        print(f"{task.name}: {'done' if failed is None else failed.in_words()}", flush=True)

    report = run_batch(
        tasks,
        estimators,
        folder,
        settings,
        overwrite=chosen.overwrite,
        read=scans.read,
        further={".mrb": scans.save_scene} if chosen.save_scene else {},
        on_result=tell,
    )
    print(f"{report.in_words()}; results in {folder}")
    if report.untabled:
        print(report.untabled)
    return SOME_FAILED if report.failed or report.untabled else SUCCESS


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="E3PoseBatch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", required=True, help="scans, or folders of them")
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument("--recursive", action="store_true", help="take the scans of all subfolders too")
    parser.add_argument("--model", default="default", help="name of a model, or a .safetensors file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--direction", choices=("canonical-to-input", "input-to-canonical"), default="canonical-to-input"
    )
    parser.add_argument("--save-mask", action="store_true", help="write NAME_mask.nii.gz")
    parser.add_argument(
        "--save-resliced", type=voxel_size, metavar="MM", help="write NAME_resliced.nii.gz at this spacing"
    )
    parser.add_argument("--save-scene", action="store_true", help="write NAME.mrb, a scene for Slicer")
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")
    if not arguments:
        parser.print_help()
        parser.exit(WRONG_USAGE)
    check_none_empty(arguments)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the batch; returns the exit status, whatever happens: Slicer would run on after an exception."""
    # Slicer has given the interrupt back to the system, which would end it in the middle of a file.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return exit_status("E3PoseBatch", lambda: run(parse(arguments)), SAME_COMMAND)
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    except Exception:
        traceback.print_exc()
        return SOME_FAILED
    finally:
        with interrupts_wait():
            slicer.mrmlScene.Clear(0)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
