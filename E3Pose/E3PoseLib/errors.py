"""What can go wrong, by kind; every message names the input at fault and what to do about it."""


class E3PoseError(Exception):
    """Base of every error this library raises on purpose."""


class VolumeError(E3PoseError):
    """The scan cannot be used: unreadable, not 3-D, degenerate geometry, or bad intensities."""


class DamagedFileError(VolumeError):
    """The file of a scan is cut short, or not what was written."""


class NotAScanError(VolumeError):
    """The image is readable but no scan: a label map or mask."""


class ModelError(E3PoseError):
    """The model or weights cannot be used: missing, corrupt, another architecture, or unsafe."""


class NoHeadFoundError(E3PoseError):
    """The segmentation found no fetal head in the scan."""


class DeviceError(E3PoseError):
    """The compute device asked for does not exist or ran out of memory."""


class OutputError(E3PoseError):
    """A result cannot be written."""


class TransformError(E3PoseError, ValueError):
    """A matrix is not the kind of transform it is used as, or a transform file cannot be read."""


class PrescriptionError(E3PoseError):
    """Slices cannot be prescribed as asked: they would miss the brain, or a direction or a scanner's text is none."""


class AlignmentError(E3PoseError):
    """Stacks cannot be brought together: they show no head in common."""


class MethodError(E3PoseError):
    """Another method cannot be used as asked: it is not known, not told what it needs, or gives no pose."""


class WorkerError(E3PoseError):
    """The worker process cannot be started, is busy, or died."""


class DependencyError(E3PoseError):
    """A package that the method needs is missing and could not be installed."""


class DatasetError(E3PoseError):
    """A data set or annotation cannot be used: a file is missing, unreadable, or contradicts another."""


class TrainingError(E3PoseError):
    """A training run cannot start or go on as asked."""
