// BatchNorm and Scale over the channels of pictures.
#include <cmath>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"
#include "work.hpp"

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
    const bool in_place = bottom[0] == top[0];
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    use_global_stats_ ? saved_statistics() : batch_statistics(blocked, *bottom[0], x);
    find_inverse();
    if (in_place && bottom[0]->data()->may_move()) return leave_to_next(bottom[0]->data().get(), *bottom[0]);
    float* y = in_place ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    // The gradient through the batch's statistics asks for the values again; layers in place may change them.
    float* kept = use_global_stats_ ? NULL : write(&x_norm_, DATA, blocked);
    affine(blocked, channels_of(*bottom[0]), x, mean_.cpu_data(), inverse_.data(), NULL, y, kept);
    keep(&kept_, x_norm_.data(), channels_of(*bottom[0]));
  }

  void find_inverse() {
    float* deviation = variance_.mutable_cpu_data();
    inverse_.resize(channels_);
    for (int c = 0; c < channels_; ++c) {
      deviation[c] = std::sqrt(deviation[c] + eps_);
      inverse_[c] = 1 / deviation[c];
    }
  }

  // Scale, which comes next, goes over the values anyway. What the statistics are of is kept, memory and all.
  void leave_to_next(SyncedMemory* memory, const Blob<float>& blob) {
    shared_ptr<Transform> next(new Transform(channels_of(blob)));
    next->mean.assign(mean_.cpu_data(), mean_.cpu_data() + channels_);
    next->inverse = inverse_;
    if (!use_global_stats_) {
      drop(&kept_);
      next->x = memory->move();
      kept_ = next;
    }
    memory->do_when_read(next);
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
    if (use_global_stats_) return saved_backward(*top[0], bottom[0], shape);
    if (!keeps(kept_, shape)) keep(&kept_, x_norm_.data(), shape);
    SyncedMemory* memory = top[0]->diff().get();
    const shared_ptr<Gradient> gradient = take_gradient(*top[0], bottom[0] == top[0] ? RELU | SCALE : 0);
    if (gradient->over != kept_) gradient->take_sums(memory, kept_);
    slope_.resize(channels_);
    slope_x_.resize(channels_);
    for (int c = 0; c < channels_; ++c) {
      const float share = (gradient->factor.empty() ? 1 : gradient->factor[c]) / (shape.num * shape.pixels);
      slope_[c] = gradient->sum[c] * share;
      slope_x_[c] = gradient->sum_x[c] * share;
    }
    gradient->before_norm(memory, *kept_, slope_.data(), slope_x_.data(), inverse_.data(), bottom[0]->diff().get());
    if (bottom[0] != top[0] && gradient->dy) memory->do_when_read(gradient);
  }

  void saved_backward(const Blob<float>& top, Blob<float>* bottom, const Channels& shape) {
    const bool blocked = is_blocked(top, DIFF) && may_block(*bottom, DIFF);
    const bool in_place = bottom == &top;
    const float* dy = in_place ? change(bottom, DIFF, blocked) : read(top, DIFF, blocked);
    float* dx = in_place ? const_cast<float*>(dy) : write(bottom, DIFF, blocked);
    affine(blocked, shape, dy, NULL, inverse_.data(), NULL, dx, NULL);
  }

  shared_ptr<Transform> kept_;  // what the batch's statistics are of
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
    const shared_ptr<Transform> before = transform_of(*bottom[0]);
    if (in_place && before && !before->is_scaled() && (before->x || !need_backward_)) {
      return leave_to_next(*bottom[0], before);
    }
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    if (in_place && need_backward_) keep_copy(blocked, *bottom[0], x);
    float* y = in_place ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    affine(blocked, channels_of(*bottom[0]), x, NULL, blobs_[0]->cpu_data(), bias(), y, NULL);
  }

  const float* bias() const { return bias_layer_ ? blobs_[bias_param_id_]->cpu_data() : NULL; }

  // Of BatchNorm in place, which keeps what the gradient asks for.
  void leave_to_next(const Blob<float>& blob, const shared_ptr<Transform>& before) {
    const shared_ptr<Transform> next = next_transform(blob);
    const int channels = blob.shape(1);
    next->factor.assign(blobs_[0]->cpu_data(), blobs_[0]->cpu_data() + channels);
    if (bias()) next->bias.assign(bias(), bias() + channels);
    drop(&kept_);
    if (before->x) kept_ = before;
    blob.data()->do_when_read(next);
  }

  void keep_copy(bool blocked, const Blob<float>& bottom, const float* x) {
    scaled_copy(bottom.count(), 1, x, write(&temp_, DATA, blocked));
    keep(&kept_, temp_.data(), channels_of(bottom));
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!is_channelwise(bottom)) return ScaleLayer<float>::Backward_cpu(top, propagate_down, bottom);
    need_backward_ = true;  // `caffe time` asks nets for it that need none: the next Forward keeps what it reads
    use_threads(bottom[0]->count());
    const bool in_place = bottom[0] == top[0];
    const Channels shape = channels_of(*bottom[0]);
    if (!in_place || !keeps(kept_, shape)) keep(&kept_, in_place ? temp_.data() : bottom[0]->data(), shape);
    SyncedMemory* memory = top[0]->diff().get();
    const shared_ptr<Gradient> gradient = take_gradient(*top[0], in_place ? RELU : 0);
    add_parameter_diffs(gradient.get(), memory);
    if (propagate_down[0]) gradient->factor.assign(blobs_[0]->cpu_data(), blobs_[0]->cpu_data() + blobs_[0]->count());
    if (in_place) return leave(gradient, memory);
    if (propagate_down[0]) gradient->write(memory, bottom[0]->diff().get());
    gradient->factor.clear();
    if (gradient->dy) memory->do_when_read(gradient);
  }

  void add_parameter_diffs(Gradient* gradient, SyncedMemory* memory) {
    const bool to_bias = bias_layer_ && param_propagate_down_[bias_param_id_];
    if (!param_propagate_down_[0] && !to_bias) return;
    gradient->take_sums(memory, kept_);
    const int channels = gradient->shape.channels;
    // Of a single picture BVLC's overwrites the diff of earlier passes (iter_size): the sum goes straight there.
    const bool overwrites = gradient->shape.num == 1 && (channels > 1 || gradient->shape.pixels == 1);
    if (param_propagate_down_[0]) {
      caffe_cpu_axpby(channels, 1.f, gradient->sum_x.data(), overwrites ? 0.f : 1.f, blobs_[0]->mutable_cpu_diff());
    }
    if (to_bias) caffe_axpy(channels, 1.f, gradient->sum.data(), blobs_[bias_param_id_]->mutable_cpu_diff());
  }

  shared_ptr<Transform> kept_;  // what came in
};

REGISTER_FAST_LAYER(BatchNorm);
REGISTER_FAST_LAYER(Scale);

}  // namespace fast
}  // namespace caffe
