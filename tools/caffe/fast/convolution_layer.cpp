// Convolution of pictures by oneDNN.
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "engine.hpp"
#include "kernels.hpp"
#include "onednn.hpp"

namespace caffe {
namespace fast {

using dnnl::memory;
typedef vector<Blob<float>*> Blobs;
typedef memory::format_tag Tag;
typedef memory::desc Desc;

namespace {

// A blob's values for a primitive that wants them as `wanted`: where they are if they lie so or can, else through
// scratch memory.
class Operand {
 public:
  Operand(const Desc& plain, const Desc& blocked, const Desc& wanted, Use use)
      : plain_(plain), wanted_(wanted), use_(use), is_plain_(wanted == plain), is_blocked_(wanted == blocked) {}

  memory input(const Blob<float>& blob, Part part) const {
    if (is_plain_ || (is_blocked_ && (is_blocked(blob, part) || may_block(blob, part)))) {
      return there(read(blob, part, !is_plain_));
    }
    memory from(plain_, onednn_engine(), const_cast<float*>(read_plain(blob, part)));
    memory to = in_scratch();
    dnnl::reorder(from, to).execute(onednn_stream(), from, to);
    return to;
  }

  memory output(Blob<float>* blob, Part part) const {
    if (is_plain_ || (is_blocked_ && may_block(*blob, part))) return there(write(blob, part, !is_plain_));
    return in_scratch();
  }

  // After the primitive: what was left in scratch memory goes to the blob.
  void finish(memory& from, Blob<float>* blob, Part part) const {
    if (is_plain_ || (is_blocked_ && may_block(*blob, part))) return;
    memory to(plain_, onednn_engine(), write_plain(blob, part));
    dnnl::reorder(from, to).execute(onednn_stream(), from, to);
  }

 private:
  memory there(const float* values) const { return memory(wanted_, onednn_engine(), const_cast<float*>(values)); }
  memory in_scratch() const { return there(scratch(use_, wanted_.get_size())); }

  Desc plain_, wanted_;
  Use use_;
  bool is_plain_, is_blocked_;
};

void run(const dnnl::primitive& primitive, std::unordered_map<int, memory> arguments, const Desc& scratchpad) {
  arguments[DNNL_ARG_SCRATCHPAD] =
      memory(scratchpad, onednn_engine(), scratch(SCRATCHPAD, scratchpad.get_size()));
  primitive.execute(onednn_stream(), arguments);
}

}  // namespace

class FastConvolutionLayer : public ConvolutionLayer<float> {
 public:
  explicit FastConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<float>(param) {}

 protected:
  // What the primitives are made for, and their descriptions.
  struct Plan {
    vector<int> shape;
    bool possible, backward_described, backward_possible;
    Desc source, weights, bias, destination;                 // plain
    Desc source_blocks, destination_blocks, weights_any;
    memory::dims strides, dilation, padding;
    dnnl::convolution_forward::primitive_desc forward;
    dnnl::convolution_backward_data::primitive_desc backward_data;
    dnnl::convolution_backward_weights::primitive_desc backward_weights;
  };

  static memory::dims dims_of(const vector<int>& shape) { return memory::dims(shape.begin(), shape.end()); }
  static Desc described(const memory::dims& dims, Tag tag) { return Desc(dims, memory::data_type::f32, tag); }
  static Desc blocks_of(const memory::dims& dims) {
    return described(dims, dims[1] % BLOCK ? Tag::any : Tag::nChw8c);
  }

  // True if the pictures can be convolved here; else the stock layer does it.
  bool prepare(const Blobs& bottom, const Blobs& top) {
    if (plan_.shape == bottom[0]->shape()) return plan_.possible;
    plan_ = Plan();
    plan_.shape = bottom[0]->shape();
    plan_.possible = channel_axis_ == 1 && num_spatial_axes_ == 2 && bottom[0]->count()
        && (describe_pictures(*bottom[0], *top[0]), describe_passes());
    return plan_.possible;
  }

  void describe_pictures(const Blob<float>& bottom, const Blob<float>& top) {
    memory::dims weights = dims_of(blobs_[0]->shape());
    if (group_ > 1) {
      weights[0] /= group_;
      weights.insert(weights.begin(), group_);
    }
    plan_.source = described(dims_of(bottom.shape()), Tag::nchw);
    plan_.destination = described(dims_of(top.shape()), Tag::nchw);
    plan_.weights = described(weights, group_ > 1 ? Tag::goihw : Tag::oihw);
    plan_.weights_any = described(weights, Tag::any);
    plan_.source_blocks = blocks_of(plan_.source.dims());
    plan_.destination_blocks = blocks_of(plan_.destination.dims());
    plan_.bias = described({num_output_}, Tag::x);
    for (int i = 0; i < 2; ++i) {
      plan_.strides.push_back(stride_.cpu_data()[i]);
      plan_.dilation.push_back(dilation_.cpu_data()[i] - 1);
      plan_.padding.push_back(pad_.cpu_data()[i]);
    }
  }

  // Blocks of channels if oneDNN has more than plain loops for that, then plain pictures: pass by pass, as few channels
  // in a group are blocks for some only.
  template <class Description, class Describe>
  bool find(Description* found, const Describe& describe_as) const {
    for (bool blocked : {true, false}) {
      try {
        *found = blocked ? describe_as(plan_.source_blocks, plan_.destination_blocks)
                         : describe_as(plan_.source, plan_.destination);
      } catch (const dnnl::error&) {
        continue;
      }
      if (!is_reference(*found)) return true;
    }
    return false;
  }

  bool describe_passes() { return describe_forward() && (!need_backward_ || prepare_backward()); }

  // Some call Backward of a net that needs none: `caffe time`, on a deploy net.
  bool prepare_backward() {
    if (!plan_.backward_described) {
      plan_.backward_described = true;
      plan_.backward_possible = describe_backward_data() && describe_backward_weights();
    }
    return plan_.backward_possible;
  }

  bool describe_forward() {
    return find(&plan_.forward, [this](const Desc& x, const Desc& y) {
      return describe<dnnl::convolution_forward>(
          dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, x, plan_.weights_any, plan_.bias, y,
          plan_.strides, plan_.dilation, plan_.padding, plan_.padding);
    });
  }

  bool describe_backward_data() {
    return find(&plan_.backward_data, [this](const Desc& x, const Desc& y) {
      return describe_backward<dnnl::convolution_backward_data>(
          plan_.forward, dnnl::algorithm::convolution_direct, x, plan_.weights_any, y, plan_.strides, plan_.dilation,
          plan_.padding, plan_.padding);
    });
  }

  bool describe_backward_weights() {
    return find(&plan_.backward_weights, [this](const Desc& x, const Desc& y) {
      return describe_backward<dnnl::convolution_backward_weights>(
          plan_.forward, dnnl::algorithm::convolution_direct, x, plan_.weights_any, plan_.bias, y, plan_.strides,
          plan_.dilation, plan_.padding, plan_.padding);
    });
  }

  double work(const Blob<float>& top) const {
    return VALUES_PER_PRODUCT * top.count() * blobs_[0]->count() / num_output_;
  }

  Operand source(const Desc& wanted) const { return Operand(plan_.source, plan_.source_blocks, wanted, SOURCE); }
  Operand destination(const Desc& wanted) const {
    return Operand(plan_.destination, plan_.destination_blocks, wanted, DESTINATION);
  }

  // The weights may have changed since the last pass, from Python as well.
  memory weights(const Desc& wanted) const {
    memory from(plan_.weights, onednn_engine(), const_cast<float*>(blobs_[0]->cpu_data()));
    if (wanted == plan_.weights) return from;
    memory to(wanted, onednn_engine(), scratch(WEIGHTS, wanted.get_size()));
    dnnl::reorder(from, to).execute(onednn_stream(), from, to);
    return to;
  }

  memory bias() {
    if (!bias_term_) no_bias_.resize(num_output_);
    return memory(plan_.bias, onednn_engine(),
                  bias_term_ ? const_cast<float*>(blobs_[1]->cpu_data()) : no_bias_.data());
  }

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    use_threads(work(*top[0]));  // which the primitives are made for
    if (!prepare(bottom, top)) return ConvolutionLayer<float>::Forward_cpu(bottom, top);
    const auto& pd = plan_.forward;
    memory w = weights(pd.weights_desc());
    for (size_t i = 0; i < bottom.size(); ++i) {
      memory x = source(pd.src_desc()).input(*bottom[i], DATA);
      const Operand result = destination(pd.dst_desc());
      memory y = result.output(top[i], DATA);
      run(dnnl::convolution_forward(pd),
          {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, bias()}, {DNNL_ARG_DST, y}},
          pd.scratchpad_desc());
      result.finish(y, top[i], DATA);
    }
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom) override {
    use_threads(work(*top[0]));
    if (!prepare(bottom, top) || !prepare_backward()) {
      return ConvolutionLayer<float>::Backward_cpu(top, propagate_down, bottom);
    }
    for (size_t i = 0; i < top.size(); ++i) {
      if (param_propagate_down_[0] || (bias_term_ && param_propagate_down_[1])) {
        to_parameters(*bottom[i], *top[i]);
      }
      if (propagate_down[i]) to_bottom(*top[i], bottom[i]);
    }
  }

  void to_bottom(const Blob<float>& top, Blob<float>* bottom) {
    const auto& pd = plan_.backward_data;
    memory w = weights(pd.weights_desc());
    memory dy = destination(pd.diff_dst_desc()).input(top, DIFF);
    const Operand result = source(pd.diff_src_desc());
    memory dx = result.output(bottom, DIFF);
    run(dnnl::convolution_backward_data(pd),
        {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, dx}}, pd.scratchpad_desc());
    result.finish(dx, bottom, DIFF);
  }

  // Gradients of the parameters add up: over bottoms, over a solver's iter_size, over layers that share.
  void to_parameters(const Blob<float>& bottom, const Blob<float>& top) {
    const auto& pd = plan_.backward_weights;
    memory x = source(pd.src_desc()).input(bottom, DATA);
    memory dy = destination(pd.diff_dst_desc()).input(top, DIFF);
    const Desc found = pd.diff_weights_desc();
    memory dw(found, onednn_engine(), scratch(WEIGHTS, found.get_size()));
    bias_diff_.resize(num_output_);
    memory db(plan_.bias, onednn_engine(), bias_diff_.data());
    run(dnnl::convolution_backward_weights(pd),
        {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_WEIGHTS, dw}, {DNNL_ARG_DIFF_BIAS, db}},
        pd.scratchpad_desc());
    if (param_propagate_down_[0]) add(dw, blobs_[0]->mutable_cpu_diff());
    if (bias_term_ && param_propagate_down_[1]) {
      caffe_axpy(num_output_, 1.f, bias_diff_.data(), blobs_[1]->mutable_cpu_diff());
    }
  }

  void add(memory& from, float* diff) const {
    dnnl::post_ops sum;
    sum.append_sum(1.f);
    dnnl::primitive_attr attr;
    attr.set_post_ops(sum);
    memory to(plan_.weights, onednn_engine(), diff);
    dnnl::reorder(dnnl::reorder::primitive_desc(from, to, attr)).execute(onednn_stream(), from, to);
  }

  Plan plan_;
  vector<float> no_bias_, bias_diff_;
};

REGISTER_FAST_LAYER(Convolution);

}  // namespace fast
}  // namespace caffe
