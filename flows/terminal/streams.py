"""stdout and stderr that end no command, whatever they lead to.

Characters that the encoding of a stream lacks are escaped. Once nobody reads a stream any more
(`| head`), whatever is written to it is dropped, so that the work, its record in MLflow and the
exit code of the verdict come all the same. Lines that a build server would obey are broken up,
since names and reasons come from models.
"""

import errno
import io
import os
import re
import sys
from typing import TextIO

# GitHub obeys `::name` at the beginning of a line and `##[name]` anywhere, Azure `##vso[name]`.
_AT_THE_BEGINNING = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
_ANYWHERE = re.compile(r"##(?=\w*\[)")
_GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe has ended; a terminal was closed


class Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of the moment; raises OSError only if stdout cannot be written.

    A full disk is one reason for that; a reader that has ended is none.
    """

    def __init__(self, name: str):
        super().__init__()
        self._name = name
        self.lost = False  # whether something was not written

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream; ASCII if the process has none."""
        return getattr(self._stream, "encoding", None) or "ascii"

    @property
    def _stream(self) -> TextIO | None:
        found: TextIO | None = getattr(sys, self._name)
        return found

    def isatty(self) -> bool:
        """Whether a person sees it in a terminal."""
        stream = self._stream
        return stream is not None and not stream.closed and stream.isatty()

    def fileno(self) -> int:
        """The number of the file; raises OSError if there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Writes the text, and drops it if nobody reads the stream."""
        stream = self._stream
        if stream is None:  # the command was started without it
            self.lost = True
            return len(text)
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")
        try:
            stream.write(_harmless(text))
        except OSError as error:
            self._give_up(stream, error)
        return len(text)

    def flush(self) -> None:
        """Hands everything to the reader, if there is a reader."""
        stream = self._stream
        if stream is None or stream.closed:
            return
        try:
            stream.flush()
        except OSError as error:
            self._give_up(stream, error)

    def _give_up(self, stream: TextIO, error: OSError) -> None:
        """Lets the stream lead nowhere: Python would try again, at its end, and complain."""
        self.lost = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        if self._name == "stdout" and error.errno not in _GONE:
            raise error


def _harmless(text: str) -> str:
    """Whole lines, without commands that a build server would obey."""
    return _ANYWHERE.sub("# #", _AT_THE_BEGINNING.sub(r"\1: ", text))


OUT, ERR = Stream("stdout"), Stream("stderr")
