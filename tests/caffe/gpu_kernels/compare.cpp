// The kernels of tools/caffe/cuda beside the loops of tools/caffe/fast, which other tests hold against stock Caffe.
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "cuda/channels.hpp"
#include "cuda/crop.hpp"

using namespace caffe::fast;
typedef std::vector<float> Values;

std::mt19937 rng(1);

int number(int from, int to) { return std::uniform_int_distribution<int>(from, to)(rng); }

Values values(size_t count, float middle = 0) {
  std::normal_distribution<float> normal(middle);
  Values found(count);
  for (float& value : found) value = normal(rng);
  return found;
}

void expect(const std::string& what, const Values& found, const Values& wanted, double tolerance) {
  double largest = 0, distance = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    largest = std::max<double>(largest, std::abs(wanted[i]));
    distance = std::max<double>(distance, found[i] == wanted[i] ? 0 : std::abs(double(found[i]) - wanted[i]));
  }
  std::cout << what << ": " << distance << " of " << largest << "\n";
  if (found.size() == wanted.size() && distance <= tolerance * largest) return;
  std::cerr << what << " differs by " << distance << " where values go up to " << largest << "\n";
  exit(1);
}

// Pictures of several sizes and both orders in one batch.
void compare_crops(bool has_mean, bool has_values) {
  const int count = 5, channels = number(0, 1) ? 3 : 1, crop_height = number(1, 9), crop_width = number(1, 300);
  const bool one_size = has_mean;
  const int height = crop_height + number(0, 4), width = crop_width + number(0, 4);
  std::vector<Place> places;
  std::vector<uint8_t> bytes;
  for (int i = 0; i < count; ++i) {
    Crop c = {channels, one_size ? height : crop_height + number(0, 4), one_size ? width : crop_width + number(0, 4)};
    c.crop_height = crop_height, c.crop_width = crop_width;
    c.top = number(0, c.height - crop_height), c.left = number(0, c.width - crop_width);
    c.interleaved = number(0, 1), c.mirror = number(0, 1), c.scale = .0039;
    places.push_back({c, bytes.size()});
    for (int k = 0; k < channels * c.height * c.width; ++k) bytes.push_back(number(0, 255));
  }
  const Values mean = values(size_t(channels) * height * width, 120), value = values(channels, 120);
  const float *m = has_mean ? mean.data() : NULL, *v = has_values ? value.data() : NULL;
  const size_t each = size_t(channels) * crop_height * crop_width;
  Values found(count * each), wanted(count * each);
  crop_batch(count, channels, crop_height, crop_width, places.data(), bytes.data(), m, v, found.data());
  for (int i = 0; i < count; ++i) {
    crop_bytes(places[i].crop, bytes.data() + places[i].begin, m, v, wanted.data() + i * each);
  }
  expect("crop", found, wanted, 0);
}

void compare_channels(const Channels& s) {
  const size_t count = size_t(s.num) * s.channels * s.pixels;
  const Values x = values(count, 30), dy = values(count), bias = values(s.channels), scale = values(s.channels);
  Values mean(s.channels), variance(s.channels), inverse(s.channels), found_mean(s.channels), found(s.channels);
  moments(false, s, x.data(), mean.data(), variance.data());
  for (int c = 0; c < s.channels; ++c) inverse[c] = 1 / std::sqrt(variance[c] + 1e-5f);

  const int m = s.num * s.pixels;
  Values sum_mean = values(s.channels), sum_variance(s.channels, 2), sum(1, 5);
  Values wanted_mean = sum_mean, wanted_variance = sum_variance;
  for (int c = 0; c < s.channels; ++c) {
    wanted_mean[c] = wanted_mean[c] * .9f + mean[c];
    wanted_variance[c] = wanted_variance[c] * .9f + variance[c] * (m > 1 ? float(m) / (m - 1) : 1);
  }
  const gpu::Moving moving = {sum_mean.data(), sum_variance.data(), sum.data(), .9f, 1e-5f};
  gpu::batch_statistics(s, x.data(), moving, found_mean.data(), found.data());
  expect("mean", found_mean, mean, 1e-6);
  expect("inverse", found, inverse, 1e-5);
  expect("moving mean", sum_mean, wanted_mean, 1e-6);
  expect("moving variance", sum_variance, wanted_variance, 1e-5);
  expect("moving sum", sum, {5 * .9f + 1}, 1e-7);

  gpu::saved_statistics(s.channels, moving, found_mean.data(), found.data());
  for (int c = 0; c < s.channels; ++c) {
    wanted_mean[c] = sum_mean[c] / sum[0];
    wanted_variance[c] = 1 / std::sqrt(sum_variance[c] / sum[0] + 1e-5f);
  }
  expect("saved mean", found_mean, wanted_mean, 1e-6);
  expect("saved inverse", found, wanted_variance, 1e-6);

  Values y(count), copy(count), other(count), normalized(count);
  affine(false, s, x.data(), mean.data(), inverse.data(), NULL, normalized.data(), NULL);
  gpu::affine(s, x.data(), mean.data(), inverse.data(), NULL, y.data(), copy.data());
  expect("normalised", y, normalized, 1e-6);
  expect("copy", copy, y, 0);
  affine(false, s, x.data(), NULL, scale.data(), bias.data(), other.data(), NULL);
  y = x;
  gpu::affine(s, y.data(), NULL, scale.data(), bias.data(), y.data(), NULL);
  expect("scaled in place", y, other, 1e-6);

  Values a(s.channels), b(s.channels), sum_dy(s.channels, 1), sum_dy_x(s.channels, 1), none;
  sums(false, s, dy.data(), normalized.data(), a.data(), b.data());
  gpu::sums(s, dy.data(), normalized.data(), true, sum_dy.data(), sum_dy_x.data());
  for (int c = 0; c < s.channels; ++c) sum_dy[c] -= 1, sum_dy_x[c] -= 1;
  expect("sums, added", sum_dy, a, 1e-4);
  expect("sums of products, added", sum_dy_x, b, 1e-4);
  gpu::sums(s, dy.data(), normalized.data(), false, NULL, sum_dy_x.data());
  gpu::sums(s, dy.data(), NULL, false, sum_dy.data(), NULL);
  for (int c = 0; c < s.channels; ++c) a[c] /= m, b[c] /= m;
  normalized_backward(false, s, dy.data(), normalized.data(), a.data(), b.data(), inverse.data(), other.data());
  y = dy;
  gpu::normalized_backward(s, y.data(), normalized.data(), sum_dy.data(), sum_dy_x.data(), inverse.data(), y.data());
  expect("gradient, in place", y, other, 1e-5);
}

int main() {
  for (int i = 0; i < 8; ++i) compare_crops(i & 1, i & 2);
  for (const Channels& shape : {Channels{3, 5, 350}, Channels{2, 7, 1}, Channels{1, 1, 1025}, Channels{9, 2, 49}}) {
    compare_channels(shape);
  }
}
