// InnerProduct by oneDNN's matrix product, on the threads that all fast layers use.
#include <vector>

#include "caffe/layers/inner_product_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"
#include "onednn.hpp"

namespace caffe {
namespace fast {

typedef vector<Blob<float>*> Blobs;

namespace {

// C = A B + beta C, rows first; a transposed A is K x M, a transposed B is N x K.
void multiply(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b, float beta,
              float* c) {
  dnnl::sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1, a, transpose_a ? m : k, b,
              transpose_b ? k : n, beta, c, n);
}

}  // namespace

class FastInnerProductLayer : public InnerProductLayer<float> {
 public:
  explicit FastInnerProductLayer(const LayerParameter& param) : InnerProductLayer<float>(param) {}

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    use_threads(VALUES_PER_PRODUCT * M_ * N_ * K_);
    float* y = top[0]->mutable_cpu_data();
    multiply(false, !transpose_, M_, N_, K_, bottom[0]->cpu_data(), blobs_[0]->cpu_data(), 0, y);
    if (bias_term_) add_to_rows(M_, N_, blobs_[1]->cpu_data(), y);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    use_threads(VALUES_PER_PRODUCT * M_ * N_ * K_);
    const float* dy = top[0]->cpu_diff();
    if (param_propagate_down_[0]) {
      const float* x = bottom[0]->cpu_data();
      float* diff = blobs_[0]->mutable_cpu_diff();
      if (transpose_) {
        multiply(true, false, K_, N_, M_, x, dy, 1, diff);
      } else {
        multiply(true, false, N_, K_, M_, dy, x, 1, diff);
      }
    }
    if (bias_term_ && param_propagate_down_[1]) add_sum_of_rows(M_, N_, dy, blobs_[1]->mutable_cpu_diff());
    if (propagate_down[0]) {
      multiply(false, transpose_, M_, K_, N_, dy, blobs_[0]->cpu_data(), 0, bottom[0]->mutable_cpu_diff());
    }
  }
};

REGISTER_FAST_LAYER(InnerProduct);

}  // namespace fast
}  // namespace caffe
