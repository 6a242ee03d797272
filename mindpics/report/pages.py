"""Jinja templates of the package, and figures embedded in their pages."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from mindpics.report.addresses import hide_addresses

KINDS = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}


def template(name, **options):
    """Return a template of mindpics/templates; what it shows is escaped, and a value that is not given is an error.

    `options` are those of jinja2.Environment.
    """
    environment = Environment(
        loader=PackageLoader("mindpics.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    return environment.get_template(name)


def shown_section(section):
    """Return what templates show of a `mindpics.results.study.Section`, its figures and files embedded."""
    return vars(section) | {
        "figures": list(map(embedded, section.figures)),
        "files": {path.name: data_uri(path, hide_addresses) for path in section.files},
    }


def embedded(figure):
    """Return what templates show of a `mindpics.results.study.Figure`: its picture and its CSV as data: URIs."""
    kind, path = "png" if figure.pictures else "svg", figure.folder / figure.name
    csv = path.with_name(f"{figure.name}.csv")
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "wide": kind == "svg",
        "image": data_uri(path.with_name(f"{figure.name}.{kind}")),
        "csv": data_uri(csv, hide_addresses) if csv.is_file() else "",
    }


def data_uri(path, shown=None):
    """Return a file as a data: URI; `shown` turns a text into what may be shown."""
    content = shown(path.read_text(encoding="utf-8")).encode() if shown else path.read_bytes()
    return f"data:{KINDS[path.suffix[1:]]};base64,{base64.b64encode(content).decode()}"
