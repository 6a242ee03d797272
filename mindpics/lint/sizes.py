"""Lint of sizes: outputs, kernels, pads and ratios that a layer would abort on."""

LEARNED = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
}


def check_sizes(layer):
    """Yield (severity, check, text, *fields) of a layer's sizes."""
    if layer.type in LEARNED:
        field = LEARNED[layer.type]
        param = getattr(layer, field)
        if not param.num_output:
            yield "error", "no-num-output", f"{field} without num_output", field
        if field == "convolution_param":
            yield from _convolution(param)
    if layer.type == "Pooling":
        yield from _pooling(layer.pooling_param)
    if layer.type == "Dropout":
        yield from _dropout(layer.dropout_param.dropout_ratio)


def _convolution(param):
    if not (param.kernel_size or param.kernel_h and param.kernel_w):
        text = "convolution_param without kernel_size, or kernel_h and kernel_w"
        yield "error", "no-kernel", text, "convolution_param"
    if param.num_output % max(1, param.group):
        text = f"num_output {param.num_output} is no multiple of group {param.group}"
        yield "error", "group", text, "convolution_param", "group"


def _pooling(param):
    sides = param.HasField("kernel_h"), param.HasField("kernel_w")
    if param.global_pooling:
        if param.HasField("kernel_size") or any(sides):
            yield "error", "global-pooling", "global_pooling and a kernel; Caffe takes one of them", "pooling_param"
        return
    if param.HasField("kernel_size") == all(sides):
        has = "both kernel_size and" if all(sides) else "without kernel_size, or"
        yield "error", "no-kernel", f"pooling_param {has} kernel_h and kernel_w; Caffe aborts", "pooling_param"
        return
    for side in ("h", "w"):
        kernel = getattr(param, f"kernel_{side}") or param.kernel_size
        name = f"pad_{side}" if param.HasField(f"pad_{side}") else "pad"
        if getattr(param, name) and getattr(param, name) >= kernel:
            text = f"{name} {getattr(param, name)} is not below the kernel's {kernel}"
            yield "error", "pad", text, "pooling_param", name


def _dropout(ratio):
    if not 0 <= ratio <= 1:
        text = f"dropout_ratio {ratio:g}; one from 0 to under 1 is wanted: Caffe aborts"
        yield "error", "dropout-ratio", text, "dropout_param"
    elif ratio == 1:
        yield (
            "warning",
            "dropout-ratio",
            "dropout_ratio 1: nothing is let through, and zeros become NaN",
            "dropout_param",
        )
