#include "crop.hpp"

#include <algorithm>

#include "caffe/common.hpp"

namespace caffe {
namespace fast {

namespace {

// A block takes a row of one channel of a picture, and so neighbouring threads neighbouring pixels.
__global__ void crop_rows(int channels, int crop_height, int crop_width, const Place* places, const uint8_t* bytes,
                          const float* mean, const float* values, float* to) {
  const int row = blockIdx.x % crop_height;
  const int channel = blockIdx.x / crop_height;
  const Place& place = places[blockIdx.y];
  to += ((size_t(blockIdx.y) * channels + channel) * crop_height + row) * crop_width;
  for (int column = threadIdx.x; column < crop_width; column += blockDim.x) {
    to[column] = cropped_value(place.crop, bytes + place.begin, mean, values, channel, row, column);
  }
}

}  // namespace

void crop_batch(int count, int channels, int crop_height, int crop_width, const Place* places, const uint8_t* bytes,
                const float* mean, const float* values, float* to) {
  const int most = 65535;  // blocks along y
  for (int first = 0; first < count; first += most) {
    const dim3 blocks(channels * crop_height, std::min(most, count - first));
    crop_rows<<<blocks, 256>>>(channels, crop_height, crop_width, places + first, bytes, mean, values,
                               to + size_t(first) * channels * crop_height * crop_width);
    CUDA_POST_KERNEL_CHECK;
  }
}

}  // namespace fast
}  // namespace caffe
