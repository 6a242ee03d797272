#include "cudnn.hpp"

#include <map>

#include "caffe/common.hpp"
#include "settings.hpp"

namespace caffe {
namespace fast {

namespace {

struct Context {
  cudnnHandle_t handle = NULL;
  void* workspace = NULL;
  size_t size = 0;
  // Unchecked: the thread's end may be the process's, and the device gone.
  ~Context() {
    if (handle) cudnnDestroy(handle);
    cudaFree(workspace);
  }
};

// A thread's own, since two solvers in one process work at the same time.
Context& context() {
  static thread_local std::map<int, Context> contexts;
  int device;
  CUDA_CHECK(cudaGetDevice(&device));
  Context& current = contexts[device];
  if (!current.handle) CUDNN_CHECK(cudnnCreate(&current.handle));
  return current;
}

}  // namespace

cudnnHandle_t cudnn_handle() { return context().handle; }

void* cudnn_workspace(size_t bytes) {
  Context& current = context();
  if (current.size < bytes) {
    CUDA_CHECK(cudaFree(current.workspace));
    current.workspace = NULL;
    current.size = 0;
    CHECK_EQ(cudaMalloc(&current.workspace, bytes), cudaSuccess)
        << "no " << (bytes >> 20) << " MB left on the GPU for cuDNN; MINDPICS_CUDNN_WORKSPACE_MB allows less than "
        << (workspace_limit() >> 20);
    current.size = bytes;
  }
  return current.workspace;
}

cudnnMathType_t cudnn_math() { return WantsTF32() ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH; }

}  // namespace fast
}  // namespace caffe
