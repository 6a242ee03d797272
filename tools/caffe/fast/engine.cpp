#include "engine.hpp"

#include <cstdlib>

#include "caffe/util/math_functions.hpp"

#ifdef MINDPICS_FAST
#include <omp.h>
#include <pthread.h>

#include "kernels.hpp"
#include "work.hpp"
#endif

namespace caffe {

bool AsksForDefault(const LayerParameter& param, int engine) {
  LOG_IF(INFO, engine == 2) << "Layer " << param.name() << ": engine: CUDNN is taken for the default here";
  return engine != 1;
}

#ifdef MINDPICS_FAST
namespace {

// On a GPU as well: its Data layer's pictures go the same way.
bool machine_is_able() {
  static const bool able = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return able;
}

// The engine that the layer's own message names, if it has one: 0 is DEFAULT, 1 CAFFE, 2 CUDNN.
int engine_of(const LayerParameter& param) {
  if (param.type() == "Convolution") return param.convolution_param().engine();
  if (param.type() == "Pooling") return param.pooling_param().engine();
  if (param.type() == "LRN") return param.lrn_param().engine();
  if (param.type() == "ReLU") return param.relu_param().engine();
  return 0;
}

}  // namespace

bool WantsFastLayer(const LayerParameter& param) {
  const char* variable = getenv("MINDPICS_ENGINE");
  const std::string engine = variable && *variable ? variable : "fast";
  CHECK(engine == "fast" || engine == "caffe")
      << "MINDPICS_ENGINE is \"" << engine << "\"; wanted: fast or caffe";
  if (engine == "caffe" || !machine_is_able()) return false;
  // On a GPU the registry's layer of such an engine is cuDNN's.
  return Caffe::mode() == Caffe::GPU ? engine_of(param) != 1 : AsksForDefault(param, engine_of(param));
}

namespace fast {

namespace {

// GNU's threads do not survive a fork, and a child that counts on them waits for ever. They end before one; both
// sides start new ones when they need them.
void before_fork() { omp_pause_resource_all(omp_pause_soft); }

int wanted_threads() {
  const char* variable = getenv("OPENBLAS_NUM_THREADS");
  const int number = variable ? atoi(variable) : 0;
  return getenv("OMP_NUM_THREADS") || number < 1 ? omp_get_max_threads() : number;
}

struct AtLoad {
  AtLoad() {
    SyncedMemory::to_blocked = to_blocked;
    SyncedMemory::to_plain = to_plain;
    pthread_atfork(before_fork, NULL, NULL);
  }
} at_load;

struct Scratch {
  float* values[USES];
  size_t sizes[USES];
  ~Scratch() {
    for (int i = 0; i < USES; ++i) free(values[i]);
  }
};

}  // namespace

void use_threads(double values) {
  // Some 40 microseconds' work: less is not worth waiting for other threads, which on a busy machine may take long.
  const double worth = 1 << 17;
  static thread_local const int wanted = wanted_threads();
  static thread_local int current = 0;
  // All or one: GNU's OpenMP would end threads, and start them again, to change from three to two.
  const int threads = values < worth ? 1 : wanted;
  if (threads != current) omp_set_num_threads(threads);
  current = threads;
}

float* scratch(Use use, size_t bytes) {
  static thread_local Scratch scratch = {};
  if (scratch.sizes[use] < bytes) {
    free(scratch.values[use]);
    void* memory = NULL;
    CHECK_EQ(posix_memalign(&memory, 64, bytes), 0) << "no memory for " << bytes << " bytes of scratch";
    scratch.values[use] = static_cast<float*>(memory);
    scratch.sizes[use] = bytes;
  }
  return scratch.values[use];
}

const float* read(const Blob<float>& blob, Part part, bool blocked) {
  SyncedMemory& memory = memory_of(blob, part);
  const shared_ptr<SyncedMemory> same = copied_by(memory);
  return read(same ? same.get() : &memory, blob.count(), pixels_of(blob), blocked);
}

float* change(Blob<float>* blob, Part part, bool blocked) {
  return const_cast<float*>(read(&memory_of(*blob, part), blob->count(), pixels_of(*blob), blocked));
}

const float* read(SyncedMemory* memory, size_t count, int pixels, bool blocked) {
  if (!blocked) return static_cast<const float*>(memory->cpu_data());
  memory->finish();  // which may leave plain values where blocks were to come
  if (memory->blocked_pixels() != pixels) memory->block(count, pixels);
  return memory->blocked_data();
}

float* write(Blob<float>* blob, Part part, bool blocked) {
  return memory_of(*blob, part).fill(blob->count(), blocked ? pixels_of(*blob) : 0);
}

}  // namespace fast

#else

bool WantsFastLayer(const LayerParameter& param) { return false; }

#endif

}  // namespace caffe
