// A pixel's values: one float, or the eight of a block. Only for files compiled for AVX2 and FMA;
// nothing here may be shared with others, or they would run it on machines without.
#ifndef MINDPICS_LANES_HPP_
#define MINDPICS_LANES_HPP_

#include <cstddef>
#include <cstdint>

namespace {

typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Int8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint8_t Byte8 __attribute__((vector_size(8), aligned(1), may_alias));

// A pixel of so many channels, and what belongs to it. By number: a type would lose its alignment as a template's
// argument.
template <int lanes> struct Lanes;
template <> struct Lanes<1> {
  typedef float Pixel;
  typedef int Int;
  typedef uint8_t Byte;
  static Byte bytes(Int values) { return static_cast<Byte>(values); }
  static Int ints(Byte values) { return values; }
};
template <> struct Lanes<8> {
  typedef Float8 Pixel;
  typedef Int8 Int;
  typedef Byte8 Byte;
  static Byte bytes(Int values) { return __builtin_convertvector(values, Byte8); }
  static Int ints(Byte values) { return __builtin_convertvector(values, Int8); }
};

template <int lanes>
inline const typename Lanes<lanes>::Pixel* pixels_of(const float* values) {
  return reinterpret_cast<const typename Lanes<lanes>::Pixel*>(values);
}
template <int lanes>
inline typename Lanes<lanes>::Pixel* pixels_of(float* values) {
  return reinterpret_cast<typename Lanes<lanes>::Pixel*>(values);
}

}  // namespace

#endif  // MINDPICS_LANES_HPP_
