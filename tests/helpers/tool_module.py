"""A tool of ours as a module: tools have no suffix, so `import` does not find them."""

import os
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest.mock import patch

from mindpics import cli

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def load_tool(path):
    loader = SourceFileLoader(path.name, str(path))
    module = module_from_spec(spec_from_loader(path.name, loader))
    with patch.dict(os.environ):  # some ask for a quiet log before they import Caffe, which is imported here
        loader.exec_module(module)
    return module


def parsed(name, *arguments):
    """Return (tool as a module, its parsed command line)."""
    tool = load_tool(TOOLS / name)
    return tool, cli.parser_of(tool.__doc__, tool.add_arguments).parse_args(list(map(str, arguments)))


def run_tool(name, *arguments):
    """Run a tool in this process, from its command line on; return its exit status."""
    tool, args = parsed(name, *arguments)
    return tool.main(args) or 0
