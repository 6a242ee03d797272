#include "channels.hpp"

#include <algorithm>

#include "caffe/common.hpp"

namespace caffe {
namespace fast {
namespace gpu {

namespace {

const int WARP = 32, THREADS = 1024;
const int STRETCH = 1024;  // pixels that a warp takes at a time
const int AHEAD = 8;       // values that a thread fetches before it stores one

// The sums over the block's threads, to all of them.
__device__ void sum_over_block(float* a, float* b) {
  __shared__ float first[THREADS], second[THREADS];
  const int i = threadIdx.x;
  first[i] = *a;
  second[i] = *b;
  __syncthreads();
  for (int half = THREADS / 2; half; half /= 2) {
    if (i < half) {
      first[i] += first[i + half];
      second[i] += second[i + half];
    }
    __syncthreads();
  }
  *a = first[0];
  *b = second[0];
  __syncthreads();  // before the memory is used again
}

// body(plane, its first pixel, how many) for each stretch of `planes` that falls to this one of all warps: where a
// value lies is worked out once a stretch, since a division a value takes longer than to fetch it.
template <class Body>
__device__ void each_stretch(int planes, int pixels, int warp, int warps, const Body& body) {
  const int stretches = (pixels + STRETCH - 1) / STRETCH;
  for (int i = warp; i < planes * stretches; i += warps) {
    const int first = i % stretches * STRETCH, left = pixels - first;
    body(i / stretches, first, left < STRETCH ? left : STRETCH);
  }
}

// body(index) for each value of a channel that falls to this thread of the channel's block.
template <class Body>
__device__ void each_of_channel(const Channels& s, int channel, const Body& body) {
  each_stretch(s.num, s.pixels, threadIdx.x / WARP, THREADS / WARP, [&](int picture, int first, int count) {
    const size_t begin = (size_t(picture) * s.channels + channel) * s.pixels + first;
#pragma unroll 8
    for (int p = threadIdx.x % WARP; p < count; p += WARP) body(begin + p);
  });
}

// store(index, find(index, its channel)) for each value that falls to this thread of all blocks. Some are fetched before
// the first is stored: what is stored may be what is fetched next, for all the compiler knows.
template <class Find, class Store>
__device__ void each_value(const Channels& s, const Find& find, const Store& store) {
  const int warp = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP, warps = gridDim.x * (THREADS / WARP);
  each_stretch(s.num * s.channels, s.pixels, warp, warps, [&](int plane, int first, int count) {
    const size_t begin = size_t(plane) * s.pixels + first;
    const int channel = plane % s.channels;
    for (int p = threadIdx.x % WARP; p < count; p += AHEAD * WARP) {
      float values[AHEAD];
#pragma unroll
      for (int k = 0; k < AHEAD; ++k) {
        if (p + k * WARP < count) values[k] = find(begin + p + k * WARP, channel);
      }
#pragma unroll
      for (int k = 0; k < AHEAD; ++k) {
        if (p + k * WARP < count) store(begin + p + k * WARP, values[k]);
      }
    }
  });
}

__device__ float otherwise(const float* vector, int channel, float value) { return vector ? vector[channel] : value; }

// A block a channel. Distances from the mean are squared, not values: their difference would be lost in rounding.
__global__ void find_statistics(Channels s, const float* x, Moving moving, float* mean, float* inverse) {
  const int channel = blockIdx.x, count = s.num * s.pixels;
  float middle = 0, variance = 0, unused = 0;
  each_of_channel(s, channel, [&](size_t i) { middle += x[i]; });
  sum_over_block(&middle, &unused);
  middle /= count;
  each_of_channel(s, channel, [&](size_t i) {
    const float distance = x[i] - middle;
    variance += distance * distance;
  });
  sum_over_block(&variance, &unused);
  variance /= count;
  if (threadIdx.x) return;
  const float correction = count > 1 ? float(count) / (count - 1) : 1;
  mean[channel] = middle;
  inverse[channel] = 1 / sqrtf(variance + moving.eps);
  moving.mean[channel] = moving.mean[channel] * moving.fraction + middle;
  moving.variance[channel] = moving.variance[channel] * moving.fraction + variance * correction;
  if (channel == 0) moving.sum[0] = moving.sum[0] * moving.fraction + 1;
}

__global__ void recall_statistics(int channels, Moving moving, float* mean, float* inverse) {
  const int channel = blockIdx.x * THREADS + threadIdx.x;
  if (channel >= channels) return;
  const float factor = moving.sum[0] == 0 ? 0 : 1 / moving.sum[0];
  mean[channel] = factor * moving.mean[channel];
  inverse[channel] = 1 / sqrtf(factor * moving.variance[channel] + moving.eps);
}

__global__ void find_affine(Channels s, const float* x, const float* shift, const float* scale, const float* bias,
                            float* y, float* copy) {
  each_value(
      s,
      [&](size_t i, int channel) {
        return (x[i] - otherwise(shift, channel, 0)) * otherwise(scale, channel, 1) + otherwise(bias, channel, 0);
      },
      [&](size_t i, float value) {
        y[i] = value;
        if (copy) copy[i] = value;
      });
}

__global__ void find_sums(Channels s, const float* dy, const float* x, bool add, float* sum_dy, float* sum_dy_x) {
  const int channel = blockIdx.x;
  float first = 0, second = 0;
  each_of_channel(s, channel, [&](size_t i) {
    first += dy[i];
    if (sum_dy_x) second += dy[i] * x[i];
  });
  sum_over_block(&first, &second);
  if (threadIdx.x) return;
  if (sum_dy) sum_dy[channel] = add ? sum_dy[channel] + first : first;
  if (sum_dy_x) sum_dy_x[channel] = add ? sum_dy_x[channel] + second : second;
}

__global__ void find_normalized(Channels s, const float* dy, const float* x, const float* sum_dy,
                                const float* sum_dy_x, const float* inverse, float* dx) {
  const float share = 1.f / (s.num * s.pixels);
  each_value(
      s,
      [&](size_t i, int channel) {
        return (dy[i] - share * sum_dy[channel] - share * sum_dy_x[channel] * x[i]) * inverse[channel];
      },
      [&](size_t i, float value) { dx[i] = value; });
}

int blocks_for(size_t count) { return std::min<size_t>((count + THREADS - 1) / THREADS, 1 << 20); }

// For the kernels that go through all values: a warp a stretch.
int blocks_for(const Channels& s) {
  return blocks_for(size_t(s.num) * s.channels * ((s.pixels + STRETCH - 1) / STRETCH) * WARP);
}

}  // namespace

void batch_statistics(const Channels& s, const float* x, const Moving& moving, float* mean, float* inverse) {
  find_statistics<<<s.channels, THREADS>>>(s, x, moving, mean, inverse);
  CUDA_POST_KERNEL_CHECK;
}

void saved_statistics(int channels, const Moving& moving, float* mean, float* inverse) {
  recall_statistics<<<blocks_for(channels), THREADS>>>(channels, moving, mean, inverse);
  CUDA_POST_KERNEL_CHECK;
}

void affine(const Channels& s, const float* x, const float* shift, const float* scale, const float* bias, float* y,
            float* copy) {
  find_affine<<<blocks_for(s), THREADS>>>(s, x, shift, scale, bias, y, copy);
  CUDA_POST_KERNEL_CHECK;
}

void sums(const Channels& s, const float* dy, const float* x, bool add, float* sum_dy, float* sum_dy_x) {
  find_sums<<<s.channels, THREADS>>>(s, dy, x, add, sum_dy, sum_dy_x);
  CUDA_POST_KERNEL_CHECK;
}

void normalized_backward(const Channels& s, const float* dy, const float* x, const float* sum_dy,
                         const float* sum_dy_x, const float* inverse, float* dx) {
  find_normalized<<<blocks_for(s), THREADS>>>(s, dy, x, sum_dy, sum_dy_x, inverse, dx);
  CUDA_POST_KERNEL_CHECK;
}

}  // namespace gpu
}  // namespace fast
}  // namespace caffe
