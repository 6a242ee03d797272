// Local response normalisation across channels.
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels.hpp"
#include "lanes.hpp"

namespace caffe {
namespace fast {

namespace {

// All channels of one pixel (blocked) or of eight neighbours (plain) as a row of vectors. The next channel's
// value is one float further in the one case, eight in the other; that apart both are computed alike.
struct Strips {
  const Response& r;
  const bool blocked;
  const int vectors, channel_step, each_picture;

  Strips(bool is_blocked, const Response& response)
      : r(response), blocked(is_blocked), vectors(blocked ? r.channels / 8 : r.channels),
        channel_step(blocked ? 1 : 8), each_picture(blocked ? r.pixels : (r.pixels + 7) / 8) {}

  int padding() const { return r.size / 2 * channel_step; }
  size_t row() const { return size_t(vectors) * 8 + 2 * padding() + 8; }
  size_t count() const { return size_t(r.num) * each_picture; }

  // Where a strip's first vector begins; the next is pixels_apart() floats on.
  size_t begin(size_t strip) const {
    return strip / each_picture * r.channels * r.pixels + strip % each_picture * 8;
  }
  size_t pixels_apart() const { return size_t(r.pixels) * (blocked ? 8 : 1); }
  // Values in each of its vectors: the last strip of a plain picture may be a short one.
  int filled(size_t strip) const {
    const int left = r.pixels - strip % each_picture * 8;
    return blocked || left > 8 ? 8 : left;
  }

  Float8 load(const float* from, int filled) const {
    if (filled == 8) return *pixels_of<8>(from);
    float values[8] = {0};
    for (int i = 0; i < filled; ++i) values[i] = from[i];
    return *pixels_of<8>(values);
  }
  void store(const Float8& vector, float* to, int filled) const {
    memcpy(to, &vector, filled * sizeof(float));
  }

  // Sum over the channels around those of vector v, of a padded row.
  Float8 around(const float* row, int v) const {
    Float8 sum = Float8();
    for (int i = 0; i < r.size; ++i) sum += *pixels_of<8>(row + v * 8 + i * channel_step);
    return sum;
  }
};

inline Float8 root(const Float8& x) { return (Float8)_mm256_sqrt_ps((__m256)x); }

// s^-beta; AlexNet's .75 is two roots.
inline Float8 power(const Float8& s, float beta) {
  if (beta == 0.75f) {
    const Float8 half = root(s);
    return 1.0f / (half * root(half));
  }
  Float8 result;
  for (int i = 0; i < 8; ++i) result[i] = powf(s[i], -beta);
  return result;
}

// A padded row of zeros a thread.
struct Row {
  float* values;
  explicit Row(size_t size) : values(static_cast<float*>(_mm_malloc(size * sizeof(float), 64))) {
    memset(values, 0, size * sizeof(float));
  }
  ~Row() { _mm_free(values); }
};

}  // namespace

void lrn_forward(bool blocked, const Response& response, const float* x, float* y) {
  const Strips strips(blocked, response);
  const float factor = response.alpha / response.size;
  const size_t apart = strips.pixels_apart();
#pragma omp parallel
  {
    Row squares(strips.row());
#pragma omp for schedule(static)
    for (size_t strip = 0; strip < strips.count(); ++strip) {
      const float* from = x + strips.begin(strip);
      float* to = y + strips.begin(strip);
      const int filled = strips.filled(strip);
      for (int v = 0; v < strips.vectors; ++v) {
        const Float8 value = strips.load(from + v * apart, filled);
        *pixels_of<8>(squares.values + strips.padding() + v * 8) = value * value;
      }
      for (int v = 0; v < strips.vectors; ++v) {
        const Float8 scale = response.k + factor * strips.around(squares.values, v);
        const Float8 value = strips.load(from + v * apart, filled);
        strips.store(value * power(scale, response.beta), to + v * apart, filled);
      }
    }
  }
}

// dx_i = dy_i s_i^-beta - 2 alpha beta / size x_i sum_j dy_j y_j / s_j
void lrn_backward(bool blocked, const Response& response, const float* x, const float* dy, float* dx) {
  const Strips strips(blocked, response);
  const float factor = response.alpha / response.size, outer = 2 * response.beta * factor;
  const size_t apart = strips.pixels_apart();
#pragma omp parallel
  {
    Row squares(strips.row()), ratios(strips.row()), direct(strips.row());
#pragma omp for schedule(static)
    for (size_t strip = 0; strip < strips.count(); ++strip) {
      const float *from = x + strips.begin(strip), *slope = dy + strips.begin(strip);
      float* to = dx + strips.begin(strip);
      const int filled = strips.filled(strip);
      for (int v = 0; v < strips.vectors; ++v) {
        const Float8 value = strips.load(from + v * apart, filled);
        *pixels_of<8>(squares.values + strips.padding() + v * 8) = value * value;
      }
      for (int v = 0; v < strips.vectors; ++v) {
        const Float8 scale = response.k + factor * strips.around(squares.values, v);
        const Float8 part = strips.load(slope + v * apart, filled) * power(scale, response.beta);
        *pixels_of<8>(direct.values + v * 8) = part;
        *pixels_of<8>(ratios.values + strips.padding() + v * 8) =
            part * strips.load(from + v * apart, filled) / scale;
      }
      for (int v = 0; v < strips.vectors; ++v) {
        const Float8 value = strips.load(from + v * apart, filled);
        const Float8 slope_here = *pixels_of<8>(direct.values + v * 8)
            - outer * value * strips.around(ratios.values, v);
        strips.store(slope_here, to + v * apart, filled);
      }
    }
  }
}

}  // namespace fast
}  // namespace caffe
