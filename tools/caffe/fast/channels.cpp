// Batch normalisation and scaling: channel by channel, over pictures and pixels.
#include <cmath>
#include <cstdlib>

#include "kernels.hpp"
#include "lanes.hpp"

namespace caffe {
namespace fast {

namespace {

// Two numbers of each plane (picture and channels), as doubles.
struct Table {
  double* values;
  explicit Table(size_t count) : values(static_cast<double*>(malloc(2 * count * sizeof(double)))) {}
  ~Table() { free(values); }
};

template <int lanes>
inline typename Lanes<lanes>::Pixel load(const float* vector, int channel, float otherwise) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  return vector ? *pixels_of<lanes>(vector + channel) : Pixel() + otherwise;
}

// body(its first value's index, its first channel, its index) for each plane.
template <int lanes, class Body>
inline void each_plane(const Channels& s, const Body& body) {
  const int planes = s.channels / lanes;
#pragma omp parallel for schedule(static)
  for (int i = 0; i < s.num * planes; ++i) {
    body(size_t(i) * s.pixels, i % planes * lanes, i * lanes);
  }
}

template <int lanes>
inline typename Lanes<lanes>::Pixel rectified(const typename Lanes<lanes>::Pixel& value, float slope) {
  const typename Lanes<lanes>::Pixel zero = {};
  return (value > 0 ? value : zero) + slope * (value > 0 ? zero : value);
}

// dy as a ReLU with values y lets it pass.
template <int lanes>
struct Slope {
  typedef typename Lanes<lanes>::Pixel Pixel;
  const Pixel *dy, *y;
  float slope;
  Slope(const float* dy, size_t begin, const Passed& passed)
      : dy(pixels_of<lanes>(dy) + begin), y(passed.y ? pixels_of<lanes>(passed.y) + begin : this->dy),
        slope(passed.y ? passed.slope : 1) {}
  Pixel operator[](int p) const {
    const Pixel whole = dy[p], part = slope * whole;
    return y[p] > 0 ? whole : part;
  }
};

// Four sums at a time: one would wait for itself, and round more.
template <int lanes, class Term>
inline typename Lanes<lanes>::Pixel total(int pixels, const Term& term) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  Pixel sum[4] = {Pixel(), Pixel(), Pixel(), Pixel()};
  int p = 0;
  for (; p + 4 <= pixels; p += 4) {
    for (int i = 0; i < 4; ++i) sum[i] += term(p + i);
  }
  for (; p < pixels; ++p) sum[0] += term(p);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

template <int lanes>
inline void keep(const typename Lanes<lanes>::Pixel& first, const typename Lanes<lanes>::Pixel& second, double* to) {
  const float *a = reinterpret_cast<const float*>(&first), *b = reinterpret_cast<const float*>(&second);
  for (int lane = 0; lane < lanes; ++lane) {
    to[2 * lane] = a[lane];
    to[2 * lane + 1] = b[lane];
  }
}

// Each plane's mean and squared distances while it is in the cache, then put together (Chan, Golub, LeVeque 1979).
template <int lanes>
void find_moments(const Channels& s, const float* x, float* mean, float* variance) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  Table table(size_t(s.num) * s.channels);
  each_plane<lanes>(s, [&](size_t begin, int, int index) {
    const Pixel* plane = pixels_of<lanes>(x) + begin;
    const Pixel middle = total<lanes>(s.pixels, [=](int p) { return plane[p]; }) / float(s.pixels);
    const Pixel distance = total<lanes>(s.pixels, [=](int p) { return (plane[p] - middle) * (plane[p] - middle); });
    keep<lanes>(middle, distance, table.values + 2 * index);
  });
  for (int c = 0; c < s.channels; ++c) {
    double middle = 0, distance = 0;
    for (int n = 0; n < s.num; ++n) middle += table.values[2 * (size_t(n) * s.channels + c)];
    middle /= s.num;
    for (int n = 0; n < s.num; ++n) {
      const double* plane = table.values + 2 * (size_t(n) * s.channels + c);
      distance += plane[1] + s.pixels * (plane[0] - middle) * (plane[0] - middle);
    }
    mean[c] = middle;
    variance[c] = distance / (double(s.num) * s.pixels);
  }
}

template <int lanes>
void find_affine(const Channels& s, const float* x, const float* shift, const float* scale, const float* bias,
                 float* y, float* copy, const Then& then) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    const Pixel minus = load<lanes>(shift, channel, 0), factor = load<lanes>(scale, channel, 1);
    const Pixel plus = load<lanes>(bias, channel, 0);
    const Pixel factor_then = load<lanes>(then.factor, channel, 1), plus_then = load<lanes>(then.bias, channel, 0);
    const Pixel* from = pixels_of<lanes>(x) + begin;
    Pixel* to = pixels_of<lanes>(y) + begin;
    Pixel* also = copy ? pixels_of<lanes>(copy) + begin : to;
#pragma GCC ivdep
    for (int p = 0; p < s.pixels; ++p) {
      const Pixel value = (from[p] - minus) * factor + plus;
      also[p] = value;
      to[p] = rectified<lanes>(value * factor_then + plus_then, then.slope);
    }
  });
}

// Term by term, while the plane of y is in the cache.
template <int lanes>
void find_sum_of_addends(const Channels& s, int count, const Addend* terms, const float* coeff, float* y) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    Pixel* to = pixels_of<lanes>(y) + begin;
    for (int i = 0; i < count; ++i) {
      const Addend& term = terms[i];
      const Pixel minus = load<lanes>(term.shift, channel, 0), scale = load<lanes>(term.scale, channel, 1);
      const Pixel factor = load<lanes>(term.factor, channel, 1), plus = load<lanes>(term.bias, channel, 0);
      const Pixel* from = pixels_of<lanes>(term.x) + begin;
      const float share = coeff[i];
      const auto value = [=](int p) { return share * ((from[p] - minus) * scale * factor + plus); };
      if (i == 0) {
#pragma GCC ivdep
        for (int p = 0; p < s.pixels; ++p) to[p] = value(p);
      } else {
#pragma GCC ivdep
        for (int p = 0; p < s.pixels; ++p) to[p] += value(p);
      }
    }
  });
}

template <int lanes>
void find_passed(const Channels& s, const float* dy, float* dx, const Passed& passed) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    const Slope<lanes> slope(dy, begin, passed);
    const Pixel factor = load<lanes>(passed.factor, channel, 1);
    Pixel* to = pixels_of<lanes>(dx) + begin;
#pragma GCC ivdep
    for (int p = 0; p < s.pixels; ++p) to[p] = slope[p] * factor;
  });
}

template <int lanes>
void find_sums(const Channels& s, const float* dy, const float* x, float* sum_dy, float* sum_dy_x,
               const Passed& passed) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  Table table(size_t(s.num) * s.channels);
  each_plane<lanes>(s, [&](size_t begin, int channel, int index) {
    const Slope<lanes> slope(dy, begin, passed);
    const Pixel* value = x ? pixels_of<lanes>(x) + begin : slope.dy;
    const Pixel minus = load<lanes>(passed.shift, channel, 0), scale = load<lanes>(passed.scale, channel, 1);
    Pixel first[4] = {}, second[4] = {};
    const auto add = [&](int p, int i) {
      const Pixel gradient = slope[p];
      first[i] += gradient;
      second[i] += gradient * ((value[p] - minus) * scale);
    };
    int p = 0;
    for (; p + 4 <= s.pixels; p += 4) {
      for (int i = 0; i < 4; ++i) add(p + i, i);
    }
    for (; p < s.pixels; ++p) add(p, 0);
    keep<lanes>((first[0] + first[1]) + (first[2] + first[3]), (second[0] + second[1]) + (second[2] + second[3]),
                table.values + 2 * index);
  });
  for (int c = 0; c < s.channels; ++c) {
    double first = 0, second = 0;
    for (int n = 0; n < s.num; ++n) {
      first += table.values[2 * (size_t(n) * s.channels + c)];
      second += table.values[2 * (size_t(n) * s.channels + c) + 1];
    }
    sum_dy[c] = first;
    if (x) sum_dy_x[c] = second;
  }
}

template <int lanes>
void find_normalized(const Channels& s, const float* dy, const float* x, const float* a, const float* b,
                     const float* scale, float* dx, const Passed& passed) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    const Pixel minus = load<lanes>(a, channel, 0), slope = load<lanes>(b, channel, 0);
    const Pixel factor = load<lanes>(scale, channel, 1), passed_factor = load<lanes>(passed.factor, channel, 1);
    const Pixel shift = load<lanes>(passed.shift, channel, 0), norm = load<lanes>(passed.scale, channel, 1);
    const Slope<lanes> from(dy, begin, passed);
    const Pixel* value = pixels_of<lanes>(x) + begin;
    Pixel* to = pixels_of<lanes>(dx) + begin;
#pragma GCC ivdep
    for (int p = 0; p < s.pixels; ++p) {
      to[p] = (from[p] * passed_factor - minus - slope * ((value[p] - shift) * norm)) * factor;
    }
  });
}

}  // namespace

void moments(bool blocked, const Channels& shape, const float* x, float* mean, float* variance) {
  blocked ? find_moments<8>(shape, x, mean, variance) : find_moments<1>(shape, x, mean, variance);
}

void affine(bool blocked, const Channels& shape, const float* x, const float* shift, const float* scale,
            const float* bias, float* y, float* copy, const Then& then) {
  blocked ? find_affine<8>(shape, x, shift, scale, bias, y, copy, then)
          : find_affine<1>(shape, x, shift, scale, bias, y, copy, then);
}

void sum_of_addends(bool blocked, const Channels& shape, int count, const Addend* terms, const float* coeff, float* y) {
  blocked ? find_sum_of_addends<8>(shape, count, terms, coeff, y) : find_sum_of_addends<1>(shape, count, terms, coeff, y);
}

void pass_gradient(bool blocked, const Channels& shape, const float* dy, float* dx, const Passed& passed) {
  blocked ? find_passed<8>(shape, dy, dx, passed) : find_passed<1>(shape, dy, dx, passed);
}

void sums(bool blocked, const Channels& shape, const float* dy, const float* x, float* sum_dy, float* sum_dy_x,
          const Passed& passed) {
  blocked ? find_sums<8>(shape, dy, x, sum_dy, sum_dy_x, passed)
          : find_sums<1>(shape, dy, x, sum_dy, sum_dy_x, passed);
}

void normalized_backward(bool blocked, const Channels& shape, const float* dy, const float* x, const float* a,
                         const float* b, const float* scale, float* dx, const Passed& passed) {
  blocked ? find_normalized<8>(shape, dy, x, a, b, scale, dx, passed)
          : find_normalized<1>(shape, dy, x, a, b, scale, dx, passed);
}

}  // namespace fast
}  // namespace caffe
