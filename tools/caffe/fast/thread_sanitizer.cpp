// OpenMP's threads as ThreadSanitizer is told of them: how GNU's library begins and ends their work it does not see. Only
// in the build that it checks, where this GOMP_parallel is found before libgomp's.
#include <dlfcn.h>

extern "C" {

void __tsan_acquire(void* address);
void __tsan_release(void* address);

namespace {

typedef void (*Function)(void*);

struct Work {
  Function function;
  void* data;
  char begin, end;
};

void do_work(void* address) {
  Work* work = static_cast<Work*>(address);
  __tsan_acquire(&work->begin);
  work->function(work->data);
  __tsan_release(&work->end);
}

}  // namespace

void GOMP_parallel(Function function, void* data, unsigned threads, unsigned flags) {
  typedef void (*Parallel)(Function, void*, unsigned, unsigned);
  static const Parallel parallel = reinterpret_cast<Parallel>(dlsym(RTLD_NEXT, "GOMP_parallel"));
  Work work = {function, data};
  __tsan_release(&work.begin);
  parallel(do_work, &work, threads, flags);
  __tsan_acquire(&work.end);
}

}  // extern "C"
