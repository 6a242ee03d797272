"""Names of old nets: V0 and V1 layer types, V0 fields, solver types, and what they are called now.

Facts of BVLC/caffe, src/caffe/util/upgrade_proto.cpp.
"""

# type of a V0 layer -> V1's LayerType
V0_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

# V1's LayerType -> type of a layer
V1_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DECONVOLUTION": "Deconvolution",
    "DATA": "Data",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "SLICE": "Slice",
    "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
    "THRESHOLD": "Threshold",
}

SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}

# field of a V0 layer of any type -> field of transform_param
TRANSFORM = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}


def _in(name, *messages):
    """Return where a field goes, by V0 type: {"conv": ("convolution_param", name), ...}."""
    return {kind: (_MESSAGES[kind], name) for kind in messages}


_MESSAGES = {
    "conv": "convolution_param",
    "innerproduct": "inner_product_param",
    "pool": "pooling_param",
    "dropout": "dropout_param",
    "lrn": "lrn_param",
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
    "concat": "concat_param",
}
_LEARNED = ("conv", "innerproduct")
_SOURCES = ("data", "hdf5_data", "images", "window_data")

# field of a V0 layer -> {its type: (message, field)} in a V1 layer; for another type Caffe drops it
V0_FIELDS = {
    "num_output": _in("num_output", *_LEARNED),
    "biasterm": _in("bias_term", *_LEARNED),
    "weight_filler": _in("weight_filler", *_LEARNED),
    "bias_filler": _in("bias_filler", *_LEARNED),
    "pad": _in("pad", "conv", "pool"),
    "kernelsize": _in("kernel_size", "conv", "pool"),
    "group": _in("group", "conv"),
    "stride": _in("stride", "conv", "pool"),
    "pool": _in("pool", "pool"),
    "dropout_ratio": _in("dropout_ratio", "dropout"),
    "local_size": _in("local_size", "lrn"),
    "alpha": _in("alpha", "lrn"),
    "beta": _in("beta", "lrn"),
    "k": _in("k", "lrn"),
    "source": _in("source", *_SOURCES, "infogain_loss"),
    "batchsize": _in("batch_size", *_SOURCES),
    "rand_skip": _in("rand_skip", "data", "images"),
    "shuffle_images": _in("shuffle", "images"),
    "new_height": _in("new_height", "images"),
    "new_width": _in("new_width", "images"),
    "concat_dim": _in("concat_dim", "concat"),
    "det_fg_threshold": _in("fg_threshold", "window_data"),
    "det_bg_threshold": _in("bg_threshold", "window_data"),
    "det_fg_fraction": _in("fg_fraction", "window_data"),
    "det_context_pad": _in("context_pad", "window_data"),
    "det_crop_mode": _in("crop_mode", "window_data"),
    "hdf5_output_param": {"hdf5_output": ("hdf5_output_param", None)},
}
