"""Resume of a restored solver: data position and random state, which Caffe starts again.

A Data layer's position and its random crops follow from the number of batches read; dropout draws from one
generator, whose state is kept with each snapshot. Both need the Caffe of tools/caffe; on a GPU dropout draws
from the device's generator, which does not tell its state. What a recurrent layer carries from batch to batch is in
no snapshot.
"""

import caffe

from mindpics.files.findings import unique

POSITIONLESS = ("ImageData", "HDF5Data", "WindowData", "MemoryData")
RECURRENT = ("LSTM", "RNN")

HISTORIES = {"AdaDelta": 2, "Adam": 2}  # arrays that a solver keeps of each parameter; the others keep one


def histories(message, net, shapes):
    """Return how many arrays a solverstate has; blobs that layers share by name count once.

    Parameters
    ----------
    message : SolverParameter
    net : NetParameter
    shapes : dict
        Layer name -> shapes of its blobs.
    """
    shared = {layer.name: [spec.name for spec in layer.param] for layer in net.layer if layer.name in shapes}
    names = [
        (dict(enumerate(shared.get(layer, ()))).get(number), layer, number)
        for layer, blobs in shapes.items()
        for number in range(len(blobs))
    ]
    learned = {name or (layer, number) for name, layer, number in names}
    return len(learned) * HISTORIES.get(message.type, 1)


def batches_read(message, iteration):
    """Return (training batches, [batches of each test net]) that a solver has read before an iteration.

    Caffe tests before the iterations 0, test_interval, ...; that of `iteration` itself is still to come.
    """
    passes = 0
    if message.test_interval:
        passes = -(-iteration // message.test_interval)
        passes -= iteration > 0 and not message.test_initialization
    return iteration * message.iter_size, [passes * count for count in message.test_iter]


def restore_position(solver, message, nets, random_state):
    """Move the Data layers of a restored solver, and Caffe's generator, to where its iteration stands.

    Parameters
    ----------
    solver : caffe.Solver
        Made with the random_seed of the run that took the snapshot, and restored from it.
    message : SolverParameter
    nets : list of NetParameter
    random_state : str
        What `mindpics.caffe_files.snapshots.random_state_of` returns.

    Returns
    -------
    list of str
        What could not be restored, in words.
    """
    lost = []
    if not hasattr(solver.net, "skip_batches"):
        lost.append("the position in the training data: this Caffe cannot tell its Data layers (tools/caffe's can)")
    else:
        train, tests = batches_read(message, solver.iter)
        for part, batches in zip((solver.net, *solver.test_nets), (train, *tests), strict=True):
            part.skip_batches(batches)
    layers = [layer for net in nets for layer in net.layer]
    lost += unique(f"the position of layer {layer.name} ({layer.type})" for layer in layers if _has_a_place(layer))
    lost += unique(f"the state of layer {layer.name} ({layer.type})" for layer in layers if _carries_state(layer))
    has_dropout = any(layer.type == "Dropout" for layer in layers)
    if has_dropout and message.solver_mode == message.GPU:
        lost.append("dropout's random state: a GPU does not tell it")
    if random_state and hasattr(caffe, "set_random_state"):
        caffe.set_random_state(random_state)  # after the Data layers, whose threads draw their seeds
    elif has_dropout:
        lost.append("dropout's random state: the snapshot has none, or this Caffe takes none")
    return lost


def _has_a_place(layer):
    """Tell whether a layer may stand somewhere in its data, which Caffe does not keep."""
    return layer.type in POSITIONLESS or (layer.type == "Python" and not layer.bottom)


def _carries_state(layer):
    """Tell whether a batch goes on where the last ended (cont 1); with expose_hidden the net feeds its first step."""
    return layer.type in RECURRENT and not layer.recurrent_param.expose_hidden
