// BatchNorm and Scale. The stock layers spread means by products of matrices, which TF32 would round to 10 bits, have
// the host wait for a count at each step, and keep four copies of the values beside the blob's; these keep two.
#include <vector>

#include "../fast/engine.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "channels.hpp"

namespace caffe {
namespace fast {

typedef vector<Blob<float>*> Blobs;

class GpuBatchNormLayer : public BatchNormLayer<float> {
 public:
  explicit GpuBatchNormLayer(const LayerParameter& param) : BatchNormLayer<float>(param) {}

 protected:
  static bool is_stock(const Blobs& bottom) { return bottom[0]->num_axes() < 2 || !bottom[0]->count(); }

  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    if (is_stock(bottom)) return BatchNormLayer<float>::Forward_gpu(bottom, top);
    inverse_.Reshape({channels_});
    const Channels shape = channels_of(*bottom[0]);
    const gpu::Moving moving = {blobs_[0]->mutable_gpu_data(), blobs_[1]->mutable_gpu_data(),
                                blobs_[2]->mutable_gpu_data(), moving_average_fraction_, eps_};
    const float* x = bottom[0]->gpu_data();
    float *mean = mean_.mutable_gpu_data(), *inverse = inverse_.mutable_gpu_data();
    if (use_global_stats_) {
      gpu::saved_statistics(channels_, moving, mean, inverse);
    } else {
      gpu::batch_statistics(shape, x, moving, mean, inverse);
    }
    // Only a gradient through the batch's statistics asks for the values again; layers in place may change them.
    float* copy = use_global_stats_ || !need_backward_ ? NULL : x_norm_.mutable_gpu_data();
    gpu::affine(shape, x, mean, inverse, NULL, top[0]->mutable_gpu_data(), copy);
  }

  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (is_stock(bottom)) return BatchNormLayer<float>::Backward_gpu(top, propagate_down, bottom);
    const Channels shape = channels_of(*bottom[0]);
    const float *dy = top[0]->gpu_diff(), *inverse = inverse_.gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    if (use_global_stats_) return gpu::affine(shape, dy, NULL, inverse, NULL, dx, NULL);
    sums_.Reshape({channels_});
    float *sum_dy = sums_.mutable_gpu_data(), *sum_dy_x = sums_.mutable_gpu_diff();
    gpu::sums(shape, dy, x_norm_.gpu_data(), false, sum_dy, sum_dy_x);
    gpu::normalized_backward(shape, dy, x_norm_.gpu_data(), sum_dy, sum_dy_x, inverse, dx);
  }

  Blob<float> inverse_, sums_;
};

class GpuScaleLayer : public ScaleLayer<float> {
 public:
  explicit GpuScaleLayer(const LayerParameter& param) : ScaleLayer<float>(param) {}

 protected:
  // One learned factor a channel, as beside BatchNorm.
  bool is_channelwise(const Blobs& bottom) const {
    return bottom.size() == 1 && bottom[0]->num_axes() >= 2 && axis_ == 1 && blobs_[0]->num_axes() == 1
        && blobs_[0]->count() == bottom[0]->shape(1) && bottom[0]->count();
  }

  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    if (!is_channelwise(bottom)) return ScaleLayer<float>::Forward_gpu(bottom, top);
    const float* x = bottom[0]->gpu_data();
    if (bottom[0] == top[0] && need_backward_) caffe_copy(bottom[0]->count(), x, temp_.mutable_gpu_data());
    gpu::affine(channels_of(*bottom[0]), x, NULL, blobs_[0]->gpu_data(),
                bias_layer_ ? blobs_[bias_param_id_]->gpu_data() : NULL, top[0]->mutable_gpu_data(), NULL);
  }

  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!is_channelwise(bottom)) return ScaleLayer<float>::Backward_gpu(top, propagate_down, bottom);
    const Channels shape = channels_of(*bottom[0]);
    const float *x = (bottom[0] == top[0] ? temp_ : *bottom[0]).gpu_data(), *dy = top[0]->gpu_diff();
    const bool scale = param_propagate_down_[0], bias = bias_layer_ && param_propagate_down_[bias_param_id_];
    // Of a single picture BVLC's overwrites the diff of earlier passes (iter_size): the sum goes straight there.
    const bool overwrites = shape.num == 1 && (shape.channels > 1 || shape.pixels == 1);
    if (scale && overwrites) caffe_gpu_set(shape.channels, 0.f, blobs_[0]->mutable_gpu_diff());
    if (scale || bias) {
      gpu::sums(shape, dy, x, true, bias ? blobs_[bias_param_id_]->mutable_gpu_diff() : NULL,
                scale ? blobs_[0]->mutable_gpu_diff() : NULL);
    }
    if (!propagate_down[0]) return;
    gpu::affine(shape, dy, NULL, blobs_[0]->gpu_data(), NULL, bottom[0]->mutable_gpu_diff(), NULL);
  }
};

REGISTER_GPU_LAYER(BatchNorm);
REGISTER_GPU_LAYER(Scale);

}  // namespace fast
}  // namespace caffe
