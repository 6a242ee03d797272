"""Facts from outside a net: what a Python layer imports, an LMDB's Datums, a mean."""

from mindpics.caffe_files.blobs import read_mean
from mindpics.caffe_files.lmdb_check import check_records

OUR_LAYERS = "mindpics.layers"


def check_data_layer(layer):
    """Check that a Data layer's LMDB opens, and that its Datums, mean and crop go together."""
    smallest, largest = check_records(layer.data_param.source)
    crop = layer.transform_param.crop_size
    if crop > min(smallest[1:]):
        raise ValueError(f"layer {layer.name}: found crop_size {crop}; wanted at most the Datums' {smallest}")
    if layer.transform_param.mean_file:
        mean = read_mean(layer.transform_param.mean_file).shape
        for shape in (smallest, largest):
            if mean != shape:
                raise ValueError(
                    f"{layer.transform_param.mean_file}: found mean {mean}; wanted the Datums' shape {shape}"
                )
    if smallest[0] != largest[0] or not crop and smallest != largest:
        raise ValueError(f"{layer.data_param.source}: found Datums from {smallest} to {largest}; wanted one shape")
