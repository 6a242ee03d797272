"""Messages of caffe.proto with arrays as bytes, by which blobs are read at the speed of the file."""

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

# message -> {field: (number, type)}, a subset of caffe.proto with arrays as bytes; "*" is repeated
MESSAGES = {
    "Shape": {"dim": (1, "bytes")},
    "Blob": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "data": (5, "bytes"),
        "diff": (6, "bytes"),
        "shape": (7, "Shape"),
        "double_data": (8, "bytes"),
        "double_diff": (9, "bytes"),
        "absent": (100, "bool"),  # ours: HDF5 weights leave out what a layer shares with an earlier one
    },
    "Layer": {"name": (1, "string"), "type": (2, "string"), "blobs": (7, "*Blob")},
    "V0": {"name": (1, "string"), "blobs": (50, "*Blob")},
    "V1": {"v0": (1, "V0"), "name": (4, "string"), "blobs": (6, "*Blob")},
    "Net": {"layers": (2, "*V1"), "layer": (100, "*Layer")},
    "State": {
        "iter": (1, "int32"),
        "learned_net": (2, "string"),
        "history": (3, "*Blob"),
        "current_step": (4, "int32"),
    },
}


def varint(value):
    """Return a number from 0 as protobuf writes it."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def varints(data, where):
    """Yield the numbers of a packed repeated int64."""
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value - (1 << 64) if value >> 63 else value
            value = shift = 0
        elif shift > 63:
            break
    if shift:
        raise ValueError(f"{where}: found a broken shape; wanted sides of 0 or more")


def _message_classes():
    file = descriptor_pb2.FileDescriptorProto(name="mindpics/blob_files.proto", package="mindpics", syntax="proto2")
    field_type = descriptor_pb2.FieldDescriptorProto
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = field_type.LABEL_REPEATED if kind[0] == "*" else field_type.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            field = described.field.add(name=name, number=number, label=label)
            if kind in MESSAGES:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".mindpics.{kind}"
            else:
                field.type = getattr(field_type, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"mindpics.{name}")) for name in MESSAGES}


CLASSES = _message_classes()
