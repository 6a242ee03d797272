// Pictures of bytes to floats, on the device.
#ifndef MINDPICS_CROP_HPP_
#define MINDPICS_CROP_HPP_

#include "../fast/kernels.hpp"

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__
#else
#define HOST_DEVICE
#endif

namespace caffe {
namespace fast {

// One picture of a batch: how it is cropped, and where its bytes begin.
struct Place {
  Crop crop;
  size_t begin;
};

// The one value of crop_bytes that goes to `channel`, `row` and `column` of the crop, by the same two operations: a
// difference and a product, which no compiler contracts, so equal to the bit.
HOST_DEVICE inline float cropped_value(const Crop& c, const uint8_t* bytes, const float* mean, const float* values,
                                       int channel, int row, int column) {
  const int from = c.mirror ? c.crop_width - 1 - column : column;
  const size_t pixel = size_t(c.top + row) * c.width + c.left + from;
  const size_t plain = size_t(channel) * c.height * c.width + pixel;
  const uint8_t byte = bytes[c.interleaved ? pixel * c.channels + channel : plain];
  return (byte - (mean ? mean[plain] : values ? values[channel] : 0)) * c.scale;
}

// All on the device, on its default stream: `count` pictures of `places`, whose crops are of one shape, to
// (count, channels, crop_height, crop_width). `mean` and `values` as for crop_bytes.
void crop_batch(int count, int channels, int crop_height, int crop_width, const Place* places, const uint8_t* bytes,
                const float* mean, const float* values, float* to);

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_CROP_HPP_
