// Batch normalisation and scaling, channel by channel, on the device. All pointers are there; work goes to its default
// stream. What is summed is summed in the same order each time.
#ifndef MINDPICS_CHANNELS_HPP_
#define MINDPICS_CHANNELS_HPP_

#include "../fast/kernels.hpp"

namespace caffe {
namespace fast {
namespace gpu {

// What BatchNorm keeps over batches: sums of means and variances, each batch's fading by `fraction`, and of ones.
struct Moving {
  float *mean, *variance, *sum;
  float fraction, eps;
};

// This batch's mean and 1 / sqrt(variance + eps) of each channel; `moving` takes them in.
void batch_statistics(const Channels& shape, const float* x, const Moving& moving, float* mean, float* inverse);
// The same of all that `moving` has taken in.
void saved_statistics(int channels, const Moving& moving, float* mean, float* inverse);

// y = (x - shift) * scale + bias, and the same again to `copy`. Any but x and y may be NULL; y may be x.
void affine(const Channels& shape, const float* x, const float* shift, const float* scale, const float* bias, float* y,
            float* copy);
// Sums of dy, and of dy * x: set, or with `add` added to what is there. NULL: not wanted.
void sums(const Channels& shape, const float* dy, const float* x, bool add, float* sum_dy, float* sum_dy_x);
// dx = (dy - mean of dy - mean of dy * x, times x) * inverse, of the sums above; dx may be dy.
void normalized_backward(const Channels& shape, const float* dy, const float* x, const float* sum_dy,
                         const float* sum_dy_x, const float* inverse, float* dx);

}  // namespace gpu
}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_CHANNELS_HPP_
