"""Cost: the passes, time and memory that the rest of an audit takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The rest of an audit: passes at the least and at the most, seconds for each, peak in GiB."""

    passes: int
    most_passes: int
    seconds_per_pass: float
    peak_gib: float

    def __str__(self) -> str:
        least, most = (p * self.seconds_per_pass for p in (self.passes, self.most_passes))
        time = _time(least) if _time(least) == _time(most) else f"{_time(least)} to {_time(most)}"
        passes = passes_told(self.passes, self.most_passes)
        return f"{passes}, about {time}, {self.peak_gib:.1f} GiB of memory"


def passes_told(least: int, most: int) -> str:
    return f"{least:,} passes" if least == most else f"{least:,} to {most:,} passes"


def _time(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
