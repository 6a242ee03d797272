// BatchNorm and Scale over the channels of pictures.
#include <cmath>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

typedef vector<Blob<float>*> Blobs;

class FastBatchNormLayer : public BatchNormLayer<float> {
 public:
  explicit FastBatchNormLayer(const LayerParameter& param) : BatchNormLayer<float>(param) {}

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0]->num_axes() != 4) return BatchNormLayer<float>::Forward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    use_global_stats_ ? saved_statistics() : batch_statistics(blocked, *bottom[0], x);
    float* deviation = variance_.mutable_cpu_data();
    inverse_.resize(channels_);
    for (int c = 0; c < channels_; ++c) {
      deviation[c] = std::sqrt(deviation[c] + eps_);
      inverse_[c] = 1 / deviation[c];
    }
    const bool in_place = bottom[0] == top[0];
    const Channels shape = channels_of(*bottom[0]);
    if (use_global_stats_) {
      float* y = in_place ? const_cast<float*>(x) : write(top[0], DATA, blocked);
      return affine(blocked, shape, x, mean_.cpu_data(), inverse_.data(), NULL, y, NULL);
    }
    // The gradient through the batch's statistics asks for the values again; layers in place may change them.
    float* kept = write(&x_norm_, DATA, blocked);
    const bool later = in_place && top[0]->data()->may_block();  // Scale, which comes next, reads what is kept here
    float* y = later ? NULL : in_place ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    affine(blocked, shape, x, mean_.cpu_data(), inverse_.data(), NULL, kept, y);
    if (later) top[0]->data()->copy_when_read(x_norm_.data());
  }

  void saved_statistics() {
    const float sum = blobs_[2]->cpu_data()[0], factor = sum == 0 ? 0 : 1 / sum;
    caffe_cpu_scale(channels_, factor, blobs_[0]->cpu_data(), mean_.mutable_cpu_data());
    caffe_cpu_scale(channels_, factor, blobs_[1]->cpu_data(), variance_.mutable_cpu_data());
  }

  void batch_statistics(bool blocked, const Blob<float>& bottom, const float* x) {
    moments(blocked, channels_of(bottom), x, mean_.mutable_cpu_data(), variance_.mutable_cpu_data());
    const int m = bottom.count() / channels_;
    const float correction = m > 1 ? float(m) / (m - 1) : 1;
    float* sum = blobs_[2]->mutable_cpu_data();
    sum[0] = sum[0] * moving_average_fraction_ + 1;
    caffe_cpu_axpby(channels_, 1.f, mean_.cpu_data(), moving_average_fraction_, blobs_[0]->mutable_cpu_data());
    caffe_cpu_axpby(channels_, correction, variance_.cpu_data(), moving_average_fraction_,
                    blobs_[1]->mutable_cpu_data());
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (bottom[0]->num_axes() != 4) return BatchNormLayer<float>::Backward_cpu(top, propagate_down, bottom);
    use_threads(bottom[0]->count());
    const Channels shape = channels_of(*bottom[0]);
    const bool blocked = is_blocked(*top[0], DIFF) && may_block(*bottom[0], DIFF);
    const float* dy = read(*top[0], DIFF, blocked);
    float* dx = bottom[0] == top[0] ? const_cast<float*>(dy) : write(bottom[0], DIFF, blocked);
    if (use_global_stats_) return affine(blocked, shape, dy, NULL, inverse_.data(), NULL, dx, NULL);
    const float* normalized = read(x_norm_, DATA, blocked);
    slope_.resize(channels_);
    slope_x_.resize(channels_);
    sums(blocked, shape, dy, normalized, slope_.data(), slope_x_.data());
    for (int c = 0; c < channels_; ++c) {
      slope_[c] /= shape.num * shape.pixels;
      slope_x_[c] /= shape.num * shape.pixels;
    }
    normalized_backward(blocked, shape, dy, normalized, slope_.data(), slope_x_.data(), inverse_.data(), dx);
  }

  vector<float> inverse_, slope_, slope_x_;
};

class FastScaleLayer : public ScaleLayer<float> {
 public:
  explicit FastScaleLayer(const LayerParameter& param) : ScaleLayer<float>(param) {}

 protected:
  // One learned factor a channel, as beside BatchNorm.
  bool is_channelwise(const Blobs& bottom) const {
    return bottom.size() == 1 && bottom[0]->num_axes() == 4 && axis_ == 1 && blobs_[0]->num_axes() == 1
        && blobs_[0]->count() == bottom[0]->shape(1);
  }

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (!is_channelwise(bottom)) return ScaleLayer<float>::Forward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool in_place = bottom[0] == top[0];
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const shared_ptr<SyncedMemory> source = bottom[0]->data()->source();  // of BatchNorm in place, which keeps them
    const float* x = source ? read(source.get(), bottom[0]->count(), pixels_of(*bottom[0]), blocked)
                            : read(*bottom[0], DATA, blocked);
    if (in_place && need_backward_) kept_ = source ? source : copy(blocked, *bottom[0], x);
    float* y = in_place && !source ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    affine(blocked, channels_of(*bottom[0]), x, NULL, blobs_[0]->cpu_data(),
           bias_layer_ ? blobs_[bias_param_id_]->cpu_data() : NULL, y, NULL);
  }

  const shared_ptr<SyncedMemory>& copy(bool blocked, const Blob<float>& bottom, const float* x) {
    scaled_copy(bottom.count(), 1, x, write(&temp_, DATA, blocked));
    return temp_.data();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!is_channelwise(bottom)) return ScaleLayer<float>::Backward_cpu(top, propagate_down, bottom);
    need_backward_ = true;  // `caffe time` asks nets for it that need none: the next Forward keeps what it reads
    use_threads(bottom[0]->count());
    const Channels shape = channels_of(*bottom[0]);
    const bool in_place = bottom[0] == top[0];
    SyncedMemory* kept = (!in_place ? bottom[0]->data() : kept_ ? kept_ : temp_.data()).get();
    const bool blocked = is_blocked(*top[0], DIFF) && may_block(*bottom[0], DIFF) && kept->may_block();
    const float* dy = read(*top[0], DIFF, blocked);
    add_parameter_diffs(blocked, shape, dy, read(kept, bottom[0]->count(), shape.pixels, blocked));
    if (!propagate_down[0]) return;
    float* dx = in_place ? const_cast<float*>(dy) : write(bottom[0], DIFF, blocked);
    affine(blocked, shape, dy, NULL, blobs_[0]->cpu_data(), NULL, dx, NULL);
  }

  void add_parameter_diffs(bool blocked, const Channels& shape, const float* dy, const float* x) {
    const bool bias = bias_layer_ && param_propagate_down_[bias_param_id_];
    if (!param_propagate_down_[0] && !bias) return;
    slope_.resize(shape.channels);
    slope_x_.resize(shape.channels);
    sums(blocked, shape, dy, param_propagate_down_[0] ? x : NULL, slope_.data(), slope_x_.data());
    if (param_propagate_down_[0]) caffe_axpy(shape.channels, 1.f, slope_x_.data(), blobs_[0]->mutable_cpu_diff());
    if (bias) caffe_axpy(shape.channels, 1.f, slope_.data(), blobs_[bias_param_id_]->mutable_cpu_diff());
  }

  shared_ptr<SyncedMemory> kept_;  // in place: what came in
  vector<float> slope_, slope_x_;
};

REGISTER_FAST_LAYER(BatchNorm);
REGISTER_FAST_LAYER(Scale);

}  // namespace fast
}  // namespace caffe
