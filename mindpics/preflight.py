"""Facts that a check of nets needs from outside them: what a Python layer imports, an LMDB's Datums, a mean."""

from mindpics.lmdb_io import first_datum, read_mean

OUR_LAYERS = "mindpics.layers"


def check_data_layer(layer):
    """Check that a Data layer's LMDB opens, and that its Datums, mean and crop go together."""
    datum = first_datum(layer.data_param.source)
    if datum.encoded:
        return  # its size is known only once decoded
    shape = (datum.channels, datum.height, datum.width)
    crop = layer.transform_param.crop_size
    if crop > min(datum.height, datum.width):
        raise ValueError(f"layer {layer.name}: crop_size {crop} is larger than the Datums {shape}")
    if layer.transform_param.mean_file:
        mean = read_mean(layer.transform_param.mean_file).shape
        if mean != shape:
            raise ValueError(f"{layer.transform_param.mean_file}: mean {mean}, but the Datums are {shape}")
