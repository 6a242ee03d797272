// Convolution of pictures by cuDNN, groups included.
#include <algorithm>
#include <initializer_list>
#include <map>
#include <vector>

#include "../fast/engine.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "cudnn.hpp"
#include "settings.hpp"

namespace caffe {
namespace fast {

namespace {

typedef vector<Blob<float>*> Blobs;
const float ONE = 1, ZERO = 0;
const int MOST_ALGORITHMS = 16;  // more than cuDNN has of any kind

template <class Algorithm>
struct Choice {
  bool made, possible;
  Algorithm algorithm;
  size_t workspace;
};

// Whether an algorithm adds products of values, as BVLC's convolution does. Those that transform the pictures first,
// Winograd's and Fourier's, count as float32 with cuDNN: a gradient by one of them was 7.8e-4 of its norm away.
template <class Algorithm>
bool adds_products(Algorithm algorithm, std::initializer_list<Algorithm> transforms) {
  return std::find(transforms.begin(), transforms.end(), algorithm) == transforms.end();
}
bool adds_products(cudnnConvolutionFwdAlgo_t algorithm) {
  return adds_products(algorithm, {CUDNN_CONVOLUTION_FWD_ALGO_FFT, CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
                                   CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED});
}
bool adds_products(cudnnConvolutionBwdDataAlgo_t algorithm) {
  return adds_products(algorithm,
                       {CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
                        CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED});
}
bool adds_products(cudnnConvolutionBwdFilterAlgo_t algorithm) {
  return adds_products(
      algorithm, {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
                  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED});
}

// The fastest that gives the same bits each time, or else the fastest, within the workspace's limit; where TF32 is not
// asked for, of those that add products.
// `list(count, found)` has cuDNN fill in its candidates, the fastest first; `measure` says what memory one takes.
template <class Candidate, class Algorithm, class List, class Measure>
bool choose(Choice<Algorithm>* choice, List list, Measure measure) {
  if (choice->made) return choice->possible;
  choice->made = true;
  Candidate found[MOST_ALGORITHMS];
  int count = 0;
  CUDNN_CHECK(list(&count, found));
  for (bool same_bits : {true, false}) {
    for (int i = 0; i < count; ++i) {
      if (found[i].status != CUDNN_STATUS_SUCCESS) continue;
      if (same_bits && found[i].determinism != CUDNN_DETERMINISTIC) continue;
      if (!WantsTF32() && !adds_products(found[i].algo)) continue;
      // Asked again, since the candidate's own figure may be that of another kind of math.
      if (measure(found[i].algo, &choice->workspace) != CUDNN_STATUS_SUCCESS) continue;
      if (choice->workspace > workspace_limit()) continue;
      choice->algorithm = found[i].algo;
      return choice->possible = true;
    }
  }
  return false;
}

}  // namespace

class GpuConvolutionLayer : public ConvolutionLayer<float> {
 public:
  explicit GpuConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<float>(param), plan_(NULL) {}

 protected:
  // Made once a shape, and each part only when first needed: a net that only looks has no use for the backward ones.
  struct Plan {
    Choice<cudnnConvolutionFwdAlgo_t> forward;
    Choice<cudnnConvolutionBwdDataAlgo_t> to_bottom;
    Choice<cudnnConvolutionBwdFilterAlgo_t> to_weights;
  };

  void describe(const Blob<float>& bottom, const Blob<float>& top) {
    if (plan_ && shape_ == bottom.shape()) return;
    shape_ = bottom.shape();
    plan_ = &plans_[shape_];
    const int *kernel = kernel_shape_.cpu_data(), *pad = pad_.cpu_data(), *stride = stride_.cpu_data(),
              *dilation = dilation_.cpu_data();
    set(bottom_, bottom);
    set(top_, top);
    CUDNN_CHECK(cudnnSetFilter4dDescriptor(weights_, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, num_output_,
                                           channels_ / group_, kernel[0], kernel[1]));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(bias_, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, num_output_, 1, 1));
    CUDNN_CHECK(cudnnSetConvolution2dDescriptor(convolution_, pad[0], pad[1], stride[0], stride[1], dilation[0],
                                                dilation[1], CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    CUDNN_CHECK(cudnnSetConvolutionGroupCount(convolution_, group_));
    CUDNN_CHECK(cudnnSetConvolutionMathType(convolution_, cudnn_math()));
  }

  static void set(cudnnTensorDescriptor_t tensor, const Blob<float>& blob) {
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(tensor, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, blob.shape(0), blob.shape(1),
                                           blob.shape(2), blob.shape(3)));
  }

  // Whether cuDNN can; else the stock layer does it.
  bool prepare(const Blobs& bottom, const Blobs& top) {
    if (channel_axis_ != 1 || num_spatial_axes_ != 2 || !bottom[0]->count()) return false;
    describe(*bottom[0], *top[0]);
    return true;
  }

  bool choose_forward() {
    const auto list = wants_find() ? cudnnFindConvolutionForwardAlgorithm : cudnnGetConvolutionForwardAlgorithm_v7;
    return choose<cudnnConvolutionFwdAlgoPerf_t>(
        &plan_->forward,
        [&](int* count, cudnnConvolutionFwdAlgoPerf_t* found) {
          return list(cudnn_handle(), bottom_, weights_, convolution_, top_, MOST_ALGORITHMS, count, found);
        },
        [&](cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
          return cudnnGetConvolutionForwardWorkspaceSize(cudnn_handle(), bottom_, weights_, convolution_, top_,
                                                         algorithm, bytes);
        });
  }

  bool choose_to_bottom() {
    const auto list =
        wants_find() ? cudnnFindConvolutionBackwardDataAlgorithm : cudnnGetConvolutionBackwardDataAlgorithm_v7;
    return choose<cudnnConvolutionBwdDataAlgoPerf_t>(
        &plan_->to_bottom,
        [&](int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
          return list(cudnn_handle(), weights_, top_, convolution_, bottom_, MOST_ALGORITHMS, count, found);
        },
        [&](cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
          return cudnnGetConvolutionBackwardDataWorkspaceSize(cudnn_handle(), weights_, top_, convolution_, bottom_,
                                                              algorithm, bytes);
        });
  }

  bool choose_to_weights() {
    const auto list =
        wants_find() ? cudnnFindConvolutionBackwardFilterAlgorithm : cudnnGetConvolutionBackwardFilterAlgorithm_v7;
    return choose<cudnnConvolutionBwdFilterAlgoPerf_t>(
        &plan_->to_weights,
        [&](int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found) {
          return list(cudnn_handle(), bottom_, top_, convolution_, weights_, MOST_ALGORITHMS, count, found);
        },
        [&](cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
          return cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnn_handle(), bottom_, top_, convolution_, weights_,
                                                                algorithm, bytes);
        });
  }

  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    if (!prepare(bottom, top) || !choose_forward()) return ConvolutionLayer<float>::Forward_gpu(bottom, top);
    const auto& choice = plan_->forward;
    for (size_t i = 0; i < bottom.size(); ++i) {
      float* y = top[i]->mutable_gpu_data();
      CUDNN_CHECK(cudnnConvolutionForward(cudnn_handle(), &ONE, bottom_, bottom[i]->gpu_data(), weights_,
                                          blobs_[0]->gpu_data(), convolution_, choice.algorithm,
                                          cudnn_workspace(choice.workspace), choice.workspace, &ZERO, top_, y));
      if (bias_term_) {
        CUDNN_CHECK(cudnnAddTensor(cudnn_handle(), &ONE, bias_, blobs_[1]->gpu_data(), &ONE, top_, y));
      }
    }
  }

  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    const bool down = std::count(propagate_down.begin(), propagate_down.end(), true);
    if (!prepare(bottom, top) || (param_propagate_down_[0] && !choose_to_weights()) || (down && !choose_to_bottom())) {
      return ConvolutionLayer<float>::Backward_gpu(top, propagate_down, bottom);
    }
    for (size_t i = 0; i < top.size(); ++i) {
      if (bias_term_ && param_propagate_down_[1]) {
        CUDNN_CHECK(cudnnConvolutionBackwardBias(cudnn_handle(), &ONE, top_, top[i]->gpu_diff(), &ONE, bias_,
                                                 blobs_[1]->mutable_gpu_diff()));
      }
      if (param_propagate_down_[0]) to_weights(*bottom[i], *top[i]);
      if (propagate_down[i]) to_bottom(*top[i], bottom[i]);
    }
  }

  // Gradients of the parameters add up: over bottoms, over a solver's iter_size, over layers that share.
  void to_weights(const Blob<float>& bottom, const Blob<float>& top) {
    const auto& choice = plan_->to_weights;
    CUDNN_CHECK(cudnnConvolutionBackwardFilter(
        cudnn_handle(), &ONE, bottom_, bottom.gpu_data(), top_, top.gpu_diff(), convolution_, choice.algorithm,
        cudnn_workspace(choice.workspace), choice.workspace, &ONE, weights_, blobs_[0]->mutable_gpu_diff()));
  }

  void to_bottom(const Blob<float>& top, Blob<float>* bottom) {
    const auto& choice = plan_->to_bottom;
    CUDNN_CHECK(cudnnConvolutionBackwardData(
        cudnn_handle(), &ONE, weights_, blobs_[0]->gpu_data(), top_, top.gpu_diff(), convolution_, choice.algorithm,
        cudnn_workspace(choice.workspace), choice.workspace, &ZERO, bottom_, bottom->mutable_gpu_diff()));
  }

  Tensor bottom_, top_, bias_;
  Filter weights_;
  Convolution convolution_;
  vector<int> shape_;
  std::map<vector<int>, Plan> plans_;
  Plan* plan_;
};

REGISTER_GPU_LAYER(Convolution);

}  // namespace fast
}  // namespace caffe
