"""Text of others as a terminal may show it: names, reasons and tags can hold anything."""

from audits.errors import shortened

_LONGEST = 400


def clean(text: object, longest: int = _LONGEST) -> str:
    """`str(text)` on one line; a longer one loses its middle, and " ... " stands for it.

    Control characters and invisible marks, such as those of escape sequences and of writing from
    right to left, are shown as their codes.
    """
    # No more is looked at than can be shown, and a little for what is cut away on both sides.
    given = str(text)
    if len(given) > 2 * longest:
        given = f"{given[:longest]}{given[-longest:]}"
    if not given.isprintable():
        given = "".join(c if c.isspace() else _shown(c) for c in given)
    return shortened(given, longest)


def clean_lines(text: str, longest: int | None = None) -> str:
    """The text with its line breaks and spaces, and codes for control characters and marks.

    A line of more than `longest` characters loses its end, and "..." stands for it.
    """
    lines = ("".join(map(_shown, line)) for line in text.split("\n"))
    if longest is None:
        return "\n".join(lines)
    return "\n".join(s if len(s) <= longest else f"{s[: longest - 3]}..." for s in lines)


def lasting(seconds: float) -> str:
    """A time for people: "50 s", "4 min", "2 h 10 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def titled(uri: str) -> str:
    """The name and version of a URI as people say them: "digits v2"; others as they are."""
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    return clean(f"{name} v{version}" if name and version.isdigit() else uri, 80)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
