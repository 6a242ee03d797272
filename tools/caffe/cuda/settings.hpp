// What the environment says about the GPU's arithmetic and memory.
#ifndef MINDPICS_SETTINGS_HPP_
#define MINDPICS_SETTINGS_HPP_

#include <cstddef>

namespace caffe {

// MINDPICS_TF32=1: products of tensor cores, their factors rounded to 10 bits, in cuBLAS and cuDNN. Else true float32.
// The log says which, once.
bool WantsTF32();

namespace fast {

// MINDPICS_CUDNN_FIND=1: time cuDNN's algorithms, once a shape, rather than ask which it expects to be the fastest.
bool wants_find();
// MINDPICS_CUDNN_WORKSPACE_MB: memory that an algorithm may take, shared by all layers of a device; 256.
size_t workspace_limit();

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_SETTINGS_HPP_
