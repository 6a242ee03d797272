"""PyTorch twin of a Caffe net, with the same weights: a peer for benchmarks.

Knows the layers of AlexNet and ResNet-50. PyTorch is no requirement of this package; whoever
calls this has it.
"""

import numpy as np
import torch
from torch import nn


class TorchNet(nn.Module):
    """The layers of a NetParameter, one after the other.

    Parameters
    ----------
    net : caffe.proto.caffe_pb2.NetParameter
        With the layers' blobs, as Caffe saves them.
    """

    def __init__(self, net):
        super().__init__()
        self.parts = nn.ModuleList()
        self.steps = []  # (part, bottoms, top)
        self.copied = {}  # a Split's top -> its bottom
        for layer in net.layer:
            self._add(layer)
        self.last_use = {name: i for i, (_, bottoms, _) in enumerate(self.steps) for name in bottoms}

    def _add(self, layer):
        if layer.type == "Split":
            self.copied |= dict.fromkeys(layer.top, layer.bottom[0])
        if layer.type in ("Input", "Split", "SoftmaxWithLoss"):
            return
        if layer.type == "Scale":  # the second half of PyTorch's batch normalisation
            norm = self.steps[-1][0]
            norm.weight.data, norm.bias.data = _tensor(layer.blobs[0]), _tensor(layer.blobs[1])
            return
        part = PARTS[layer.type](layer)
        self.parts.append(part)
        bottoms = tuple(self.copied.get(name, name) for name in layer.bottom)
        self.steps.append((part, bottoms, layer.top[0]))

    def forward(self, data):
        """Return the last layer's top for `data`, float32 [N,3,H,W]."""
        blobs = {"data": data}
        for i, (part, bottoms, top) in enumerate(self.steps):
            value = part(*(blobs[name] for name in bottoms))
            for name in bottoms:
                if self.last_use[name] == i:
                    del blobs[name]
            blobs[top] = value
        return value


class Sum(nn.Module):
    def forward(self, a, b):
        return a + b


def _tensor(blob):
    return torch.from_numpy(np.fromiter(blob.data, np.float32, len(blob.data))).reshape(tuple(blob.shape.dim))


def _convolution(layer):
    p = layer.convolution_param
    weights = _tensor(layer.blobs[0])
    part = nn.Conv2d(
        weights.shape[1] * p.group,
        p.num_output,
        p.kernel_size[0],
        p.stride[0] if p.stride else 1,
        p.pad[0] if p.pad else 0,
        groups=p.group,
        bias=p.bias_term,
    )
    part.weight.data = weights
    if p.bias_term:
        part.bias.data = _tensor(layer.blobs[1])
    return part


def _inner_product(layer):
    weights = _tensor(layer.blobs[0])
    part = nn.Linear(weights.shape[1], weights.shape[0])
    part.weight.data, part.bias.data = weights, _tensor(layer.blobs[1])
    return nn.Sequential(nn.Flatten(), part)


def _pooling(layer):
    p = layer.pooling_param
    if p.global_pooling:
        return nn.AdaptiveAvgPool2d(1)
    kind = nn.MaxPool2d if p.pool == p.MAX else nn.AvgPool2d
    return kind(p.kernel_size, p.stride, p.pad, ceil_mode=True)


def _batch_norm(layer):
    mean, variance, factor = (_tensor(blob) for blob in layer.blobs)
    part = nn.BatchNorm2d(len(mean), eps=layer.batch_norm_param.eps)
    part.running_mean, part.running_var = mean / factor, variance / factor
    return part


def _response(layer):
    p = layer.lrn_param
    return nn.LocalResponseNorm(p.local_size, p.alpha, p.beta, p.k)


PARTS = {
    "Convolution": _convolution,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "BatchNorm": _batch_norm,
    "LRN": _response,
    "ReLU": lambda layer: nn.ReLU(inplace=True),
    "Dropout": lambda layer: nn.Dropout(layer.dropout_param.dropout_ratio),
    "Eltwise": lambda layer: Sum(),
    "Softmax": lambda layer: nn.Softmax(1),
}
