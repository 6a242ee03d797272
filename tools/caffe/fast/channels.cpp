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
                 float* y, float* copy) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    const Pixel minus = load<lanes>(shift, channel, 0), factor = load<lanes>(scale, channel, 1);
    const Pixel plus = load<lanes>(bias, channel, 0);
    const Pixel* from = pixels_of<lanes>(x) + begin;
    Pixel* to = pixels_of<lanes>(y) + begin;
    Pixel* also = copy ? pixels_of<lanes>(copy) + begin : to;
#pragma GCC ivdep
    for (int p = 0; p < s.pixels; ++p) also[p] = to[p] = (from[p] - minus) * factor + plus;
  });
}

template <int lanes>
void find_sums(const Channels& s, const float* dy, const float* x, float* sum_dy, float* sum_dy_x) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  Table table(size_t(s.num) * s.channels);
  each_plane<lanes>(s, [&](size_t begin, int, int index) {
    const Pixel* slope = pixels_of<lanes>(dy) + begin;
    const Pixel* value = x ? pixels_of<lanes>(x) + begin : slope;
    const Pixel first = total<lanes>(s.pixels, [=](int p) { return slope[p]; });
    const Pixel second = total<lanes>(x ? s.pixels : 0, [=](int p) { return slope[p] * value[p]; });
    keep<lanes>(first, second, table.values + 2 * index);
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
                     const float* scale, float* dx) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  each_plane<lanes>(s, [=](size_t begin, int channel, int) {
    const Pixel minus = load<lanes>(a, channel, 0), slope = load<lanes>(b, channel, 0);
    const Pixel factor = load<lanes>(scale, channel, 1);
    const Pixel *from = pixels_of<lanes>(dy) + begin, *value = pixels_of<lanes>(x) + begin;
    Pixel* to = pixels_of<lanes>(dx) + begin;
#pragma GCC ivdep
    for (int p = 0; p < s.pixels; ++p) to[p] = (from[p] - minus - slope * value[p]) * factor;
  });
}

}  // namespace

void moments(bool blocked, const Channels& shape, const float* x, float* mean, float* variance) {
  blocked ? find_moments<8>(shape, x, mean, variance) : find_moments<1>(shape, x, mean, variance);
}

void affine(bool blocked, const Channels& shape, const float* x, const float* shift, const float* scale,
            const float* bias, float* y, float* copy) {
  blocked ? find_affine<8>(shape, x, shift, scale, bias, y, copy)
          : find_affine<1>(shape, x, shift, scale, bias, y, copy);
}

void sums(bool blocked, const Channels& shape, const float* dy, const float* x, float* sum_dy, float* sum_dy_x) {
  blocked ? find_sums<8>(shape, dy, x, sum_dy, sum_dy_x) : find_sums<1>(shape, dy, x, sum_dy, sum_dy_x);
}

void normalized_backward(bool blocked, const Channels& shape, const float* dy, const float* x, const float* a,
                         const float* b, const float* scale, float* dx) {
  blocked ? find_normalized<8>(shape, dy, x, a, b, scale, dx)
          : find_normalized<1>(shape, dy, x, a, b, scale, dx);
}

}  // namespace fast
}  // namespace caffe
