// Runs the source of a CUDA kernel on the CPU: of a block's threads each goes on to where it waits for the others, then
// the next one, and one block after another. It shows which value goes where, and what is added to what; not how fast,
// nor what a driver makes of it.
#ifndef DEVICE_ON_HOST_HPP_
#define DEVICE_ON_HOST_HPP_

#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define CUDA_POST_KERNEL_CHECK

struct dim3 {
  unsigned x, y;
  dim3(unsigned x = 1, unsigned y = 1) : x(x), y(y) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

struct Thread {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 15);
  bool has_ended;
};

inline std::vector<Thread> crew;
inline ucontext_t foreman;
inline std::function<void()> task;

inline void hand_over() { swapcontext(&crew[threadIdx.x].context, &foreman); }
inline void __syncthreads() { hand_over(); }

inline void work() {
  task();
  crew[threadIdx.x].has_ended = true;
  hand_over();
}

inline void run_block() {
  for (Thread& thread : crew) {
    thread.has_ended = false;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    makecontext(&thread.context, work, 0);
  }
  for (bool is_working = true; is_working;) {
    is_working = false;
    for (unsigned i = 0; i < crew.size(); ++i) {
      if (crew[i].has_ended) continue;
      is_working = true;
      threadIdx = dim3(i, 0);
      swapcontext(&foreman, &crew[i].context);
    }
  }
}

template <class Kernel>
void launch(dim3 blocks, unsigned threads, const Kernel& kernel) {
  gridDim = blocks;
  blockDim = dim3(threads);
  crew.resize(threads);
  task = kernel;
  for (unsigned y = 0; y < blocks.y; ++y) {
    for (unsigned x = 0; x < blocks.x; ++x) {
      blockIdx = dim3(x, y);
      run_block();
    }
  }
}

#endif  // DEVICE_ON_HOST_HPP_
