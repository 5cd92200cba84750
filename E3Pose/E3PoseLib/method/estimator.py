"""The method on one page: prepare the scan, find the brain, look at the head, rotate, assemble a pose, doubt it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..errors import E3PoseError, NoHeadFoundError
from ..imaging.resampling import nearest_on_grid
from ..imaging.volume import Volume
from ..models.model import Model
from ..networks.device import exact_float32, pick_device
from ..networks.precision import PRECISIONS
from .doubt.candidates import CoreOfBrain, MiddleOfScan, OtherCandidate, Twins
from .doubt.contrast import Brightened, Continued, Darkened
from .doubt.halves import MovedHalves
from .doubt.opinion import SecondOpinion
from .doubt.reading import Doubt, Reading, read_and_doubt
from .estimate import PoseEstimate
from .prepared import PreparedScan, prepare
from .reader import Reader
from .stopwatch import Progress, Stopwatch
from .trust.confidence import Confidence

VIEWS_AROUND_A_KNOWN_BRAIN = 4
"""Most views of the rotation network where the brain is known. Each costs as much as the next: a head is followed in
two thirds of the time that eight views take. Over 300 volumes of five synthetic series, half of the model's eight views
gave the same errors, 1.56 against 1.58 degrees in the mean."""


class PoseEstimator:
    """Estimates head poses with one model on one device.

    Parameters
    ----------
    model : Model
    device : str
        ``auto`` (an NVIDIA GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ….
    as_official : bool
        Work in the file's own axis order and on the very grid of the official program. Without, in the axis order
        closest to right, anterior, superior, so that the same scan gives the same pose however it is stored.
    precision : str
        ``float32``, or ``bfloat16`` or ``float16`` for the U-Net's convolutions where the device has them; or ``auto``,
        what `fastest_precision` finds on the first scan and all others then get. The rotation network stays in float32:
        it is faster in the Fourier domain than in lower precision.

    Raises
    ------
    DeviceError
        If there is no such device.
    ValueError
        For an unknown precision.

    >>> estimator = PoseEstimator(model)  # doctest: +SKIP
    >>> estimator.estimate(read_volume("scan.nii.gz")).canonical_to_ras  # doctest: +SKIP
    """

    def __init__(
        self, model: Model, device: str = "auto", *, as_official: bool = False, precision: str = "float32"
    ) -> None:
        if precision not in (*PRECISIONS, "auto"):
            raise ValueError(f"unknown precision {precision!r}; choose auto or one of {', '.join(PRECISIONS)}")
        self.device = pick_device(device)
        self.model = model.to(self.device)
        self.as_official = as_official
        by = (model.header, self.device, precision, as_official)
        self.reader = Reader(model, *by)
        self.second_reader = None if model.second_opinion is None else Reader(model.second_opinion, *by)
        readers = (self.reader, self.second_reader)
        self._few_views = [one.fewer_views(VIEWS_AROUND_A_KNOWN_BRAIN) for one in readers if one is not None]

    @property
    def precision(self) -> str:
        """In which the U-Net's convolutions run; "auto" until the first scan."""
        return self.reader.localiser.precision

    def estimate(
        self, volume: Volume, progress: Progress | None = None, *, thorough: bool = True, halves: bool = True
    ) -> PoseEstimate:
        """Estimate the pose of the head in one scan.

        Parameters
        ----------
        volume : Volume
        progress : callable, optional
            Called with the step that begins and the fraction of the work done.
        thorough : bool
            Whether a doubtful scan is also read in other contrasts, by the core of its brain, and by what is in its
            middle, which may take ten times as long; not worth it where the next scan of the same head comes soon. The
            second networks are asked either way.
        halves : bool
            Whether odd and even slices are read apart where the head may have moved between them.

        Returns
        -------
        PoseEstimate

        Raises
        ------
        VolumeError
            If the intensities are of no use, see `Volume.intensities`.
        NoHeadFoundError
            If the segmentation finds no brain.
        DeviceError
            If the device runs out of memory.
        """
        (result,) = self._estimate([volume], Stopwatch(progress), thorough, halves)
        if isinstance(result, E3PoseError):
            raise result
        return result

    def consider(self, volume: Volume) -> list[PoseEstimate]:
        """Every pose that was found in a scan while the answer was doubted, and last the answer itself.

        Calibration learns from them: a pose that was not taken tells as well what a wrong one looks like.

        Parameters
        ----------
        volume : Volume

        Returns
        -------
        list of PoseEstimate
            Empty where no head was found, also where a pose was and not believed.

        Raises
        ------
        VolumeError, DeviceError
            See `estimate`.
        """
        (reading,) = self._read_and_doubt([self.prepare(volume)], Stopwatch())
        return [] if reading.estimate is None else [*reading.considered, reading.estimate]

    def estimate_batch(self, volumes: Sequence[Volume]) -> list[PoseEstimate | E3PoseError]:
        """Estimate several scans, each network run on all of them at once; worth it on a GPU.

        Parameters
        ----------
        volumes : sequence of Volume

        Returns
        -------
        list
            For each scan its estimate, or the error that `estimate` would have raised: one bad scan does not spoil the
            others. Timings are those of the whole batch.

        Raises
        ------
        DeviceError
            If the device runs out of memory: try fewer scans at once.
        """
        return self._estimate(volumes, Stopwatch())

    @property
    def can_follow(self) -> bool:
        """Whether `estimate_around` has a network that finds the brain anew where it roughly is."""
        return not self.as_official and (self.reader.close_ups.sees_heads or self.reader.close_ups.sees_upright_heads)

    @exact_float32()
    def estimate_around(
        self,
        volume: Volume,
        brain: Volume,
        before: Confidence | None = None,
        wants_halves: Callable[[PoseEstimate], bool] = lambda estimate: False,
    ) -> PoseEstimate:
        """Estimate the pose of a head whose brain is known within some mm; the scan is not searched.

        Parameters
        ----------
        volume : Volume
        brain : Volume
            The mask of that brain, on any grid.
        before : Confidence, optional
            Of the pose by which that brain is known. The scan is read as that one was: brightened, or by the second
            networks; and where a network looks at the head upright, the brain is as sure as it was there.
        wants_halves : callable
            Given the estimate: whether odd and even slices are read apart where the head may have moved between them.

        Returns
        -------
        PoseEstimate
            `Confidence.upright_agreement` is how well the brain found overlaps the one given.

        Raises
        ------
        VolumeError, DeviceError
            See `estimate`.
        NoHeadFoundError
            If the brain given lies outside the scan.
        """
        if not self.can_follow:
            raise ValueError("this model has no network that sees the head alone; use estimate")
        clock = Stopwatch()
        clock.begin("prepare", 0.0)
        scan = self.prepare(volume)
        brightened, by_second_opinion = before is not None and before.brightened, self._asks_second(before)
        scan = scan.brightened() if brightened else scan
        shown = brain.closest_canonical()
        start = nearest_on_grid(shown.array, shown.voxel_to_ras, scan.array.shape, scan.grid_to_ras) > 0
        known = scan.known_brains or (start,)
        if not known[0][scan.field_of_view].any():
            raise NoHeadFoundError(f"{volume.name}: the scan does not show where the head was")
        keeps_brain = self.reader.close_ups.sees_upright_heads
        agreement = before.brain_agreement if before is not None and keeps_brain else None
        reading = Reading(scan, known, agreement, is_second_opinion=by_second_opinion)
        read_by_few = partial(self._read, clock=clock, with_few_views=True)
        (read,) = read_by_few([reading])
        if read.estimate is not None and wants_halves(read.estimate):
            doubt = MovedHalves(self.model)
            read = doubt.decide(read, read_by_few(doubt.read_again(read)))
        if isinstance(read.result, E3PoseError):
            raise read.result
        marks = {"brightened": brightened, "by_second_opinion": by_second_opinion}
        return replace(read.result.with_evidence(**marks), timings=clock.read())

    def _asks_second(self, before: Confidence | None) -> bool:
        """Whether a pose was by the second networks, so that they know that head best."""
        return self.second_reader is not None and before is not None and before.by_second_opinion

    def _estimate(
        self, volumes: Sequence[Volume], clock: Stopwatch, thorough: bool = True, halves: bool = True
    ) -> list[PoseEstimate | E3PoseError]:
        clock.begin("prepare", 0.0)
        prepared = [self._prepared_or_error(volume) for volume in volumes]
        scans = [scan for scan in prepared if isinstance(scan, PreparedScan)]
        settled = iter(self._read_and_doubt(scans, clock, thorough, halves))
        outcomes = [scan if isinstance(scan, E3PoseError) else next(settled).result for scan in prepared]
        # Read at the end: readings that were tried in vain belong to the scan's time too.
        timings = clock.read()
        return [replace(one, timings=timings) if isinstance(one, PoseEstimate) else one for one in outcomes]

    def prepare(self, volume: Volume) -> PreparedScan:
        """The scan as the networks take it.

        Raises
        ------
        VolumeError
            See `prepared.prepare`.
        """
        return prepare(volume, self.model.header, self.model.segmentation_network.stride, self.as_official)

    def _prepared_or_error(self, volume: Volume) -> PreparedScan | E3PoseError:
        try:
            return self.prepare(volume)
        except E3PoseError as error:
            return error

    @exact_float32()
    def _read_and_doubt(
        self, scans: Sequence[PreparedScan], clock: Stopwatch, thorough: bool = True, halves: bool = True
    ) -> list[Reading]:
        readings = [Reading(scan, scan.known_brains) for scan in scans]
        return read_and_doubt(readings, self._doubts(thorough, halves), partial(self._read, clock=clock))

    def _doubts(self, thorough: bool, halves: bool) -> list[Doubt]:
        """How a doubtful pose is checked. The official program doubts none."""
        moved: list[Doubt] = [MovedHalves(self.model)] if halves and not self.as_official else []
        n = self.model.header.candidates
        others: list[Doubt] = [OtherCandidate(rank) for rank in range(1, n)]
        looks_in_middle = thorough and n > 1 and self.reader.close_ups.sees_heads
        middle: list[Doubt] = [MiddleOfScan()] if looks_in_middle else []
        opinion: list[Doubt] = []
        if self.second_reader is not None and not self.as_official:
            opinion = [SecondOpinion(within=[*moved, *others, *middle])]
        if n == 1:
            return [*moved, *opinion]
        if not thorough:
            return [*moved, *opinion, *others, Twins()]
        others += [CoreOfBrain(), *middle, Twins()]
        # Without halves, which are prepared anew, on the grid of the scan as it is.
        continued = Continued(self.model.segmentation_network.stride, within=others)
        # The first networks alone read what is made otherwise: with the second ones no more is right (docs/making.md).
        contrasts: list[Doubt] = [kind([*moved, *others]) for kind in (Brightened, Darkened)]
        return [*moved, *opinion, *others, continued, *contrasts]

    def _read(self, readings: Sequence[Reading], clock: Stopwatch, with_few_views: bool = False) -> list[Reading]:
        """Readings of one doubt, which are all for the same networks."""
        if not readings:
            return []
        asks_second = readings[0].is_second_opinion
        reader = self.second_reader if asks_second else self.reader
        assert reader is not None
        # What the first have found to be fastest is fastest for networks of the same design.
        reader.localiser.precision = self.precision
        return reader(readings, clock, self._few_views[asks_second] if with_few_views else None)
