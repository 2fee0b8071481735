"""A progress bar on standard error, for work that takes a person's time."""

import sys
import time

WIDTH = 30


class Progress:
    """Shows how much of `total` is done; nothing where nobody looks, or where it is quick."""

    def __init__(self, total, title, shown=None, stream=None, clock=time.monotonic):
        self.total = total
        self.title = title
        self.stream = stream or sys.stderr
        self.shown = self.stream.isatty() if shown is None else shown
        self._clock = clock
        self._start = clock()
        self._next = self._start + (0.0 if shown else 0.5)
        self._drawn = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._drawn:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def at(self, done, rows):
        """Say how far the work is: bytes read and rows so far."""
        now = self._clock()
        if not self.shown or now < self._next:
            return
        self._next = now + 0.1
        self._drawn = True
        self.stream.write("\r\x1b[K" + self.line(done, rows, now - self._start))
        self.stream.flush()

    def line(self, done, rows, seconds):
        """The text of the bar."""
        rate = f"{size(done / seconds)}/s" if seconds > 0 else ""
        if not self.total:
            return f"{self.title}  {size(done)}  {rows:,} documents  {rate}"
        share = min(done / self.total, 1.0)
        filled = round(WIDTH * share)
        bar = "#" * filled + "." * (WIDTH - filled)
        left = seconds / share * (1 - share) if share > 0 else 0
        return f"{self.title}  [{bar}] {share:4.0%}  {rows:,} documents  {rate}  {duration(left)} left"


def size(number):
    """Bytes, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000


def duration(seconds):
    """A time, for people."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
