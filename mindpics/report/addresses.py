"""E-mail addresses in people's names: ids in files, but not for show."""

import re

ADDRESS = re.compile(r"([\w.%+-]+)@[\w-]+(?:\.[\w-]+)+")


def hide_addresses(text):
    """Return `text` with what follows the @ of each e-mail address left out: "ann@home.org" as "ann@…"."""
    return ADDRESS.sub("\\1@…", text)
