// Rearrangement of channels, and layers that take each value by itself.
#include <immintrin.h>

#include <cstring>

#include "kernels.hpp"
#include "lanes.hpp"

namespace caffe {
namespace fast {

namespace {

// Values a thread takes at a time.
const size_t PIECE = 4096;

template <int lanes>
inline typename Lanes<lanes>::Pixel& at(float* values, size_t i) { return *pixels_of<lanes>(values + i); }
template <int lanes>
inline const typename Lanes<lanes>::Pixel& at(const float* values, size_t i) { return *pixels_of<lanes>(values + i); }

// body.at<lanes>(i) for all values, eight at a time; written so, a choice between two is never a branch, which would
// be mispredicted half the time.
template <class Body>
inline void each_value(size_t count, const Body& body) {
#pragma omp parallel for schedule(static)
  for (size_t begin = 0; begin < count; begin += PIECE) {
    const size_t end = begin + PIECE < count ? begin + PIECE : count;
    size_t i = begin;
    for (; i + 8 <= end; i += 8) body.template at<8>(i);
    for (; i < end; ++i) body.template at<1>(i);
  }
}

inline void transpose(__m256 r[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      u[4 * i + 2 * j] = _mm256_shuffle_ps(t[4 * i + j], t[4 * i + 2 + j], 0x44);
      u[4 * i + 2 * j + 1] = _mm256_shuffle_ps(t[4 * i + j], t[4 * i + 2 + j], 0xee);
    }
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
}

void block_group(const float* plain, int pixels, float* blocked) {
  int p = 0;
  for (; p + 8 <= pixels; p += 8) {
    __m256 tile[8];
    for (int c = 0; c < 8; ++c) tile[c] = _mm256_loadu_ps(plain + c * pixels + p);
    transpose(tile);
    for (int i = 0; i < 8; ++i) _mm256_storeu_ps(blocked + (p + i) * 8, tile[i]);
  }
  for (; p < pixels; ++p) {
    for (int c = 0; c < 8; ++c) blocked[p * 8 + c] = plain[c * pixels + p];
  }
}

void unblock_group(const float* blocked, int pixels, float* plain) {
  int p = 0;
  for (; p + 8 <= pixels; p += 8) {
    __m256 tile[8];
    for (int i = 0; i < 8; ++i) tile[i] = _mm256_loadu_ps(blocked + (p + i) * 8);
    transpose(tile);
    for (int c = 0; c < 8; ++c) _mm256_storeu_ps(plain + c * pixels + p, tile[c]);
  }
  for (; p < pixels; ++p) {
    for (int c = 0; c < 8; ++c) plain[c * pixels + p] = blocked[p * 8 + c];
  }
}

typedef void (*Group)(const float*, int, float*);

void rearrange(float* values, size_t count, int pixels, Group group) {
  const size_t size = size_t(BLOCK) * pixels, groups = count / size;
#pragma omp parallel
  {
    float* scratch = static_cast<float*>(_mm_malloc(size * sizeof(float), 64));
#pragma omp for schedule(static)
    for (size_t i = 0; i < groups; ++i) {
      group(values + i * size, pixels, scratch);
      memcpy(values + i * size, scratch, size * sizeof(float));
    }
    _mm_free(scratch);
  }
}

}  // namespace

void to_blocked(float* values, size_t count, int pixels) { rearrange(values, count, pixels, block_group); }

void to_plain(float* values, size_t count, int pixels) { rearrange(values, count, pixels, unblock_group); }

namespace {

struct ReluForward {
  const float* x;
  float slope;
  float* y;
  template <int lanes> void at(size_t i) const {
    const typename Lanes<lanes>::Pixel value = fast::at<lanes>(x, i), zero = {};
    fast::at<lanes>(y, i) = (value > 0 ? value : zero) + slope * (value > 0 ? zero : value);
  }
};

struct ReluBackward {
  const float *x, *dy;
  float slope;
  float* dx;
  template <int lanes> void at(size_t i) const {
    const typename Lanes<lanes>::Pixel whole = fast::at<lanes>(dy, i), part = slope * whole;
    fast::at<lanes>(dx, i) = fast::at<lanes>(x, i) > 0 ? whole : part;
  }
};

struct WeightedSum {
  int inputs;
  const float *const *x, *coeff;
  float* y;
  template <int lanes> void at(size_t i) const {
    typename Lanes<lanes>::Pixel sum = coeff[0] * fast::at<lanes>(x[0], i);
    for (int j = 1; j < inputs; ++j) sum += coeff[j] * fast::at<lanes>(x[j], i);
    fast::at<lanes>(y, i) = sum;
  }
};

struct ScaledCopy {
  float factor;
  const float* x;
  float* y;
  template <int lanes> void at(size_t i) const { fast::at<lanes>(y, i) = factor * fast::at<lanes>(x, i); }
};

}  // namespace

void relu_forward(size_t count, const float* x, float slope, float* y) {
  each_value(count, ReluForward{x, slope, y});
}

void relu_backward(size_t count, const float* x, const float* dy, float slope, float* dx) {
  each_value(count, ReluBackward{x, dy, slope, dx});
}

void weighted_sum(size_t count, int inputs, const float* const* x, const float* coeff, float* y) {
  each_value(count, WeightedSum{inputs, x, coeff, y});
}

void scaled_copy(size_t count, float factor, const float* x, float* y) {
  each_value(count, ScaledCopy{factor, x, y});
}

void add_to_rows(size_t rows, size_t width, const float* bias, float* values) {
#pragma omp parallel for schedule(static)
  for (size_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (size_t i = 0; i < width; ++i) values[row * width + i] += bias[i];
  }
}

void add_sum_of_rows(size_t rows, size_t width, const float* values, float* sum) {
#pragma omp parallel for schedule(static)
  for (size_t begin = 0; begin < width; begin += 64) {
    const size_t end = begin + 64 < width ? begin + 64 : width;
    for (size_t row = 0; row < rows; ++row) {
#pragma omp simd
      for (size_t i = begin; i < end; ++i) sum[i] += values[row * width + i];
    }
  }
}

}  // namespace fast
}  // namespace caffe
