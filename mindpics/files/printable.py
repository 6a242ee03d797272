"""Printable text: what a stranger's name may do to a terminal (ESC, OSC, newlines, turned writing) is escaped."""


def printable(text):
    """Return a text with each character that is not printable as Python writes it: ``\\x1b``.

    Newlines and tabs stay: they part lines and columns of our own.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def printable_names(names):
    """Return names with commas between them."""
    return ", ".join(map(printable_name, names))


def printable_name(name):
    """Return a name on one line, with newlines and tabs escaped as well."""
    return printable(name).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text, most):
    """Return a text of at most so many characters, 5 at least: of a longer one its beginning and its end."""
    most = max(5, most)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[-half:]}"
