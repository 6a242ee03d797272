// Data: one thread reads and draws, as ever; all threads parse, decode, crop and subtract the mean.
#include <opencv2/core/core.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <omp.h>

#include "caffe/layers/data_layer.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"
#include "engine.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

// A transformer whose random numbers were drawn before, picture after picture, by one of its kind.
class ReplayingTransformer : public DataTransformer<float> {
 public:
  ReplayingTransformer(const TransformationParameter& param, Phase phase)
      : DataTransformer<float>(param, phase), drawn_(NULL) {}

  // What the SSD branch of Caffe added draws as it goes, and is left to the stock layer.
  static bool is_left(const TransformationParameter& param) {
    return param.has_old_resize_param() || param.has_noise_param() || param.crop_h() || param.crop_w();
  }

  // How many numbers a picture takes: whether it is mirrored, the crop's row, the crop's column.
  int draws_each() const { return param_.mirror() + (phase_ == TRAIN && param_.crop_size() ? 2 : 0); }
  void draw(int count, vector<uint32_t>* drawn) {
    for (int i = 0; i < count; ++i) drawn->push_back((*static_cast<rng_t*>(rng_->generator()))());
  }

  void transform(const Datum& datum, const uint32_t* drawn, Blob<float>* to) {
    drawn_ = drawn;
    if (datum.data().empty()) {
      Transform(datum, to);  // of floats
    } else if (datum.encoded()) {
      const bool either = param_.force_color() || param_.force_gray();
      const cv::Mat picture =
          either ? DecodeDatumToCVMat(datum, param_.force_color()) : DecodeDatumToCVMatNative(datum);
      CHECK(picture.depth() == CV_8U && picture.isContinuous() && picture.channels() != 2);
      crop({picture.channels(), picture.rows, picture.cols}, true, picture.ptr<uint8_t>(), to);
    } else {
      CHECK_EQ(datum.data().size(), size_t(datum.channels()) * datum.height() * datum.width());
      crop({datum.channels(), datum.height(), datum.width()}, false,
           reinterpret_cast<const uint8_t*>(datum.data().data()), to);
    }
  }

 protected:
  int Rand(int n) override {
    CHECK_GT(n, 0);
    return drawn_ ? *drawn_++ % n : DataTransformer<float>::Rand(n);
  }

  void crop(const vector<int>& shape, bool interleaved, const uint8_t* bytes, Blob<float>* to) {
    const int size = param_.crop_size();
    Crop c = {shape[0], shape[1], shape[2], 0, 0, size ? size : shape[1], size ? size : shape[2], interleaved,
              param_.mirror() && Rand(2), param_.scale()};
    CHECK_GE(c.height, c.crop_height);
    CHECK_GE(c.width, c.crop_width);
    CHECK(to->channels() == c.channels && to->height() == c.crop_height && to->width() == c.crop_width)
        << "a picture of " << c.channels << "x" << c.height << "x" << c.width << " in a batch of another shape";
    if (size) {
      c.top = phase_ == TRAIN ? Rand(c.height - size + 1) : (c.height - size) / 2;
      c.left = phase_ == TRAIN ? Rand(c.width - size + 1) : (c.width - size) / 2;
    }
    crop_bytes(c, bytes, mean_of(shape), values_of(c.channels), to->mutable_cpu_data());
  }

  const float* mean_of(const vector<int>& shape) {
    if (!param_.has_mean_file()) return NULL;
    CHECK(data_mean_.channels() == shape[0] && data_mean_.height() == shape[1] && data_mean_.width() == shape[2])
        << "the mean is " << data_mean_.shape_string() << ", a picture " << shape[0] << "x" << shape[1] << "x"
        << shape[2];
    return data_mean_.cpu_data();
  }

  const float* values_of(int channels) {
    if (mean_values_.empty()) return NULL;
    CHECK(mean_values_.size() == 1 || mean_values_.size() == channels)
        << "Specify either 1 mean_value or as many as channels: " << channels;
    mean_values_.resize(channels, mean_values_[0]);
    return mean_values_.data();
  }

  const uint32_t* drawn_;
};

class FastDataLayer : public DataLayer<float> {
 public:
  explicit FastDataLayer(const LayerParameter& param) : DataLayer<float>(param) {}
  ~FastDataLayer() override { StopInternalThread(); }

  void DataLayerSetUp(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override {
    drawing_.reset(new ReplayingTransformer(transform_param_, phase_));
    data_transformer_ = drawing_;  // which its base class will seed
    use_threads(HUGE_VAL);
    for (int i = 0; i < omp_get_max_threads(); ++i) {
      transformers_.emplace_back(new ReplayingTransformer(transform_param_, phase_));
    }
    DataLayer<float>::DataLayerSetUp(bottom, top);
  }

 protected:
  void load_batch(Batch<float>* batch) override {
    if (ReplayingTransformer::is_left(transform_param_)) return DataLayer<float>::load_batch(batch);
    use_threads(HUGE_VAL);
    const int size = layer_param_.data_param().batch_size();
    vector<std::string> records(size);
    vector<uint32_t> drawn;
    const int each = drawing_->draws_each();
    for (int i = 0; i < size; ++i) {
      records[i] = cursor_->value();
      Next();
      drawing_->draw(each, &drawn);
    }
    shape_batch(records[0], size, batch);
    float* data = batch->data_.mutable_cpu_data();
    float* labels = output_labels_ ? batch->label_.mutable_cpu_data() : NULL;
    vector<int> shape = batch->data_.shape();
    shape[0] = 1;
#pragma omp parallel num_threads(transformers_.size())
    {
      Blob<float> place(shape);
      Datum datum;
#pragma omp for schedule(dynamic)
      for (int i = 0; i < size; ++i) {
        datum.ParseFromString(records[i]);
        place.set_cpu_data(data + batch->data_.offset(i));
        transformers_[omp_get_thread_num()]->transform(datum, drawn.data() + size_t(i) * each, &place);
        if (labels) labels[i] = datum.label();
      }
    }
  }

  // As the first record is: batches may differ.
  void shape_batch(const std::string& record, int size, Batch<float>* batch) {
    Datum datum;
    datum.ParseFromString(record);
    vector<int> shape = data_transformer_->InferBlobShape(datum);
    shape[0] = size;
    batch->data_.Reshape(shape);
  }

  void Forward_cpu(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override {
    Batch<float>* batch = prefetch_full_.pop("Data layer prefetch queue empty");
    top[0]->ReshapeLike(batch->data_);
    use_threads(batch->data_.count());
    scaled_copy(batch->data_.count(), 1, batch->data_.cpu_data(), top[0]->mutable_cpu_data());
    if (output_labels_) {
      top[1]->ReshapeLike(batch->label_);
      caffe_copy(batch->label_.count(), batch->label_.cpu_data(), top[1]->mutable_cpu_data());
    }
    prefetch_free_.push(batch);
  }

  shared_ptr<ReplayingTransformer> drawing_;
  vector<shared_ptr<ReplayingTransformer> > transformers_;
};

REGISTER_FAST_LAYER(Data);

}  // namespace fast
}  // namespace caffe
