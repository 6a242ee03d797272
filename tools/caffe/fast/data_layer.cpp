#include "data_layer.hpp"

#include <cmath>

#include <omp.h>

#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"
#include "engine.hpp"

namespace caffe {
namespace fast {

void ReplayingTransformer::draw(int count, vector<uint32_t>* drawn) {
  for (int i = 0; i < count; ++i) drawn->push_back((*static_cast<rng_t*>(rng_->generator()))());
}

int ReplayingTransformer::Rand(int n) {
  CHECK_GT(n, 0);
  return drawn_ ? *drawn_++ % n : DataTransformer<float>::Rand(n);
}

Picture ReplayingTransformer::open(const Datum& datum) const {
  if (datum.data().empty()) return {};
  if (datum.encoded()) {
    const bool either = param_.force_color() || param_.force_gray();
    const cv::Mat found =
        either ? DecodeDatumToCVMat(datum, param_.force_color()) : DecodeDatumToCVMatNative(datum);
    CHECK(found.depth() == CV_8U && found.isContinuous() && found.channels() != 2);
    return {found.channels(), found.rows, found.cols, true, found.ptr<uint8_t>(), found};
  }
  Picture picture = {datum.channels(), datum.height(), datum.width(), false,
                     reinterpret_cast<const uint8_t*>(datum.data().data())};
  CHECK_GE(datum.data().size(), picture.size())
      << "a Datum of " << picture.channels << "x" << picture.height << "x" << picture.width << " whose data ends early";
  return picture;
}

Crop ReplayingTransformer::plan(const Picture& picture, const uint32_t* drawn, const vector<int>& shape) {
  drawn_ = drawn;
  const int size = param_.crop_size();
  Crop c = {picture.channels, picture.height, picture.width, 0, 0, size ? size : picture.height,
            size ? size : picture.width, picture.interleaved, param_.mirror() && Rand(2), param_.scale()};
  CHECK_GE(c.height, c.crop_height);
  CHECK_GE(c.width, c.crop_width);
  CHECK(shape[1] == c.channels && shape[2] == c.crop_height && shape[3] == c.crop_width)
      << "a picture of " << c.channels << "x" << c.height << "x" << c.width << " in a batch of another shape";
  if (size) {
    c.top = phase_ == TRAIN ? Rand(c.height - size + 1) : (c.height - size) / 2;
    c.left = phase_ == TRAIN ? Rand(c.width - size + 1) : (c.width - size) / 2;
  }
  if (const Blob<float>* image = mean()) {
    CHECK(image->channels() == c.channels && image->height() == c.height && image->width() == c.width)
        << "the mean is " << image->shape_string() << ", a picture " << c.channels << "x" << c.height << "x"
        << c.width;
  }
  return c;
}

void ReplayingTransformer::transform(const Datum& datum, const uint32_t* drawn, Blob<float>* to) {
  const Picture picture = open(datum);
  if (!picture.bytes) {
    drawn_ = drawn;
    return Transform(datum, to);
  }
  const Crop crop = plan(picture, drawn, to->shape());
  crop_bytes(crop, picture.bytes, mean() ? mean()->cpu_data() : NULL, values_of(crop.channels),
             to->mutable_cpu_data());
}

const float* ReplayingTransformer::values_of(int channels) {
  if (mean_values_.empty()) return NULL;
  CHECK(mean_values_.size() == 1 || mean_values_.size() == channels)
      << "Specify either 1 mean_value or as many as channels: " << channels;
  mean_values_.resize(channels, mean_values_[0]);
  return mean_values_.data();
}

void FastDataLayer::DataLayerSetUp(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) {
  drawing_.reset(new ReplayingTransformer(transform_param_, phase_));
  data_transformer_ = drawing_;  // which its base class will seed
  use_threads(HUGE_VAL);
  for (int i = 0; i < omp_get_max_threads(); ++i) {
    transformers_.emplace_back(new ReplayingTransformer(transform_param_, phase_));
  }
  DataLayer<float>::DataLayerSetUp(bottom, top);
}

void FastDataLayer::load_batch(Batch<float>* batch) {
  transform_records(read_records(), batch);
}

Records FastDataLayer::read_records() {
  Records records;
  records.values.resize(layer_param_.data_param().batch_size());
  for (std::string& value : records.values) {
    while (Skip()) Next();
    value = cursor_->value();
    Next();
    drawing_->draw(drawing_->draws_each(), &records.drawn);
  }
  return records;
}

// As the first record is: batches may differ.
void FastDataLayer::shape_batch(const Records& records, Batch<float>* batch) {
  Datum datum;
  datum.ParseFromString(records.values[0]);
  vector<int> shape = data_transformer_->InferBlobShape(datum);
  shape[0] = records.values.size();
  batch->data_.Reshape(shape);
}

void FastDataLayer::transform_records(const Records& records, Batch<float>* batch) {
  shape_batch(records, batch);
  float* data = batch->data_.mutable_cpu_data();
  float* labels = output_labels_ ? batch->label_.mutable_cpu_data() : NULL;
  const int size = records.values.size();
  vector<int> shape = batch->data_.shape();
  shape[0] = 1;
  use_threads(HUGE_VAL);
#pragma omp parallel num_threads(transformers_.size())
  {
    Blob<float> place(shape);
    Datum datum;
#pragma omp for schedule(dynamic)
    for (int i = 0; i < size; ++i) {
      datum.ParseFromString(records.values[i]);
      place.set_cpu_data(data + batch->data_.offset(i));
      transformers_[omp_get_thread_num()]->transform(datum, drawn_for(records, i), &place);
      if (labels) labels[i] = datum.label();
    }
  }
}

void FastDataLayer::Forward_cpu(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) {
  Batch<float>* batch = prefetch_full_.pop("Data layer prefetch queue empty");
  top[0]->ReshapeLike(batch->data_);
  use_threads(batch->data_.count());
  unload(*batch, top[0]);
  if (output_labels_) {
    top[1]->ReshapeLike(batch->label_);
    caffe_copy(batch->label_.count(), batch->label_.cpu_data(), top[1]->mutable_cpu_data());
  }
  prefetch_free_.push(batch);
}

void FastDataLayer::unload(const Batch<float>& batch, Blob<float>* to) {
  scaled_copy(batch.data_.count(), 1, batch.data_.cpu_data(), to->mutable_cpu_data());
}

REGISTER_FAST_LAYER(Data);

}  // namespace fast
}  // namespace caffe
