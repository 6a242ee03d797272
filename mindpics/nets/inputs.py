"""Input blobs of a loaded net, shaped and filled from arrays."""


def fill(blob, values):
    """Give an input blob the shape and the values of an array; the net follows in its next forward pass.

    Parameters
    ----------
    blob : caffe.Blob
    values : array [N, ...]
    """
    blob.reshape(*values.shape)
    blob.data[...] = values
