"""The published nets: BVLC's own files, which Caffe's wheel brings along, and He's ResNet-50, layer by layer.

The latter is typed in from KaimingHe/deep-residual-networks, prototxt/ResNet-50-deploy.prototxt.
"""

from pathlib import Path

import caffe

BVLC_ALEXNET = Path(caffe.__file__).parent / "models/bvlc_alexnet"


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
