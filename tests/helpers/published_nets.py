"""The published nets, layer by layer, as typed in from their prototxts.

BVLC/caffe, models/bvlc_alexnet/train_val.prototxt; KaimingHe/deep-residual-networks,
prototxt/ResNet-50-deploy.prototxt.
"""

# conv: num_output, kernel, stride, pad, group, std, bias; fc: num_output, std, bias
ALEXNET = [
    ("conv1", "Convolution", "data", "conv1", (96, 11, 4, 0, 1, 0.01, 0)),
    ("relu1", "ReLU", "conv1", "conv1", ()),
    ("norm1", "LRN", "conv1", "norm1", (5, 1e-4, 0.75)),
    ("pool1", "Pooling", "norm1", "pool1", (3, 2)),
    ("conv2", "Convolution", "pool1", "conv2", (256, 5, 1, 2, 2, 0.01, 0.1)),
    ("relu2", "ReLU", "conv2", "conv2", ()),
    ("norm2", "LRN", "conv2", "norm2", (5, 1e-4, 0.75)),
    ("pool2", "Pooling", "norm2", "pool2", (3, 2)),
    ("conv3", "Convolution", "pool2", "conv3", (384, 3, 1, 1, 1, 0.01, 0)),
    ("relu3", "ReLU", "conv3", "conv3", ()),
    ("conv4", "Convolution", "conv3", "conv4", (384, 3, 1, 1, 2, 0.01, 0.1)),
    ("relu4", "ReLU", "conv4", "conv4", ()),
    ("conv5", "Convolution", "conv4", "conv5", (256, 3, 1, 1, 2, 0.01, 0.1)),
    ("relu5", "ReLU", "conv5", "conv5", ()),
    ("pool5", "Pooling", "conv5", "pool5", (3, 2)),
    ("fc6", "InnerProduct", "pool5", "fc6", (4096, 0.005, 0.1)),
    ("relu6", "ReLU", "fc6", "fc6", ()),
    ("drop6", "Dropout", "fc6", "fc6", (0.5,)),
    ("fc7", "InnerProduct", "fc6", "fc7", (4096, 0.005, 0.1)),
    ("relu7", "ReLU", "fc7", "fc7", ()),
    ("drop7", "Dropout", "fc7", "fc7", (0.5,)),
]


def he_resnet50():
    """The layers of He's ResNet-50-deploy.prototxt from conv1 to pool5, from its regular pattern."""
    def conv(name, suffix, bottom, *shape, relu=None):
        layers = [(name, "Convolution", (bottom,), name, shape)]
        layers += [(f"bn{suffix}", "BatchNorm", (name,), name, ()), (f"scale{suffix}", "Scale", (name,), name, (True,))]
        return layers + ([(relu, "ReLU", (name,), name, ())] if relu else [])

    # num_output, kernel, stride, pad, bias_term
    layers = conv("conv1", "_conv1", "data", 64, 7, 2, 3, True, relu="conv1_relu")
    layers.append(("pool1", "Pooling", ("conv1",), "pool1", ("MAX", 3, 2)))
    bottom = "pool1"
    for stage, width, blocks in ((2, 64, "abc"), (3, 128, "abcd"), (4, 256, "abcdef"), (5, 512, "abc")):
        for block in blocks:
            name = f"{stage}{block}"
            stride = 2 if block == "a" and stage > 2 else 1
            shortcut = bottom
            if block == "a":
                shortcut = f"res{name}_branch1"
                layers += conv(shortcut, f"{name}_branch1", bottom, 4 * width, 1, stride, 0, False)
            a, b, c = (f"res{name}_branch2{part}" for part in "abc")
            layers += conv(a, f"{name}_branch2a", bottom, width, 1, stride, 0, False, relu=f"{a}_relu")
            layers += conv(b, f"{name}_branch2b", a, width, 3, 1, 1, False, relu=f"{b}_relu")
            layers += conv(c, f"{name}_branch2c", b, 4 * width, 1, 1, 0, False)
            layers.append((f"res{name}", "Eltwise", (shortcut, c), f"res{name}", ("SUM",)))
            layers.append((f"res{name}_relu", "ReLU", (f"res{name}",), f"res{name}", ()))
            bottom = f"res{name}"
    return [*layers, ("pool5", "Pooling", (bottom,), "pool5", ("AVE", 7, 1))]
