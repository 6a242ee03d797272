// What through_registry puts in place of layer classes named in BVLC's tests: the layer that a net would get.
#ifndef MINDPICS_BVLC_REGISTRY_HPP_
#define MINDPICS_BVLC_REGISTRY_HPP_

#include <string>
#include <vector>

#include "caffe/caffe.hpp"
#include "data_layer.hpp"
#include "gtest/gtest.h"

namespace caffe {

// The registry's layer of the type. On the CPU a float one is ours, or the test fails.
template <template <typename> class Kind, typename Dtype>
shared_ptr<Kind<Dtype> > registered(const std::string& type, LayerParameter param) {
  param.set_type(type);
  shared_ptr<Layer<Dtype> > layer = LayerRegistry<Dtype>::CreateLayer(param);
  if (sizeof(Dtype) == sizeof(float) && Caffe::mode() == Caffe::CPU) EXPECT_STREQ("fast", layer->engine()) << type;
  return boost::dynamic_pointer_cast<Kind<Dtype> >(layer);
}

// The fast Data layer's transformer: a picture's numbers are drawn first, then the picture is prepared with them.
class DrawingTransformer : public fast::ReplayingTransformer {
 public:
  using fast::ReplayingTransformer::ReplayingTransformer;
  using DataTransformer<float>::Transform;

  void Transform(const Datum& datum, Blob<float>* to) {
    vector<uint32_t> drawn;
    draw(draws_each(), &drawn);
    transform(datum, drawn.data(), to);
  }
};

template <typename Dtype> struct OurTransformer { typedef DataTransformer<Dtype> type; };
template <> struct OurTransformer<float> { typedef DrawingTransformer type; };
template <typename Dtype> using TestedTransformer = typename OurTransformer<Dtype>::type;

}  // namespace caffe

#define DataTransformer TestedTransformer

#endif  // MINDPICS_BVLC_REGISTRY_HPP_
