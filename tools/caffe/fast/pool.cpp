// Maximum and average over windows.
#include <algorithm>
#include <cfloat>
#include <cstring>

#include "kernels.hpp"
#include "lanes.hpp"

namespace caffe {
namespace fast {

namespace {

// Of one output pixel: its window's first row and column, and the part that lies in the picture.
struct Part {
  int top, left, row, row_end, column, column_end;

  Part(const Window& w, int ph, int pw) {
    top = ph * w.stride_h - w.pad_h;
    left = pw * w.stride_w - w.pad_w;
    row = top < 0 ? 0 : top;
    column = left < 0 ? 0 : left;
    row_end = top + w.kernel_h < w.height ? top + w.kernel_h : w.height;
    column_end = left + w.kernel_w < w.width ? left + w.kernel_w : w.width;
  }

  // Caffe's divisor of an average: padding counts, what lies beyond it does not.
  float size(const Window& w) const {
    const int bottom = top + w.kernel_h < w.height + w.pad_h ? top + w.kernel_h : w.height + w.pad_h;
    const int right = left + w.kernel_w < w.width + w.pad_w ? left + w.kernel_w : w.width + w.pad_w;
    return (bottom - top) * (right - left);
  }
};

// body(plane, output pixel, its part) for all, plane by plane; before(plane) first.
template <class Before, class Body>
inline void each_output(const Window& w, const Before& before, const Body& body) {
#pragma omp parallel for schedule(static)
  for (int plane = 0; plane < w.planes; ++plane) {
    before(plane);
    for (int ph = 0; ph < w.pooled_height; ++ph) {
      for (int pw = 0; pw < w.pooled_width; ++pw) {
        body(plane, ph * w.pooled_width + pw, Part(w, ph, pw));
      }
    }
  }
}

template <int lanes>
void max_forward(const Window& w, const float* x, float* y, uint8_t* mask) {
  typedef typename Lanes<lanes>::Int Int;
  typedef typename Lanes<lanes>::Byte Byte;
  typedef typename Lanes<lanes>::Pixel Pixel;
  const size_t in = size_t(w.height) * w.width, out = size_t(w.pooled_height) * w.pooled_width;
  const Pixel* from = pixels_of<lanes>(x);
  Pixel* to = pixels_of<lanes>(y);
  Byte* where = reinterpret_cast<Byte*>(mask);
  each_output(w, [](int) {}, [&](int plane, int output, const Part& part) {
    const Pixel* picture = from + plane * in;
    Pixel best = Pixel() - FLT_MAX;
    Int at = Int() + NOWHERE;
    for (int h = part.row; h < part.row_end; ++h) {
      Int position = Int() + ((h - part.top) * w.kernel_w + part.column - part.left);
      for (int c = part.column; c < part.column_end; ++c) {
        const Pixel value = picture[h * w.width + c];
        at = value > best ? position : at;
        best = value > best ? value : best;
        position += 1;
      }
    }
    to[plane * out + output] = best;
    where[plane * out + output] = Lanes<lanes>::bytes(at);
  });
}

template <int lanes>
void max_backward(const Window& w, const float* dy, const uint8_t* mask, float* dx) {
  typedef typename Lanes<lanes>::Int Int;
  typedef typename Lanes<lanes>::Byte Byte;
  typedef typename Lanes<lanes>::Pixel Pixel;
  const size_t in = size_t(w.height) * w.width, out = size_t(w.pooled_height) * w.pooled_width;
  const Pixel* from = pixels_of<lanes>(dy);
  const Byte* where = reinterpret_cast<const Byte*>(mask);
  Pixel* to = pixels_of<lanes>(dx);
  each_output(w, [=](int plane) { memset(to + plane * in, 0, in * sizeof(Pixel)); },
              [&](int plane, int output, const Part& part) {
    Pixel* picture = to + plane * in;
    const Pixel value = from[plane * out + output];
    const Int at = Lanes<lanes>::ints(where[plane * out + output]);
    for (int h = part.row; h < part.row_end; ++h) {
      Int position = Int() + ((h - part.top) * w.kernel_w + part.column - part.left);
      for (int c = part.column; c < part.column_end; ++c) {
        picture[h * w.width + c] += at == position ? value : Pixel();
        position += 1;
      }
    }
  });
}

template <int lanes>
void average_forward(const Window& w, const float* x, float* y) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  const size_t in = size_t(w.height) * w.width, out = size_t(w.pooled_height) * w.pooled_width;
  const Pixel* from = pixels_of<lanes>(x);
  Pixel* to = pixels_of<lanes>(y);
  each_output(w, [](int) {}, [&](int plane, int output, const Part& part) {
    Pixel sum = Pixel();
    for (int h = part.row; h < part.row_end; ++h) {
      for (int c = part.column; c < part.column_end; ++c) sum += from[plane * in + h * w.width + c];
    }
    to[plane * out + output] = sum / part.size(w);
  });
}

template <int lanes>
void average_backward(const Window& w, const float* dy, float* dx) {
  typedef typename Lanes<lanes>::Pixel Pixel;
  const size_t in = size_t(w.height) * w.width, out = size_t(w.pooled_height) * w.pooled_width;
  const Pixel* from = pixels_of<lanes>(dy);
  Pixel* to = pixels_of<lanes>(dx);
  each_output(w, [=](int plane) { memset(to + plane * in, 0, in * sizeof(Pixel)); },
              [&](int plane, int output, const Part& part) {
    const Pixel value = from[plane * out + output] / part.size(w);
    for (int h = part.row; h < part.row_end; ++h) {
      for (int c = part.column; c < part.column_end; ++c) to[plane * in + h * w.width + c] += value;
    }
  });
}

}  // namespace

void max_pool_forward(bool blocked, const Window& window, const float* x, float* y, uint8_t* mask) {
  blocked ? max_forward<8>(window, x, y, mask) : max_forward<1>(window, x, y, mask);
}

void max_pool_backward(bool blocked, const Window& window, const float* dy, const uint8_t* mask, float* dx) {
  blocked ? max_backward<8>(window, dy, mask, dx) : max_backward<1>(window, dy, mask, dx);
}

void average_pool_forward(bool blocked, const Window& window, const float* x, float* y) {
  blocked ? average_forward<8>(window, x, y) : average_forward<1>(window, x, y);
}

void average_pool_backward(bool blocked, const Window& window, const float* dy, float* dx) {
  blocked ? average_backward<8>(window, dy, dx) : average_backward<1>(window, dy, dx);
}

}  // namespace fast
}  // namespace caffe
