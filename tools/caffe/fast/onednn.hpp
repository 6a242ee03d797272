// oneDNN (Apache-2.0), versions 2 and 3: one engine and stream, and one way to describe a primitive.
#ifndef MINDPICS_ONEDNN_HPP_
#define MINDPICS_ONEDNN_HPP_

#include <string>

#include <oneapi/dnnl/dnnl.hpp>

namespace caffe {
namespace fast {

inline dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

inline dnnl::stream& onednn_stream() {
  static thread_local dnnl::stream stream(onednn_engine());
  return stream;
}

// Working memory is ours to lend: layers run one after the other and can share it.
inline dnnl::primitive_attr with_lent_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

#if DNNL_VERSION_MAJOR < 3
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe(const Arguments&... arguments) {
  return {typename Primitive::desc(arguments...), with_lent_scratchpad(), onednn_engine()};
}

template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe_backward(const dnnl::convolution_forward::primitive_desc& forward,
                                                     const Arguments&... arguments) {
  return {typename Primitive::desc(arguments...), with_lent_scratchpad(), onednn_engine(), forward};
}
#else
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe(const Arguments&... arguments) {
  return {onednn_engine(), arguments..., with_lent_scratchpad()};
}

template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe_backward(const dnnl::convolution_forward::primitive_desc& forward,
                                                     const Arguments&... arguments) {
  return {onednn_engine(), arguments..., forward, with_lent_scratchpad()};
}
#endif

// oneDNN's last resort, plain loops, is slower than any other way.
template <class Description>
bool is_reference(const Description& description) {
  return std::string(description.impl_info_str()).find("ref") != std::string::npos;
}

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_ONEDNN_HPP_
