// Loops over pictures' values for the fast layers, on all threads.
//
// A picture blob is planes of pixels. A plane has one channel, or (`blocked`) eight that lie
// side by side, pixel by pixel: values (N, C, H, W), or (N, C/8, H, W, 8).
// What is summed is summed in an order that does not depend on the number of threads.
#ifndef MINDPICS_KERNELS_HPP_
#define MINDPICS_KERNELS_HPP_

#include <cstddef>
#include <cstdint>

namespace caffe {
namespace fast {

const int BLOCK = 8;

// In place, `count` floats: (groups, 8, pixels) to (groups, pixels, 8), and back.
void to_blocked(float* values, size_t count, int pixels);
void to_plain(float* values, size_t count, int pixels);

void relu_forward(size_t count, const float* x, float slope, float* y);
void relu_backward(size_t count, const float* x, const float* dy, float slope, float* dx);
// y = sum of coeff[i] * x[i]; y may be one of x.
void weighted_sum(size_t count, int inputs, const float* const* x, const float* coeff, float* y);
void scaled_copy(size_t count, float factor, const float* x, float* y);

struct Window {
  int planes, height, width, pooled_height, pooled_width;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
};
// The mask holds where in its window each maximum was, row by row; NOWHERE if all were below any float.
const int NOWHERE = 255;
void max_pool_forward(bool blocked, const Window& window, const float* x, float* y, uint8_t* mask);
void max_pool_backward(bool blocked, const Window& window, const float* dy, const uint8_t* mask, float* dx);
void average_pool_forward(bool blocked, const Window& window, const float* x, float* y);
void average_pool_backward(bool blocked, const Window& window, const float* dy, float* dx);

// Local response normalisation across `size` channels: y = x * (k + alpha / size * sum of squares)^-beta.
struct Response {
  int num, channels, pixels, size;
  float alpha, beta, k;
};
void lrn_forward(bool blocked, const Response& response, const float* x, float* y);
void lrn_backward(bool blocked, const Response& response, const float* x, const float* dy, float* dx);

// Channel by channel; vectors of `channels` floats.
struct Channels {
  int num, channels, pixels;
};
// Mean and mean squared distance from it.
void moments(bool blocked, const Channels& shape, const float* x, float* mean, float* variance);
// What comes after: v * factor + bias, then a ReLU. NULL: no such step; a slope of 1 rectifies nothing.
struct Then {
  const float *factor = NULL, *bias = NULL;
  float slope = 1;
};
// v = (x - shift) * scale + bias, to `copy` unless NULL, and what comes after it to y. Any but x and y may be NULL.
void affine(bool blocked, const Channels& shape, const float* x, const float* shift, const float* scale,
            const float* bias, float* y, float* copy, const Then& then = Then());
// Values before they are summed: (x - shift) * scale * factor + bias. Any but x may be NULL.
struct Addend {
  const float *x, *shift, *scale, *factor, *bias;
};
// y = sum of coeff[i] * terms[i]; y is none of x.
void sum_of_addends(bool blocked, const Channels& shape, int count, const Addend* terms, const float* coeff, float* y);

// What dy has passed before it is used: a ReLU with values y, then a factor. NULL: no such step.
// Where it is multiplied by x, that is (x - shift) * scale.
struct Passed {
  const float* y = NULL;
  float slope = 1;
  const float *factor = NULL, *shift = NULL, *scale = NULL;
};
// dx = what has become of dy
void pass_gradient(bool blocked, const Channels& shape, const float* dy, float* dx, const Passed& passed);
// Sums of dy, and of dy * x unless x is NULL; before the factor.
void sums(bool blocked, const Channels& shape, const float* dy, const float* x, float* sum_dy, float* sum_dy_x,
          const Passed& passed = Passed());
// dx = (dy - a - b * x) * scale
void normalized_backward(bool blocked, const Channels& shape, const float* dy, const float* x, const float* a,
                         const float* b, const float* scale, float* dx, const Passed& passed = Passed());

// A picture of bytes as a net sees it: (byte - mean) * scale, cropped, mirrored.
struct Crop {
  int channels, height, width;                  // of the picture
  int top, left, crop_height, crop_width;
  bool interleaved;                             // OpenCV's order (H, W, C); else (C, H, W)
  bool mirror;
  float scale;
};
// `mean` has the picture's shape in (C, H, W), or one value a channel in `values`; either or both may be NULL.
void crop_bytes(const Crop& crop, const uint8_t* bytes, const float* mean, const float* values, float* to);

// Rows of `width` values: each plus `bias`; and the sum of the rows, added to `sum`.
void add_to_rows(size_t rows, size_t width, const float* bias, float* values);
void add_sum_of_rows(size_t rows, size_t width, const float* values, float* sum);

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_KERNELS_HPP_
