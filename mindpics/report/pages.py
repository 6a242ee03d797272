"""Jinja templates of the package."""

from jinja2 import Environment, PackageLoader, StrictUndefined


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
