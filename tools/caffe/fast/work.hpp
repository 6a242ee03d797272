// What BatchNorm, Scale, ReLU and Eltwise leave to whoever comes next, so that one pass over the values does all of it.
//
// A blob's memory says what is left to do (SyncedMemory::Work). Who knows of it adds his own and leaves it, or does all
// of it as he reads; for all others it is done before they see the values, which are what each layer alone would make.
#ifndef MINDPICS_WORK_HPP_
#define MINDPICS_WORK_HPP_

#include <vector>

#include "engine.hpp"

namespace caffe {
namespace fast {

// Values: rectified((x - mean) * inverse * factor + bias), vectors of channels, empty where no layer asks for them.
struct Transform : SyncedMemory::Work {
  explicit Transform(const Channels& shape) : shape(shape) {}
  int pixels(int own) const override { return x ? x->blocked_pixels() : own; }
  void finish(SyncedMemory* memory) override;
  Addend addend(bool blocked) const;  // of values that begin with x, not rectified
  bool is_scaled() const { return !factor.empty() || slope != 1; }

  shared_ptr<SyncedMemory> x;  // what BatchNorm read, which it keeps; NULL: the values that are there
  Channels shape;
  vector<float> mean, inverse, factor, bias;
  float slope = 1;             // of a ReLU; 1 rectifies nothing
};

// A gradient: factor * (y > 0 ? dy : slope * dy).
struct Gradient : SyncedMemory::Work {
  explicit Gradient(const Channels& shape) : shape(shape) {}
  ~Gradient();
  int pixels(int own) const override { return dy ? dy->blocked_pixels() : own; }
  void finish(SyncedMemory* memory) override { write(memory, memory); }
  bool is_copy() const { return dy && !y && factor.empty(); }
  // `memory` is where the gradient belongs, `to` where it is to go.
  // The sums, before `factor`, over the normalised values of `kept`.
  void take_sums(SyncedMemory* memory, const shared_ptr<Transform>& kept);
  void write(SyncedMemory* memory, SyncedMemory* to);
  // The gradient before BatchNorm, to `to`: (gradient - a - b * normalised) * inverse.
  void before_norm(SyncedMemory* memory, const Transform& kept, const float* a, const float* b, const float* inverse,
                   SyncedMemory* to);

  shared_ptr<SyncedMemory> dy;  // shared with other gradients, and so not to be written to; NULL: what is there
  Channels shape;
  shared_ptr<SyncedMemory> y;   // ReLU's values; NULL: no ReLU
  float slope = 1;
  vector<float> factor;
  shared_ptr<Transform> over;   // whose values the sums are over; NULL: no sums yet
  vector<float> sum, sum_x;

 private:
  struct Operands;
  float* place(SyncedMemory* memory, SyncedMemory* to, const Operands& from) const;
  Operands read_all(SyncedMemory* memory, const Transform* kept, const SyncedMemory* to);
};

// The memory whose values `memory` waits to copy, or NULL.
shared_ptr<SyncedMemory> copied_by(const SyncedMemory& memory);
// What the blob's data wait for, or NULL; work on channels of another shape is done first.
shared_ptr<Transform> transform_of(const Blob<float>& blob);
// A copy of it, or one that begins with the values that are there: for a layer in place to add to.
shared_ptr<Transform> next_transform(const Blob<float>& blob);
// The work on the blob's diff, taken off it, to add to or to do: nothing yet if it is past that of the layers named
// or of another shape.
enum Layers { RELU = 1, SCALE = 2 };
shared_ptr<Gradient> take_gradient(const Blob<float>& blob, int done_by);
// Leaves it to whoever comes next; at once where someone outside holds the memory.
void leave(const shared_ptr<Gradient>& gradient, SyncedMemory* memory);
// Keeps values that no layer has changed.
void keep(shared_ptr<Transform>* kept, const shared_ptr<SyncedMemory>& values, const Channels& shape);
// Whether what is kept is of that size at least: a Backward may come without its Forward.
bool keeps(const shared_ptr<Transform>& kept, const Channels& shape);
// Hands the memory of what was kept on, unless others refer to it.
void drop(shared_ptr<Transform>* kept);

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_WORK_HPP_
