#include "work.hpp"

#include "kernels.hpp"

namespace caffe {
namespace fast {

namespace {

const float* or_null(const vector<float>& values) { return values.empty() ? NULL : values.data(); }

size_t count_of(const Channels& s) { return size_t(s.num) * s.channels * s.pixels; }

// A Reshape's top has the memory of its bottom, and may divide the same values into other channels.
bool has_shape(const Blob<float>& blob, const Channels& shape) {
  return pixels_of(blob) == shape.pixels && blob.shape(0) == shape.num && blob.shape(1) == shape.channels;
}

}  // namespace

void Transform::finish(SyncedMemory* memory) {
  SyncedMemory* from = x ? x.get() : memory;
  const int pixels = from->blocked_pixels();
  const float* source = from->blocked_data();
  float* to = x ? memory->fill(count_of(shape), pixels) : const_cast<float*>(source);
  affine(pixels, shape, source, or_null(mean), or_null(inverse), NULL, to, NULL,
         {or_null(factor), or_null(bias), slope});
}

Addend Transform::addend(bool blocked) const {
  return {read(x.get(), count_of(shape), shape.pixels, blocked), or_null(mean), or_null(inverse), or_null(factor),
          or_null(bias)};
}

struct Gradient::Operands {
  bool blocked;
  const float *dy, *x;
  Passed passed;
};

Gradient::~Gradient() {
  if (dy.use_count() == 1) dy->release();
}

// Blocks where the gradient lies so and all others may.
Gradient::Operands Gradient::read_all(SyncedMemory* memory, const Transform* kept, const SyncedMemory* to) {
  SyncedMemory* from = dy ? dy.get() : memory;
  const bool blocked = from->blocked_pixels() == shape.pixels && shape.channels % BLOCK == 0 && to->may_block() && (!y || y->may_block())
      && (!kept || kept->x->may_block());
  const auto values = [&](SyncedMemory* part) { return read(part, count_of(shape), shape.pixels, blocked); };
  Operands found = {blocked, values(from), kept ? values(kept->x.get()) : NULL};
  found.passed = {y ? values(y.get()) : NULL, slope, or_null(factor)};
  if (kept) found.passed.shift = or_null(kept->mean), found.passed.scale = or_null(kept->inverse);
  return found;
}

float* Gradient::place(SyncedMemory* memory, SyncedMemory* to, const Operands& from) const {
  const bool in_place = to == memory && !dy;
  return in_place ? const_cast<float*>(from.dy) : to->fill(count_of(shape), from.blocked ? shape.pixels : 0);
}

void Gradient::write(SyncedMemory* memory, SyncedMemory* to) {
  const Operands from = read_all(memory, NULL, to);
  pass_gradient(from.blocked, shape, from.dy, place(memory, to, from), from.passed);
}

void Gradient::take_sums(SyncedMemory* memory, const shared_ptr<Transform>& kept) {
  const Operands from = read_all(memory, kept.get(), memory);
  sum.resize(shape.channels);
  sum_x.resize(shape.channels);
  sums(from.blocked, shape, from.dy, from.x, sum.data(), sum_x.data(), from.passed);
  over = kept;
}

void Gradient::before_norm(SyncedMemory* memory, const Transform& kept, const float* a, const float* b,
                           const float* inverse, SyncedMemory* to) {
  const Operands from = read_all(memory, &kept, to);
  normalized_backward(from.blocked, shape, from.dy, from.x, a, b, inverse, place(memory, to, from), from.passed);
}

shared_ptr<SyncedMemory> copied_by(const SyncedMemory& memory) {
  const shared_ptr<Gradient> found = boost::dynamic_pointer_cast<Gradient>(memory.work());
  return found && found->is_copy() ? found->dy : shared_ptr<SyncedMemory>();
}

shared_ptr<Transform> transform_of(const Blob<float>& blob) {
  const shared_ptr<Transform> found = boost::dynamic_pointer_cast<Transform>(blob.data()->work());
  if (!found || has_shape(blob, found->shape)) return found;
  blob.data()->finish();
  return shared_ptr<Transform>();
}

shared_ptr<Transform> next_transform(const Blob<float>& blob) {
  const shared_ptr<Transform> found = transform_of(blob);
  return shared_ptr<Transform>(found ? new Transform(*found) : new Transform(channels_of(blob)));
}

shared_ptr<Gradient> take_gradient(const Blob<float>& blob, int done_by) {
  SyncedMemory& memory = *blob.diff();
  const shared_ptr<Gradient> found = boost::dynamic_pointer_cast<Gradient>(memory.work());
  if (found && has_shape(blob, found->shape) && !(found->y && !(done_by & RELU)) && !(found->factor.size() && !(done_by & SCALE))) {
    memory.take_work();
    return found;
  }
  memory.finish();
  return shared_ptr<Gradient>(new Gradient(channels_of(blob)));
}

void leave(const shared_ptr<Gradient>& gradient, SyncedMemory* memory) {
  gradient->dy || memory->may_move() ? memory->do_when_read(gradient) : gradient->finish(memory);
}

void keep(shared_ptr<Transform>* kept, const shared_ptr<SyncedMemory>& values, const Channels& shape) {
  kept->reset(new Transform(shape));
  (*kept)->x = values;
}

bool keeps(const shared_ptr<Transform>& kept, const Channels& shape) {
  return kept && kept->x->size() >= count_of(shape) * sizeof(float);
}

void drop(shared_ptr<Transform>* kept) {
  if (kept->use_count() == 1 && (*kept)->x.use_count() == 1) (*kept)->x->release();
  kept->reset();
}

}  // namespace fast
}  // namespace caffe
