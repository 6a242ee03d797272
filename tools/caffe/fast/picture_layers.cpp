// Pooling and LRN across channels.
#include <vector>

#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

typedef vector<Blob<float>*> Blobs;

class FastPoolingLayer : public PoolingLayer<float> {
 public:
  explicit FastPoolingLayer(const LayerParameter& param) : PoolingLayer<float>(param), mask_blocked_(false) {}

 protected:
  bool is_max() const {
    return layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_MAX;
  }

  // A mask that others read, large windows of a maximum and random pooling are left to the stock layer.
  bool is_left(const Blobs& top) const {
    if (layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_AVE) return false;
    return !is_max() || top.size() > 1 || kernel_h_ * kernel_w_ > NOWHERE;
  }

  Window window(const Blob<float>& bottom, bool blocked) const {
    return {bottom.num() * channels_ / (blocked ? BLOCK : 1), height_, width_, pooled_height_, pooled_width_,
            kernel_h_, kernel_w_, stride_h_, stride_w_, pad_h_, pad_w_};
  }

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (is_left(top)) return PoolingLayer<float>::Forward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*bottom[0], DATA);
    // What is pooled to one pixel lies plain and blocked alike.
    const bool top_blocked = blocked && top[0]->count(2) > 1;
    const bool both = blocked && (!top_blocked || may_block(*top[0], DATA));
    const float* x = read(*bottom[0], DATA, both);
    float* y = write(top[0], DATA, both && top_blocked);
    if (!is_max()) return average_pool_forward(both, window(*bottom[0], both), x, y);
    mask_.resize(top[0]->count());
    mask_blocked_ = both;
    masked_ = planes_of(*bottom[0]);
    max_pool_forward(both, window(*bottom[0], both), x, y, mask_.data());
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (is_left(top)) return PoolingLayer<float>::Backward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    use_threads(bottom[0]->count());
    if (is_max()) return max_backward(*top[0], bottom[0]);
    const bool top_any = top[0]->count(2) == 1;
    const bool blocked = (top_any ? is_blocked(*bottom[0], DATA) : is_blocked(*top[0], DIFF))
        && may_block(*bottom[0], DIFF);
    const float* dy = read(*top[0], DIFF, blocked && !top_any);
    average_pool_backward(blocked, window(*bottom[0], blocked), dy, write(bottom[0], DIFF, blocked));
  }

  static vector<int> planes_of(const Blob<float>& blob) { return {blob.channels(), blob.height(), blob.width()}; }

  // The mask lies as the forward pass left it, and the diffs follow it. Without one on such pictures nothing goes down.
  void max_backward(const Blob<float>& top, Blob<float>* bottom) {
    if (mask_.size() < top.count() || masked_ != planes_of(*bottom)) {
      mask_.assign(top.count(), NOWHERE);
      masked_ = planes_of(*bottom);
      mask_blocked_ = false;
    }
    const bool top_any = top.count(2) == 1;
    const bool direct = !mask_blocked_ || (may_block(*bottom, DIFF) && (top_any || may_block(top, DIFF)));
    if (direct) {
      const float* dy = read(top, DIFF, mask_blocked_ && !top_any);
      return max_pool_backward(mask_blocked_, window(*bottom, mask_blocked_), dy, mask_.data(),
                               write(bottom, DIFF, mask_blocked_));
    }
    // Someone holds plain diffs: block a copy.
    float* dy = scratch(SOURCE, top.count() * sizeof(float));
    std::copy(top.cpu_diff(), top.cpu_diff() + top.count(), dy);
    to_blocked(dy, top.count(), top.count(2));
    float* dx = bottom->mutable_cpu_diff();
    max_pool_backward(true, window(*bottom, true), dy, mask_.data(), dx);
    to_plain(dx, bottom->count(), bottom->count(2));
  }

  vector<uint8_t> mask_;
  vector<int> masked_;  // channels, height and width of the pictures that it is of
  bool mask_blocked_;
};

class FastLRNLayer : public LRNLayer<float> {
 public:
  explicit FastLRNLayer(const LayerParameter& param) : LRNLayer<float>(param) {}

 protected:
  Response response() const { return {num_, channels_, height_ * width_, size_, alpha_, beta_, k_}; }

  // Called for normalisation across channels alone; within a channel the stock layer's own parts do it.
  void CrossChannelForward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0] == top[0]) return LRNLayer<float>::CrossChannelForward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    lrn_forward(blocked, response(), x, write(top[0], DATA, blocked));
  }

  void CrossChannelBackward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                const Blobs& bottom) override {
    if (bottom[0] == top[0]) return LRNLayer<float>::CrossChannelBackward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DIFF) && may_block(*bottom[0], DIFF);
    const float* x = read(*bottom[0], DATA, blocked);
    const float* dy = read(*top[0], DIFF, blocked);
    lrn_backward(blocked, response(), x, dy, write(bottom[0], DIFF, blocked));
  }
};

REGISTER_FAST_LAYER(Pooling);
REGISTER_FAST_LAYER(LRN);

}  // namespace fast
}  // namespace caffe
