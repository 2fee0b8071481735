"""What to do with a field that is missing, null or of another type: one set of policies a field."""

import difflib

# How deep a path of a schema may go, as deep as inference looks.
DEEPEST = 200


CHOICES = {
    "missing": ("error", "fill", "mask"),
    "null": ("error", "fill", "mask"),
    "convert": ("exact", "lossy", "strict"),
    "overflow": ("error", "truncate"),
    "length": ("error", "pad"),
    "utf8": ("error", "replace"),
}
ON_ERROR = ("raise", "skip", "collect")


def check_on_error(value):
    """Refuse what `on_error` cannot be."""
    _check("on_error", value, ON_ERROR)


def threads(number):
    """The number of threads as the decoder takes it: 0 for one a core."""
    if number is not None and number < 0:
        raise ValueError(f"threads must be at least 1, or None for one a core, not {number!r}")
    return number or 0


def check_path(path):
    """Refuse names that no document can have, and paths that none should."""
    if len(path) > DEEPEST:
        raise ValueError(
            f"the field {'.'.join(path)[:60]!r}… lies {len(path):,} levels deep; at most {DEEPEST} can be read"
        )
    for name in path:
        if "\0" in name:
            raise ValueError(f"field {'.'.join(path)!r}: names in BSON have no NUL")


def _check(name, value, allowed, place=""):
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}{place} must be one of {choices}, not {value!r}")


class Policies:
    """The policies as the caller gave them: for every field, or a dictionary by path.

    In a dictionary the key "*" is for the fields that it does not name. A path
    is for what lies below it too. `null` left out is as `missing`.
    """

    def __init__(
        self, missing="error", null=None, convert="exact", overflow="error", length="error", utf8="error", fill=None
    ):
        self._given = {
            "missing": missing,
            "null": missing if null is None else null,
            "convert": convert,
            "overflow": overflow,
            "length": length,
            "utf8": utf8,
        }
        self.null_given = null is not None
        self._fill = dict(fill) if fill else {}
        self._used = set()
        for name, given in self._given.items():
            for path, value in given.items() if isinstance(given, dict) else [(None, given)]:
                _check(name, value, CHOICES[name], f" of {path!r}" if path is not None else "")

    def of(self, path, default=None):
        """The policies of a field (a tuple of names); `default` where the caller did not say `missing` or `null`."""
        found = {}
        for name, given in self._given.items():
            value = self._look_up(given, path) if isinstance(given, dict) else given
            found[name] = value if value is not None else (default or {}).get(name, CHOICES[name][0])
        return found

    def fill(self, path):
        """(whether the caller gave a value to fill with, that value)."""
        for key in _keys(path):
            if key in self._fill:
                self._used.add(key)
                return True, self._fill[key]
        return False, None

    def _look_up(self, given, path):
        for key in (*_keys(path), "*"):
            if key in given:
                self._used.add(key)
                return given[key]
        return None

    def check_all_used(self, paths):
        """Refuse names that are no field: a policy that is not applied is an error of the caller's."""
        for name, given in {**self._given, "fill": self._fill}.items():
            if isinstance(given, dict):
                for key in given:
                    if key != "*" and key not in self._used:
                        raise ValueError(f"{name} names {key!r}, which is no field of the dtype{_near(key, paths)}")


def _keys(path):
    """The ways to name a field, the nearest first: a.b.c, then a.b, then a."""
    return [".".join(path[:end]) for end in range(len(path), 0, -1)]


def _near(key, paths):
    near = difflib.get_close_matches(key, [".".join(path) for path in paths], 1)
    return f"; did you mean {near[0]!r}?" if near else ""
