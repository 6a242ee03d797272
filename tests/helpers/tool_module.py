"""A tool of ours as a module: tools have no suffix, so `import` does not find them."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader


def load_tool(path):
    loader = SourceFileLoader(path.name, str(path))
    module = module_from_spec(spec_from_loader(path.name, loader))
    loader.exec_module(module)
    return module
