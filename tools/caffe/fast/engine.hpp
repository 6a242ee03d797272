// What the fast layers share: when they are used, their threads, and how a blob's values lie.
#ifndef MINDPICS_ENGINE_HPP_
#define MINDPICS_ENGINE_HPP_

#include <string>

#include "caffe/blob.hpp"
#include "caffe/layer_factory.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

enum Part { DATA, DIFF };

inline SyncedMemory& memory_of(const Blob<float>& blob, Part part) {
  return part == DATA ? *blob.data() : *blob.diff();
}

// Pixels of a plane; 0 where blocks of channels have no meaning.
inline int pixels_of(const Blob<float>& blob) { return blob.num_axes() == 4 ? blob.count(2) : 0; }

inline Channels channels_of(const Blob<float>& blob) { return {blob.shape(0), blob.shape(1), blob.count(2)}; }

inline bool is_blocked(const Blob<float>& blob, Part part) {
  const int pixels = memory_of(blob, part).blocked_pixels();
  return pixels && pixels == pixels_of(blob) && blob.shape(1) % 8 == 0;
}

// Whether its values may come to lie in blocks. A single pixel's lie the same either way: plain.
inline bool may_block(const Blob<float>& blob, Part part) {
  return pixels_of(blob) > 1 && blob.shape(1) % 8 == 0 && memory_of(blob, part).may_block();
}

inline const float* read_plain(const Blob<float>& blob, Part part) {
  return part == DATA ? blob.cpu_data() : blob.cpu_diff();
}

inline float* write_plain(Blob<float>* blob, Part part) {
  return part == DATA ? blob->mutable_cpu_data() : blob->mutable_cpu_diff();
}

// The values in the order asked for, rearranged where they lie in the other. Ask for blocks only if may_block.
const float* read(const Blob<float>& blob, Part part, bool blocked);
// The same of a blob's memory: `count` values, in planes of so many pixels.
const float* read(SyncedMemory* memory, size_t count, int pixels, bool blocked);
// The same, to be changed where they are.
float* change(Blob<float>* blob, Part part, bool blocked);
// Memory for all values of the blob, to be filled in the order asked for.
float* write(Blob<float>* blob, Part part, bool blocked);

// Before any parallel work of a layer on so many values: OMP_NUM_THREADS, or OPENBLAS_NUM_THREADS, or all cores; one
// thread for few values. The same work has the same threads, and so the same sums, each time.
void use_threads(double values);
// A product's two operations on numbers in the cache, against a value's way from memory and back.
const double VALUES_PER_PRODUCT = 1. / 32;

// Memory for the time of one layer's pass, shared by all layers of a thread.
enum Use { WEIGHTS, SOURCE, DESTINATION, SCRATCHPAD, USES };
float* scratch(Use use, size_t bytes);

template <class FastLayer>
shared_ptr<Layer<float> > create(const LayerParameter& param) {
  return shared_ptr<Layer<float> >(new FastLayer(param));
}

struct Registerer {
  Registerer(Caffe::Brew mode, const std::string& type, LayerRegistry<float>::Creator creator) {
    LayerRegistry<float>::FastRegistry(mode)[type] = creator;
  }
};

#define REGISTER_FAST_LAYER(type) static Registerer g_fast_##type(Caffe::CPU, #type, create<Fast##type##Layer>)
#define REGISTER_GPU_LAYER(type) static Registerer g_gpu_##type(Caffe::GPU, #type, create<Gpu##type##Layer>)

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_ENGINE_HPP_
