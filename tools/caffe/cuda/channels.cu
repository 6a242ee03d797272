#include "channels.hpp"

#include <algorithm>

#include "caffe/common.hpp"

namespace caffe {
namespace fast {
namespace gpu {

namespace {

const int THREADS = 512;

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

// Where value `i` of a channel lies.
__device__ size_t place(const Channels& s, int channel, int i) {
  return (size_t(i / s.pixels) * s.channels + channel) * s.pixels + i % s.pixels;
}

__device__ float otherwise(const float* vector, int channel, float value) { return vector ? vector[channel] : value; }

// A block a channel. Distances from the mean are squared, not values: their difference would be lost in rounding.
__global__ void find_statistics(Channels s, const float* x, Moving moving, float* mean, float* inverse) {
  const int channel = blockIdx.x, count = s.num * s.pixels;
  float middle = 0, variance = 0, unused = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) middle += x[place(s, channel, i)];
  sum_over_block(&middle, &unused);
  middle /= count;
  for (int i = threadIdx.x; i < count; i += THREADS) {
    const float distance = x[place(s, channel, i)] - middle;
    variance += distance * distance;
  }
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

__global__ void find_affine(Channels s, size_t count, const float* x, const float* shift, const float* scale,
                            const float* bias, float* y, float* copy) {
  for (size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x; i < count; i += size_t(gridDim.x) * THREADS) {
    const int channel = i / s.pixels % s.channels;
    const float value =
        (x[i] - otherwise(shift, channel, 0)) * otherwise(scale, channel, 1) + otherwise(bias, channel, 0);
    y[i] = value;
    if (copy) copy[i] = value;
  }
}

__global__ void find_sums(Channels s, const float* dy, const float* x, bool add, float* sum_dy, float* sum_dy_x) {
  const int channel = blockIdx.x, count = s.num * s.pixels;
  float first = 0, second = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) {
    const size_t there = place(s, channel, i);
    first += dy[there];
    if (sum_dy_x) second += dy[there] * x[there];
  }
  sum_over_block(&first, &second);
  if (threadIdx.x) return;
  if (sum_dy) sum_dy[channel] = add ? sum_dy[channel] + first : first;
  if (sum_dy_x) sum_dy_x[channel] = add ? sum_dy_x[channel] + second : second;
}

__global__ void find_normalized(Channels s, size_t count, const float* dy, const float* x, const float* sum_dy,
                                const float* sum_dy_x, const float* inverse, float* dx) {
  const float share = 1.f / (s.num * s.pixels);
  for (size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x; i < count; i += size_t(gridDim.x) * THREADS) {
    const int channel = i / s.pixels % s.channels;
    dx[i] = (dy[i] - share * sum_dy[channel] - share * sum_dy_x[channel] * x[i]) * inverse[channel];
  }
}

size_t values_of(const Channels& s) { return size_t(s.num) * s.channels * s.pixels; }
int blocks_for(size_t count) { return std::min<size_t>((count + THREADS - 1) / THREADS, 1 << 20); }

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
  find_affine<<<blocks_for(values_of(s)), THREADS>>>(s, values_of(s), x, shift, scale, bias, y, copy);
  CUDA_POST_KERNEL_CHECK;
}

void sums(const Channels& s, const float* dy, const float* x, bool add, float* sum_dy, float* sum_dy_x) {
  find_sums<<<s.channels, THREADS>>>(s, dy, x, add, sum_dy, sum_dy_x);
  CUDA_POST_KERNEL_CHECK;
}

void normalized_backward(const Channels& s, const float* dy, const float* x, const float* sum_dy,
                         const float* sum_dy_x, const float* inverse, float* dx) {
  find_normalized<<<blocks_for(values_of(s)), THREADS>>>(s, values_of(s), dy, x, sum_dy, sum_dy_x, inverse, dx);
  CUDA_POST_KERNEL_CHECK;
}

}  // namespace gpu
}  // namespace fast
}  // namespace caffe
