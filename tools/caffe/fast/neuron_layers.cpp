// ReLU, Eltwise (sums) and Split: each value by itself, in whatever order the bottoms have.
#include <algorithm>
#include <vector>

#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

typedef vector<Blob<float>*> Blobs;

class FastReLULayer : public ReLULayer<float> {
 public:
  explicit FastReLULayer(const LayerParameter& param) : ReLULayer<float>(param) {}

 protected:
  float slope() const { return layer_param_.relu_param().negative_slope(); }

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    float* y = bottom[0] == top[0] ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    relu_forward(bottom[0]->count(), x, slope(), y);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    use_threads(bottom[0]->count());
    const bool blocked = is_blocked(*top[0], DIFF) && may_block(*bottom[0], DATA) && may_block(*bottom[0], DIFF);
    const float* x = read(*bottom[0], DATA, blocked);
    const float* dy = read(*top[0], DIFF, blocked);
    float* dx = bottom[0] == top[0] ? const_cast<float*>(dy) : write(bottom[0], DIFF, blocked);
    relu_backward(bottom[0]->count(), x, dy, slope(), dx);
  }
};

// Whether all may be blocked and most already are.
bool better_blocked(const Blobs& blobs, Part part) {
  int blocked = 0;
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (!may_block(*blobs[i], part)) return false;
    blocked += is_blocked(*blobs[i], part);
  }
  return 2 * blocked >= static_cast<int>(blobs.size());
}

class FastEltwiseLayer : public EltwiseLayer<float> {
 public:
  explicit FastEltwiseLayer(const LayerParameter& param) : EltwiseLayer<float>(param) {}

 protected:
  bool is_sum() const { return op_ == EltwiseParameter_EltwiseOp_SUM; }

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (!is_sum()) return EltwiseLayer<float>::Forward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool blocked = better_blocked(bottom, DATA) && may_block(*top[0], DATA);
    vector<const float*> x;
    for (size_t i = 0; i < bottom.size(); ++i) x.push_back(read(*bottom[i], DATA, blocked));
    const bool in_place = std::find(bottom.begin(), bottom.end(), top[0]) != bottom.end();
    float* y = in_place ? const_cast<float*>(read(*top[0], DATA, blocked)) : write(top[0], DATA, blocked);
    weighted_sum(top[0]->count(), x.size(), x.data(), coeffs_.data(), y);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!is_sum()) return EltwiseLayer<float>::Backward_cpu(top, propagate_down, bottom);
    use_threads(bottom[0]->count());
    bool blocked = is_blocked(*top[0], DIFF);
    for (size_t i = 0; i < bottom.size(); ++i) blocked &= may_block(*bottom[i], DIFF);
    const float* dy = read(*top[0], DIFF, blocked);
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (!propagate_down[i]) continue;
      float* dx = bottom[i] == top[0] ? const_cast<float*>(dy) : write(bottom[i], DIFF, blocked);
      scaled_copy(top[0]->count(), coeffs_[i], dy, dx);
    }
  }
};

class FastSplitLayer : public SplitLayer<float> {
 public:
  explicit FastSplitLayer(const LayerParameter& param) : SplitLayer<float>(param) {}

 protected:
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    if (top.size() == 1) return SplitLayer<float>::Backward_cpu(top, propagate_down, bottom);
    use_threads(bottom[0]->count());
    const bool blocked = better_blocked(top, DIFF) && may_block(*bottom[0], DIFF);
    vector<const float*> dy;
    for (size_t i = 0; i < top.size(); ++i) dy.push_back(read(*top[i], DIFF, blocked));
    const vector<float> ones(top.size(), 1);
    weighted_sum(bottom[0]->count(), dy.size(), dy.data(), ones.data(), write(bottom[0], DIFF, blocked));
  }
};

REGISTER_FAST_LAYER(ReLU);
REGISTER_FAST_LAYER(Eltwise);
REGISTER_FAST_LAYER(Split);

}  // namespace fast
}  // namespace caffe
