"""Read a prototxt as Caffe would, but name every unknown field, and know each field's line."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.files.findings import Finding

_TOKEN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}<>\[\]:,;]|[^\s{}<>\[\]:,;#"']+""")
_CLOSING = {"{": "}", "<": ">"}


TOO_DEEP = "messages within messages, hundreds deep; a net or a solver is wanted"


@dataclass
class Block:
    """Where a message stands, and where its fields do."""

    line: int | None = None
    fields: dict = field(default_factory=dict)

    def at(self, *path):
        """Return the line of a field, ``at(("layer", 2), "transform_param")``, or of the nearest one around it."""
        block = self
        for step in path:
            name, index = step if isinstance(step, tuple) else (step, 0)
            inner = block.fields.get(name, [])
            if index >= len(inner):
                break
            block = inner[index]
        return block.line


@dataclass
class Prototxt:
    """A message that was read, its file and the lines of its fields (none when it came without a file).

    A solver's train_net and test_net are used in one phase: `phases` says which.
    """

    message: object
    path: str
    lines: Block = field(default_factory=Block)
    phases: tuple = ()

    def finding(self, severity, check, message, *where):
        """Return a Finding at the line of a field."""
        return Finding(severity, check, message, self.path, self.lines.at(*where))


def read_prototxt(path):
    """Read a net or a solver, whichever the file's fields speak of.

    Returns
    -------
    prototxt : Prototxt or None
        None when it cannot be parsed. Unknown fields are passed over.
    findings : list of Finding
        One "unknown-field" each, and "syntax".
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [Finding("error", "unreadable", f"cannot be read as text: {error}", str(path))]
    try:
        lines = scan(text)
    except RecursionError:
        return None, [Finding("error", "syntax", TOO_DEEP, str(path))]
    message = kind_of(lines)()
    findings = list(_unknown_fields(lines, message.DESCRIPTOR, str(path)))
    try:
        text_format.Parse(text, message, allow_unknown_field=True)
    except text_format.ParseError as error:
        said = re.sub(r"^\d+:\d+ : ", "", str(error))
        return None, [*findings, Finding("error", "syntax", said, str(path), error.GetLine())]
    except RecursionError:
        return None, [*findings, Finding("error", "syntax", TOO_DEEP, str(path))]
    if not lines.fields:
        findings.append(Finding("error", "syntax", "an empty file; a net or a solver is wanted", str(path)))
    return Prototxt(message, str(path), lines), findings


def kind_of(lines):
    """Return the class of message whose fields these mostly are: NetParameter or SolverParameter."""
    solver, net = (kind.DESCRIPTOR.fields_by_name for kind in (caffe_pb2.SolverParameter, caffe_pb2.NetParameter))
    of_solver = sum(name in solver and name not in net for name in lines.fields)
    of_net = sum(name in net and name not in solver for name in lines.fields)
    return caffe_pb2.SolverParameter if of_solver > of_net else caffe_pb2.NetParameter


def scan(text):
    """Return the Block of a whole text. Broken text gives what can be told; the parser will complain."""
    tokens, line, end = [], 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        if not match.group().startswith("#"):
            tokens.append((match.group(), line))
    return _scan_block(iter([*tokens, ("", line)]), Block(1), "")


def _scan_block(tokens, block, closing):
    """Take fields until `closing`: a name is what stands before a ":" or an opening brace."""
    name = None
    for token, line in tokens:
        if token in (closing, ""):
            break
        if token in _CLOSING and name:
            inner = _scan_block(tokens, Block(name[1]), _CLOSING[token])
            block.fields.setdefault(name[0], []).append(inner)
            name = None
        elif token == ":" and name:
            token, line = next(tokens, ("", line))
            if token in _CLOSING:
                block.fields.setdefault(name[0], []).append(_scan_block(tokens, Block(name[1]), _CLOSING[token]))
            else:
                block.fields.setdefault(name[0], []).append(Block(name[1]))
            name = None
        elif re.fullmatch(r"[A-Za-z_]\w*", token):
            name = (token, line)
    return block


def _unknown_fields(block, descriptor, path):
    known = descriptor.fields_by_name
    for name, places in block.fields.items():
        if name not in known:
            advice = _advice(name, descriptor)
            for place in places:
                text = f"{descriptor.name} has no field {name!r}{advice}"
                yield Finding("error", "unknown-field", text, path, place.line)
        elif known[name].message_type is not None:
            for place in places:
                yield from _unknown_fields(place, known[name].message_type, path)


def _advice(name, descriptor):
    near = nearest(name, descriptor.fields_by_name)
    if near:
        return near
    inside = [f.name for f in descriptor.fields if f.message_type and name in f.message_type.fields_by_name]
    return f"; it belongs inside {' or '.join(inside[:4])} {{ }}" if inside else ""


def nearest(name, known):
    """Return "; did you mean 'num_output'?" or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
