// ReLU, Eltwise (sums) and Split: each value by itself, in whatever order the bottoms have.
#include <algorithm>
#include <vector>

#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"
#include "work.hpp"

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
    const bool in_place = bottom[0] == top[0];
    const shared_ptr<Transform> before = transform_of(*bottom[0]);
    if (in_place && before && before->slope == 1) return leave_to_next(*bottom[0]);
    const bool blocked = is_blocked(*bottom[0], DATA) && may_block(*top[0], DATA);
    const float* x = read(*bottom[0], DATA, blocked);
    float* y = in_place ? const_cast<float*>(x) : write(top[0], DATA, blocked);
    relu_forward(bottom[0]->count(), x, slope(), y);
  }

  // BatchNorm and Scale go over the values anyway.
  void leave_to_next(const Blob<float>& blob) {
    const shared_ptr<Transform> next = next_transform(blob);
    next->slope = slope();
    blob.data()->do_when_read(next);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    use_threads(bottom[0]->count());
    const bool in_place = bottom[0] == top[0];
    if (in_place && pixels_of(*top[0])) return leave_to_below(*top[0]);
    const bool blocked = is_blocked(*top[0], DIFF) && may_block(*bottom[0], DATA) && may_block(*bottom[0], DIFF);
    const float* x = read(*bottom[0], DATA, blocked);
    const float* dy = in_place ? change(bottom[0], DIFF, blocked) : read(*top[0], DIFF, blocked);
    float* dx = in_place ? const_cast<float*>(dy) : write(bottom[0], DIFF, blocked);
    relu_backward(bottom[0]->count(), x, dy, slope(), dx);
  }

  void leave_to_below(const Blob<float>& blob) {
    const shared_ptr<Gradient> gradient = take_gradient(blob, 0);
    gradient->y = blob.data();
    gradient->slope = slope();
    leave(gradient, blob.diff().get());
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
    // In place BVLC's clears the bottom before it adds it.
    const bool in_place = std::find(bottom.begin(), bottom.end(), top[0]) != bottom.end();
    if (!is_sum() || in_place) return EltwiseLayer<float>::Forward_cpu(bottom, top);
    use_threads(bottom[0]->count());
    const bool blocked = better_blocked(bottom, DATA) && may_block(*top[0], DATA);
    if (pixels_of(*top[0])) return add_up(blocked, bottom, top[0]);
    vector<const float*> x;
    for (size_t i = 0; i < bottom.size(); ++i) x.push_back(read(*bottom[i], DATA, blocked));
    weighted_sum(top[0]->count(), x.size(), x.data(), coeffs_.data(), write(top[0], DATA, blocked));
  }

  // What BatchNorm and Scale below have left to do is done on the way.
  void add_up(bool blocked, const Blobs& bottom, Blob<float>* top) {
    vector<shared_ptr<Transform> > before;
    vector<Addend> addends;
    for (size_t i = 0; i < bottom.size(); ++i) {
      shared_ptr<Transform> left = transform_of(*bottom[i]);
      if (left && (!left->x || left->slope != 1)) left.reset();
      before.push_back(left);
      addends.push_back(left ? left->addend(blocked) : Addend{read(*bottom[i], DATA, blocked)});
    }
    const Channels shape = channels_of(*top);
    sum_of_addends(blocked, shape, addends.size(), addends.data(), coeffs_.data(), write(top, DATA, blocked));
  }

  // Each bottom's gradient is the top's.
  bool shares_diff(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) const {
    if (!pixels_of(*top[0])) return false;
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (propagate_down[i] && (coeffs_[i] != 1 || bottom[i] == top[0] || !bottom[i]->diff()->may_block())) return false;
    }
    top[0]->diff()->finish();
    return top[0]->diff()->may_move();
  }

  void share_diff(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) {
    const shared_ptr<SyncedMemory> dy = top[0]->diff()->move();
    leave_copy(dy, *top[0]);
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (propagate_down[i]) leave_copy(dy, *bottom[i]);
    }
  }

  void leave_copy(const shared_ptr<SyncedMemory>& dy, const Blob<float>& blob) {
    const shared_ptr<Gradient> gradient(new Gradient(channels_of(blob)));
    gradient->dy = dy;
    blob.diff()->do_when_read(gradient);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    if (!is_sum()) return EltwiseLayer<float>::Backward_cpu(top, propagate_down, bottom);
    use_threads(bottom[0]->count());
    if (shares_diff(top, propagate_down, bottom)) return share_diff(top, propagate_down, bottom);
    bool blocked = is_blocked(*top[0], DIFF);
    for (size_t i = 0; i < bottom.size(); ++i) blocked &= may_block(*bottom[i], DIFF);
    const float* dy = change(top[0], DIFF, blocked);
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
