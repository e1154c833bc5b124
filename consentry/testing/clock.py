"""A clock that a test moves: forward only, as a log's does."""

from datetime import datetime, timedelta


class MovingClock:
    """ms since the epoch, UTC; called, it says the time."""

    def __init__(self, now: int) -> None:
        self._now = now

    def __call__(self) -> int:
        return self._now

    @property
    def now(self) -> int:
        return self._now

    def advance(self, **time: float) -> int:
        """By as much as `timedelta` takes: days=2, hours=1, milliseconds=5. Gives the time then."""
        return self.travel_to(self._now + round(timedelta(**time) / timedelta(milliseconds=1)))

    def travel_to(self, moment: datetime | int) -> int:
        """To a moment: ms, or a datetime with its zone. Raises ValueError where it lies behind, or has no zone."""
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError("a moment without a time zone is none")
            moment = round(moment.timestamp() * 1000)
        if moment < self._now:
            raise ValueError(f"time goes forward only: it is {self._now}, not yet to be {moment} again")
        self._now = moment
        return moment
