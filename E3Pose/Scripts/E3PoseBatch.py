"""Estimate head poses for a folder of scans in any format that Slicer reads.

    Slicer --no-main-window --python-script E3PoseBatch.py --input scans/ --output poses/

For each scan NAME.npy (4x4), NAME.tfm (ITK), NAME.json and one poses.csv are written. Scans that are done are
skipped, so that an interrupted run goes on; a scan that fails is reported and the rest go on.
Exit status: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from E3PoseLib import batch, dependencies, mrml
from E3PoseLib.catalog import find_model
from E3PoseLib.errors import E3PoseError, OutputError, VolumeError

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".img.gz", ".mgz", ".mgh", ".gipl", ".gipl.gz")


class ScanReader:
    """Reads each scan into the scene by Slicer's own readers and takes it out again."""

    def __init__(self, logic, results, arguments):
        self._logic = logic
        self._results = results
        self._arguments = arguments

    def process(self, job: batch.Job) -> dict:
        """One scan: read, estimate, write mask, resliced volume and scene where wanted; returns the summary."""
        from E3PoseLib.summary import summarise

        slicer.mrmlScene.Clear(0)
        try:
            volume = self._load(job)
            transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{job.name} head pose")
            segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{job.name} brain mask")
            estimate = self._logic.estimatePose(
                volume, transform, segmentation, model=self._arguments.model, device=self._arguments.device
            )
            self._write_volumes(job, volume, transform, estimate)
            return summarise(estimate)
        finally:
            slicer.mrmlScene.Clear(0)

    def _load(self, job: batch.Job):
        # Of DICOM one file stands for its series; elsewhere a numbered neighbour is another scan.
        single = job.source.suffix.lower() != ".dcm"
        try:
            return slicer.util.loadVolume(str(job.source), {"name": job.name, "singleFile": single})
        except RuntimeError as error:
            raise VolumeError(f"{job.source}: Slicer cannot read it as a volume ({error})") from error

    def _write_volumes(self, job: batch.Job, volume, transform, estimate) -> None:
        from E3PoseLib.volume import Volume, write_volume

        if self._arguments.save_mask:
            scan = mrml.read_scan(volume).volume
            mask = Volume(estimate.mask, scan.voxel_to_ras, job.name)
            write_volume(self._results.path(job.name, "_mask.nii.gz"), mask)
        if self._arguments.save_resliced:
            upright = self._logic.resliceVolume(volume, transform, spacing=self._arguments.save_resliced)
            resliced = Volume(mrml.voxels(upright), mrml.voxel_to_parent(upright), job.name)
            write_volume(self._results.path(job.name, "_resliced.nii.gz"), resliced)
        if self._arguments.save_scene:
            self._save_scene(self._results.path(job.name, ".mrb"))

    def _save_scene(self, path: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            if not slicer.util.saveScene(str(unfinished), {}):
                raise OutputError(f"{path}: Slicer cannot write the scene there")
            unfinished.replace(path)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="E3PoseBatch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", required=True, type=Path, help="scans, or folders of them")
    parser.add_argument("--output", required=True, type=Path, help="folder for the results")
    parser.add_argument("--model", default="default", help="name of a model, or a .safetensors file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--direction", choices=batch.DIRECTIONS, default=batch.DIRECTIONS[0])
    parser.add_argument("--save-mask", action="store_true", help="write NAME_mask.nii.gz")
    parser.add_argument("--save-resliced", type=float, metavar="MM", help="write NAME_resliced.nii.gz at this spacing")
    parser.add_argument("--save-scene", action="store_true", help="write NAME.mrb, for Slicer")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the batch; returns the exit status."""
    try:
        chosen = parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        missing = ", ".join(package.requirement for package in dependencies.missing())
        if missing:
            raise E3PoseError(f"not installed: {missing}; open the module E3-Pose in Slicer and press Install in Setup")
        find_model(chosen.model)
        todo = batch.jobs(chosen.input, SUFFIXES)
        if not todo:
            raise E3PoseError(f"no scans in {', '.join(map(str, chosen.input))}")
        results = batch.Results(chosen.output, chosen.direction)
    except (E3PoseError, FileNotFoundError) as error:
        print(f"E3PoseBatch: {error}", file=sys.stderr)
        return batch.WRONG_USAGE
    from E3PosePanel.logic import E3PoseLogic

    reader = ScanReader(E3PoseLogic(), results, chosen)
    return batch.run(todo, results, reader.process, overwrite=chosen.overwrite)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
