"""What Follow says of the pose in the transform: of which image it is, how late it came, and why a newer one is not
there.
"""

import collections
import time
from datetime import datetime

from slicer.i18n import tr as _

RATE_OVER = 10
"""Poses over which the rate is taken."""

QUIET_SECONDS = 3.0
"""Without an image, or with one that waits for its pose, after which that is said, and no rate any more."""


class FollowReport:
    """Keeps what came of the images that are followed, and says it so that nothing old seems new.

    ``now()`` is the time in seconds, from any beginning; so are all times here.
    """

    def __init__(self, now=time.monotonic):
        self._now = now
        self._toWallClock = time.time() - now()
        self._lastCame = now()
        self._waitingSince: float | None = None
        self._nNew = self._nSkipped = 0
        self._sentOf: float | None = None
        self._sentAt: collections.deque = collections.deque(maxlen=RATE_OVER)
        self._doubt = ""
        self._withheldSince: float | None = None
        self._nWithheld = 0
        self._reason = ""

    def came(self, isNew: bool) -> None:
        """An image has come, or the one that is there has another place (``isNew`` False)."""
        self._nNew += isNew
        self._lastCame = self._now()
        self._waitingSince = self._waitingSince or self._lastCame

    def asked(self) -> float:
        """The newest image is looked at; returns when it came. Those before it that were not are passed over."""
        self._nSkipped, self._nNew = self._nSkipped + max(self._nNew - 1, 0), 0
        return self._lastCame

    def sent(self, came: float, doubt: str) -> None:
        """The transform has the pose of the image that came then; ``doubt`` is why it is doubtful, if it is."""
        self._answered(came)
        self._sentOf, self._doubt, self._withheldSince, self._nWithheld = came, doubt, None, 0
        self._sentAt.append(self._now())

    def withheld(self, came: float, reason: str) -> None:
        """The transform does not have the pose of that image, for a ``reason`` in a sentence."""
        self._answered(came)
        self._withheldSince = self._withheldSince or came
        self._nWithheld += 1
        self._reason = reason
        self._sentAt.clear()

    def withheldSince(self) -> str:
        """When the first of the images came whose poses the transform does not have, by the clock."""
        return self._clock(self._withheldSince)

    def imageTime(self, came: float) -> str:
        """When an image came, ISO 8601."""
        return datetime.fromtimestamp(came + self._toWallClock).astimezone().isoformat(timespec="milliseconds")

    def text(self) -> str:
        """What there is to say now."""
        sentences = [self._ofTransform() if self._withheldSince is None else self._ofWithheld()]
        now = self._now()
        if self._waitingSince is not None and now - self._waitingSince > QUIET_SECONDS:
            sentences.append(
                _("A newer image has been waiting for {seconds:.0f} s.").format(seconds=now - self._waitingSince)
            )
        elif self._waitingSince is None and now - self._lastCame > QUIET_SECONDS:
            sentences.append(_("No image for {seconds:.0f} s.").format(seconds=now - self._lastCame))
        return " ".join(sentences)

    def _ofTransform(self) -> str:
        if self._sentOf is None:
            return _("Following: no pose yet.")
        words = [
            _("Following: pose of the image of {time}, {seconds:.2f} s after it").format(
                time=self._clock(self._sentOf), seconds=self._sentAt[-1] - self._sentOf
            )
        ]
        if self._doubt:
            words.insert(0, _("DOUBTFUL, sent all the same ({reason})").format(reason=self._doubt))
        isQuick = self._now() - self._sentAt[-1] <= QUIET_SECONDS
        if len(self._sentAt) > 1 and isQuick:
            rate = (len(self._sentAt) - 1) / max(self._sentAt[-1] - self._sentAt[0], 1e-3)
            words.append(_("{rate:.1f} poses a second").format(rate=rate))
        if self._nSkipped:
            words.append(_("{count} images passed over").format(count=self._nSkipped))
        return ", ".join(words) + "."

    def _ofWithheld(self) -> str:
        kept = _("No pose was sent yet.")
        if self._sentOf is not None:
            which = _("the doubtful pose") if self._doubt else _("the pose")
            kept = _("The transform keeps {pose} of the image of {time}.").format(
                pose=which, time=self._clock(self._sentOf)
            )
        return _("NOT SENT since {time} ({count} images): {reason} {kept}").format(
            time=self.withheldSince(), count=self._nWithheld, reason=self._reason, kept=kept
        )

    def _answered(self, came: float) -> None:
        """What has come since then still waits."""
        self._waitingSince = self._lastCame if self._lastCame > came else None

    def _clock(self, moment: float) -> str:
        return time.strftime("%H:%M:%S", time.localtime(moment + self._toWallClock))
