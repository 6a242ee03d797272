// cuDNN: checked calls, descriptions that end with their layer, and one handle and one workspace a device.
#ifndef MINDPICS_CUDNN_HPP_
#define MINDPICS_CUDNN_HPP_

#include <cudnn.h>
#include <glog/logging.h>

#define CUDNN_CHECK(call)                                                             \
  do {                                                                                \
    const cudnnStatus_t status = call;                                                \
    CHECK_EQ(status, CUDNN_STATUS_SUCCESS) << " " << cudnnGetErrorString(status);     \
  } while (0)

namespace caffe {
namespace fast {

// This thread's, for the current device, made at the first call. It works on the default stream, as Caffe does.
cudnnHandle_t cudnn_handle();
// Memory on the device for one call of cuDNN. The next call takes the same: the stream keeps them apart.
void* cudnn_workspace(size_t bytes);
// CUDNN_FMA_MATH, or CUDNN_DEFAULT_MATH, which is TF32 where the device has it, with MINDPICS_TF32=1.
cudnnMathType_t cudnn_math();

template <class Value, cudnnStatus_t (*create)(Value*), cudnnStatus_t (*destroy)(Value)>
class Description {
 public:
  Description() { CUDNN_CHECK(create(&value_)); }
  ~Description() { destroy(value_); }
  operator Value() const { return value_; }

 private:
  Description(const Description&);
  Description& operator=(const Description&);
  Value value_;
};

typedef Description<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> Tensor;
typedef Description<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor> Filter;
typedef Description<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor,
                    cudnnDestroyConvolutionDescriptor> Convolution;

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_CUDNN_HPP_
