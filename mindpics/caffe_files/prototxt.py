"""Prototxt reader: a net or a solver as Caffe has it after its upgrade, every unknown field, each field's line."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.upgrade import upgrade_net, upgrade_solver
from mindpics.files.bounded import read_prototxt_text
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
        """Return the line of a field, ``at(("layer", 2), "transform_param")``, or of the nearest one around it.

        Parameters
        ----------
        *path : str or (str, int)
            Names of fields from the message inwards, with a place where a field is repeated (0 without).
        """
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

    `builds` are what a solver builds of a net (`mindpics.caffe_files.solver_nets.Build`); None without a solver.
    """

    message: object
    path: str
    lines: Block = field(default_factory=Block)
    builds: tuple | None = None

    def finding(self, severity, check, message, *where):
        """Return a Finding at the line of a field.

        Parameters
        ----------
        severity, check, message : str
            As of `mindpics.files.findings.Finding`.
        *where : str or (str, int)
            Names of nested fields, from the outermost; (name, i) is the i-th of a repeated one.
        """
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
        text = read_prototxt_text(path, "a net or a solver")
    except ValueError as error:
        return None, [Finding("error", "unreadable", str(error).removeprefix(f"{path}: "), str(path))]
    try:
        lines = scan(text)
    except RecursionError:
        return None, [Finding("error", "syntax", TOO_DEEP, str(path))]
    message = kind_of(lines)()
    findings = list(_unknown_fields(lines, message.DESCRIPTOR, str(path)))
    try:
        text_format.Parse(text, message, allow_unknown_field=True)
    except text_format.ParseError as error:
        reason = re.sub(r"^\d+:\d+ : ", "", str(error))
        return None, [*findings, Finding("error", "syntax", reason, str(path), error.GetLine())]
    except RecursionError:
        return None, [*findings, Finding("error", "syntax", TOO_DEEP, str(path))]
    if not lines.fields:
        findings.append(Finding("error", "syntax", "an empty file; a net or a solver is wanted", str(path)))
    prototxt = Prototxt(message, str(path), lines)
    try:
        return prototxt, findings + (_upgrade_net if kind_of(lines) is caffe_pb2.NetParameter else _upgrade)(prototxt)
    except ValueError as error:
        return None, [*findings, Finding("error", "upgrade", f"Caffe cannot upgrade it: {error}", str(path))]


def _upgrade_net(prototxt):
    """Put the net that Caffe makes of an old one in its place, and its layers' lines in theirs; return notes on it."""
    old = next((name for name in ("layers", "input") if getattr(prototxt.message, name)), None)
    upgraded = upgrade_net(prototxt.message)
    notes = [
        prototxt.finding("warning", "upgrade-lost", f"Caffe's upgrade drops {text}", ("layers", index))
        for index, text in upgraded.lost
    ]
    if old:
        text = f"the old form ({old}); it is read as Caffe upgrades it"
        notes.append(prototxt.finding("note", "old-form", text, old))
    blocks = prototxt.lines.fields.get("layers") or prototxt.lines.fields.get("layer", [])
    at_input = Block(prototxt.lines.at("input"))
    layers = [at_input if origin is None else _as_new(blocks[origin]) for origin in upgraded.origins]
    prototxt.lines = Block(prototxt.lines.line, prototxt.lines.fields | {"layer": layers})
    prototxt.message = upgraded.net
    for index in upgraded.frozen:
        text = f"layer {upgraded.net.layer[index].name}: a BatchNorm's lr_mult, which Caffe's upgrade sets to 0"
        notes.append(prototxt.finding("note", "batchnorm-upgraded", text, ("layer", index), "param"))
    return notes


def _as_new(block):
    """Return the Block of an old layer with its fields where a new one has them, as far as they have a place."""
    fields = dict(block.fields)
    for inner in fields.pop("layer", []):  # V0
        fields |= inner.fields
    specs = [fields[name] for name in ("blobs_lr", "weight_decay", "param") if name in fields]
    return Block(block.line, fields | ({"param": max(specs, key=len)} if specs else {}))


def _upgrade(prototxt):
    upgrade_solver(prototxt.message)
    return []


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
    """Take fields until `closing`: a name is what stands before a ":", a "[" or an opening brace."""
    name = None
    for token, line in tokens:
        if token in (closing, ""):
            break
        if name and token in (":", "[", *_CLOSING):
            if token == ":":
                token, _ = next(tokens, ("", line))
            block.fields.setdefault(name[0], []).extend(_values(tokens, token, name[1]))
            name = None
        elif re.fullmatch(r"[A-Za-z_]\w*", token):
            name = (token, line)
    return block


def _values(tokens, token, line):
    """Return the Block of a field whose value begins with a token, or one each of a list."""
    if token in _CLOSING:
        return [_scan_block(tokens, Block(line), _CLOSING[token])]
    if token != "[":
        return [Block(line)]
    values = []
    for token, line in tokens:
        if token in ("]", ""):
            break
        if token != ",":
            values += _values(tokens, token, line)
    return values


def _unknown_fields(block, descriptor, path):
    fields = descriptor.fields_by_name
    for name, places in block.fields.items():
        if name not in fields:
            advice = _advice(name, descriptor)  # of names alone: a field that comes often is looked up once
            for place in places:
                text = f"{descriptor.name} has no field {name!r}{advice}"
                yield Finding("error", "unknown-field", text, path, place.line)
        elif fields[name].message_type is not None:
            for place in places:
                yield from _unknown_fields(place, fields[name].message_type, path)


def _advice(name, descriptor):
    near = nearest(name, descriptor.fields_by_name)
    if near:
        return near
    inside = [f.name for f in descriptor.fields if f.message_type and name in f.message_type.fields_by_name]
    return f"; it belongs inside {' or '.join(inside[:4])} {{ }}" if inside else ""


def nearest(name, names):
    """Return "; did you mean 'num_output'?" or nothing."""
    ending = "_param" if name.endswith("_param") else ""  # alone it makes no two names alike
    stems = {known.removesuffix(ending): known for known in names}
    near = difflib.get_close_matches(name.removesuffix(ending), stems, n=1, cutoff=0.65)
    return f"; did you mean {stems[near[0]]!r}?" if near else ""
