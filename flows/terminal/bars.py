"""Progress on a terminal: a bar for each check of a model, and the time left."""

import threading
import time
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from flows.terminal.streams import ERR
from flows.terminal.text import clean, lasting

if TYPE_CHECKING:
    from audits.execution.progress import Step

_EVERY = 0.5  # seconds between two drawings
_NARROW = 60  # columns; a narrower terminal has no place for bars


class Bars:
    """Draws on stderr until it is cleared; lines of the log stand above the bars."""

    def __init__(self) -> None:
        self._console = Console(
            file=cast("IO[str]", ERR), highlight=False, markup=False, emoji=False
        )
        self._shown = _Shown(self._console)
        self._model = ""
        self._tasks: dict[str, TaskID] = {}
        self._over = threading.Event()
        self._shown.start()
        # If the process is killed, the terminal keeps its cursor.
        self._console.show_cursor(True)
        threading.Thread(target=self._draw, daemon=True).start()

    def begin(self, text: str) -> None:
        """Says what is done before anything is measured."""
        self.status(text)

    def passing(self, text: str) -> None:
        """Says how far something without a bar is."""
        self.status(text)

    def status(self, text: str) -> None:
        """Says what is done now, with the time that it has taken."""
        self._shown.status, self._shown.since = clean(text), time.monotonic()
        self._shown.refresh()

    def step(self, step: "Step", text: str) -> None:
        """Moves the bar of a check; a new model takes the place of the one before."""
        if step.model != self._model:
            for task in self._tasks.values():
                self._shown.remove_task(task)
            self._model, self._tasks = step.model, {}
        if step.check not in self._tasks:
            name = clean(step.check, 40)
            self._tasks[step.check] = self._shown.add_task(name, total=1.0, step=None, at=0.0)
        task = self._tasks[step.check]
        self._shown.update(task, completed=step.share, step=step, at=time.monotonic())
        self._shown.status, self._shown.since = "", None
        self._shown.heading = Text(clean(step.model, 60), style="bold")
        self._shown.left, self._shown.at = step.left, time.monotonic()
        self._shown.refresh()

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        self._console.print(Text(clean(text, 2000)))

    def clear(self) -> None:
        """Takes the bars away, for good."""
        self._over.set()
        self._shown.stop()

    def abandon(self) -> None:
        """Stops drawing and leaves everything as it is: no lock is asked for."""
        self._over.set()
        ERR.write("\n")

    def _draw(self) -> None:
        while not self._over.wait(_EVERY):
            self._shown.refresh()


class _Shown(Progress):
    """A heading with the time left of all checks, the bars, and a line with the status."""

    def __init__(self, console: Console):
        self.heading = Text()
        self.left: float | None = None
        self.at = 0.0  # when `left` was told
        self.status = ""
        self.since: float | None = None
        columns: list[ProgressColumn] = [TextColumn("  {task.description}", markup=False)]
        if console.width >= _NARROW:
            columns.append(BarColumn(bar_width=20))
        super().__init__(
            *columns,
            _Units(),
            _Left(),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The parts from top to bottom; nothing is drawn of a part that is empty."""
        if self.heading.plain:
            left = f", {_told(self.left, self.at)}" if self.left else ""
            yield Text.assemble(self.heading, left, overflow="ellipsis", no_wrap=True)
            yield self.make_tasks_table(self.tasks)
        if self.status:
            waited = 0.0 if self.since is None else time.monotonic() - self.since
            yield Text(f"{self.status} ({lasting(waited)})", overflow="fold")


class _Units(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Finished units of all."""
        step: Step | None = task.fields["step"]
        return Text("" if step is None else f"{step.finished}/{step.units}")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The time left, counted down between two units, or else the time that has passed."""
        step: Step | None = task.fields["step"]
        if step is None:
            return Text()
        if step.concluded:
            return Text("done", style="green")
        if step.finished == step.units:
            return Text("concluding")
        if step.check_left is None:
            return Text(f"{lasting(time.monotonic() - task.fields['at'])} so far")
        return Text(_told(step.check_left, task.fields["at"]))


def _told(left: float, at: float) -> str:
    return f"about {lasting(max(left - (time.monotonic() - at), 0))} left"
