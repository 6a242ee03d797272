"""Console command: list of the tools by stage, their parsers, completion and error lines.

    mindpics                        # every tool, by stage, with a line each
    mindpics train_net --help       # is tools/train_net --help
    eval "$(register-python-argcomplete mindpics)"     # completion, in bash or zsh

A tool is a file of tools/ without suffix: a docstring with an example, STAGE, add_arguments(parser) and main(args).
"""

import argparse
import ast
import atexit
import gc
import os
import re
import runpy
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

import argcomplete

from mindpics.files.lock import not_left_empty
from mindpics.files.printable import printable
from mindpics.jobs.interrupt import terminable
from mindpics.jobs.quiet import quiet

STAGES = {
    "job": "The whole of it",
    "data": "From posts to LMDBs",
    "nets": "Nets and their training",
    "results": "Scores, tables, figures",
    "pins": "Pinterest user identification",
    "use": "To try, to pass on",
    "machine": "This machine",
}


WRITTEN = ("out", "json", "folder")  # how each tool calls what it writes
# keywords of the library that its messages have with a value and that are switches of the tools
KEYWORDS = ("gpu", "iterations", "resume", "patience", "allow_python_layers", "force", "with_mean")
READINGS = ("normalization", "base_lr", "epochs", "batch", "snapshots", "frozen_batch_norm", "alexnet_crop", "loss")
OTHERWISE = {"overwrite": "force", "draws": "random"}  # keyword -> switch, where they differ
_KEYWORD = re.compile(rf"\b({'|'.join((*KEYWORDS, *READINGS, *OTHERWISE))})=(True\b|N\b|-?\d[\d.e+-]*\b|'[A-Z_]+')")


class UsageError(ValueError):
    """Arguments that do not go together: exit status 2, with the tool's usage."""


def run(doc, add_arguments, main, *errors):
    """Parse the command line and run a tool; what may go wrong is one line, ``NAME: what was found and wanted``.

    Parameters
    ----------
    doc : str
        The tool's docstring, which is its help.
    add_arguments : callable
        Of an `argparse.ArgumentParser`.
    main : callable
        Of the parsed arguments. What it returns is the exit status, None for 0; it raises `UsageError` for status 2,
        ValueError, OSError or one of `errors` for status 1.
    errors : exception classes
        What else the tool's work raises with words for the user.
    """
    gc.freeze()  # what has been imported stays: the garbage collector is not to walk over it, at the end least of all
    atexit.register(gc.freeze)
    parser = parser_of(doc, add_arguments)
    argcomplete.autocomplete(parser)
    args = parser.parse_args()
    _forget_the_script()
    try:
        places = _places(parser, args)
        for switch, path, kind in places:
            _check_place(switch, path, kind)
            if kind != "NAME":
                _refuse_input(args, switch, path)
        with not_left_empty(*(path for _, path, _ in places)), terminable(), _quiet(args):
            status = main(args)
    except UsageError as error:
        parser.error(str(error))
    except BrokenPipeError:
        _end_for_a_reader_gone()
    except (ValueError, OSError, *errors) as error:
        sys.exit(printable(f"{parser.prog}: {as_switches(str(error))}"))
    except MemoryError as error:
        sys.exit(f"{parser.prog}: memory does not suffice ({error or 'no more is given'})")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")
    if status:
        sys.exit(status)


def _forget_the_script():
    """Keep children from importing the tool's script, and Caffe with it: what they run is in the packages."""
    vars(sys.modules["__main__"]).pop("__file__", None)


def _end_for_a_reader_gone():
    """End without a word: the reader, like head, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def parser_of(doc, add_arguments):
    """Return a tool's parser; its docstring is shown as it stands, examples included."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return parser


def _places(parser, args):
    """Return (as typed, path, kind) of --out, --json and --folder: FILE, NAME that files begin with, or a folder."""
    written = [action for action in parser._actions if action.dest in WRITTEN]
    places = []
    for action in written if not getattr(args, "plan", False) else ():
        path = getattr(args, action.dest)
        if isinstance(path, (str, Path)) and (action.dest == "out" or action.option_strings):
            typed = " ".join([*action.option_strings[:1], str(path)])
            places.append((typed, Path(path).absolute(), action.metavar))
    return places


def _check_place(switch, path, kind):
    """Raise ValueError where a place cannot be written, before anything is computed."""
    if kind == "FILE" and path.is_dir():
        raise ValueError(f"{switch}: found a folder; wanted the name of a file")
    above = next(above for above in (path, *path.parents) if os.path.lexists(above))
    if not os.access(above, os.W_OK) or above != path and not above.is_dir():
        raise ValueError(f"{switch}: found {above}, which takes no file; wanted a place to write to")


def _refuse_input(args, switch, path):
    """Raise ValueError where a file that is to be written is one that another argument names: it would be lost.

    So would an LMDB, which is named by its folder.
    """
    words = list(_words([value for name, value in vars(args).items() if name not in WRITTEN]))
    read = [*words, *(os.path.join(word, name) for word in words for name in ("data.mdb", "lock.mdb"))]
    if path.is_file() and os.path.realpath(path) in map(os.path.realpath, read):
        raise ValueError(f"{switch}: found a file that is read as well; wanted another name, or it would be lost")


def _words(value):
    """Yield the texts and paths of an argument, which may be a list of lists."""
    if isinstance(value, (str, Path)):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _words(part)


def as_switches(text):
    """Return a message that names keywords of Python with the switches that give them: epochs=0 as --epochs 0."""

    def switch(match):
        name, value = OTHERWISE.get(match[1], match[1]).replace("_", "-"), match[2].strip("'")
        return f"--{name}" if value == "True" else f"--{name} {value}"

    return _KEYWORD.sub(switch, text)


def _quiet(args):
    """Return a context that keeps Caffe off the terminal, for tools that make nets (they have --verbose)."""
    if getattr(args, "verbose", True):
        return nullcontext()
    return quiet(shlex.join(sys.argv), getattr(args, "out", None))


def size(text):
    """Return what --size says, for argparse: a side, or (height, width) of HEIGHTxWIDTH."""
    numbers = text.split("x")
    if not all(re.fullmatch(r"[1-9]\d{0,5}", number) for number in numbers) or len(numbers) > 2:
        raise argparse.ArgumentTypeError(f"found {text!r}; wanted SIDE or HEIGHTxWIDTH, in pixels")
    return int(text) if len(numbers) == 1 else tuple(map(int, numbers))


def count(text):
    """Return a number of things, for argparse: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}; wanted 1 or more")
    return int(text)


def folder():
    """Return the folder of the tools: the checkout's, or where ``pip install`` has put them."""
    checkout = Path(__file__).resolve().parents[1] / "tools"
    if checkout.is_dir():
        return checkout
    from importlib import metadata  # a fifth of a tool's start

    paths = metadata.files("mindpics") or ()
    return next(Path(path.locate()).resolve().parent for path in paths if path.match("share/mindpics/tools/train_net"))


def shared(path):
    """Return a file of the checkout, such as a net's prototxt, for who may be elsewhere: as it is where it is there."""
    return path if Path(path).is_file() else str(folder().parent / path)


def paths():
    """Return {name: path} of the tools."""
    files = (path for path in sorted(folder().iterdir()) if path.is_file())
    return {path.name: path for path in files if path.read_bytes().startswith(b"#!/usr/bin/env python3\n")}


def tools():
    """Return {stage: {name: first line of its docstring}} of all tools, without running one."""
    listed = {stage: {} for stage in STAGES}
    for name, path in paths().items():
        tree = ast.parse(path.read_bytes())
        stage = next(
            node.value.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "STAGE"
        )
        listed[stage][name] = ast.get_docstring(tree).splitlines()[0]
    return listed


def listing():
    """Return the tools by stage, a line each."""
    lines = [
        "MindPics and Pinterest user identification on Caffe: the tools, by stage.",
        "",
        "usage: mindpics TOOL [ARGUMENT ...]    mindpics TOOL --help",
    ]
    for stage, named in tools().items():
        lines += ["", STAGES[stage], *(f"  {name:<22}{line}" for name, line in named.items())]
    return "\n".join(lines)


def main():
    """Run the tool that the first argument names, or list them all."""
    tool_paths = paths()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    words = os.environ.get("COMP_LINE", "").split()
    if len(words) > 1 and words[1] in tool_paths:  # the tool completes its own arguments, one word further on
        os.environ["_ARGCOMPLETE"], name = "2", words[1]
    elif words:
        parser = argparse.ArgumentParser()
        parser.add_argument("tool", choices=sorted(tool_paths))
        argcomplete.autocomplete(parser)
    if name in ("-h", "--help"):
        try:
            print(listing(), flush=True)
        except BrokenPipeError:
            _end_for_a_reader_gone()
    elif name not in tool_paths:
        print(f"mindpics: found no tool {name!r}; wanted one of: {' '.join(sorted(tool_paths))}", file=sys.stderr)
        sys.exit(2)
    else:
        sys.argv = [str(tool_paths[name]), *sys.argv[2:]]
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
