// Pictures of bytes to floats.
#include "kernels.hpp"

namespace caffe {
namespace fast {

namespace {

// Towards `step` (1 or -1) from `to`. The mean follows the byte, not the place where it goes.
template <int apart>
void crop_row(int width, const uint8_t* bytes, const float* mean, float value, float scale, bool mirror, float* to) {
  if (mirror) {
#pragma GCC ivdep
    for (int w = 0; w < width; ++w) {
      const int from = width - 1 - w;
      to[w] = (bytes[from * apart] - (mean ? mean[from] : value)) * scale;
    }
  } else {
#pragma GCC ivdep
    for (int w = 0; w < width; ++w) to[w] = (bytes[w * apart] - (mean ? mean[w] : value)) * scale;
  }
}

}  // namespace

void crop_bytes(const Crop& c, const uint8_t* bytes, const float* mean, const float* values, float* to) {
  for (int channel = 0; channel < c.channels; ++channel) {
    for (int row = 0; row < c.crop_height; ++row) {
      const size_t pixel = size_t(c.top + row) * c.width + c.left;
      const size_t plain = size_t(channel) * c.height * c.width + pixel;
      const float* mean_row = mean ? mean + plain : nullptr;
      const float value = values ? values[channel] : 0;
      if (c.interleaved && c.channels == 3) {
        crop_row<3>(c.crop_width, bytes + pixel * 3 + channel, mean_row, value, c.scale, c.mirror, to);
      } else if (c.interleaved && c.channels == 4) {
        crop_row<4>(c.crop_width, bytes + pixel * 4 + channel, mean_row, value, c.scale, c.mirror, to);
      } else {  // one channel lies the same in both orders
        crop_row<1>(c.crop_width, bytes + plain, mean_row, value, c.scale, c.mirror, to);
      }
      to += c.crop_width;
    }
  }
}

}  // namespace fast
}  // namespace caffe
