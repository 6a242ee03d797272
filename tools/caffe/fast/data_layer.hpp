// Data: one thread reads and draws, as ever; all threads parse, decode and prepare the pictures.
#ifndef MINDPICS_DATA_LAYER_HPP_
#define MINDPICS_DATA_LAYER_HPP_

#include <opencv2/core/core.hpp>

#include <string>
#include <vector>

#include "caffe/layers/data_layer.hpp"
#include "kernels.hpp"

namespace caffe {
namespace fast {

// The bytes of a record: in the Datum that it was parsed to, or decoded.
struct Picture {
  int channels, height, width;
  bool interleaved;      // OpenCV's order (H, W, C); else (C, H, W)
  const uint8_t* bytes;  // NULL: the Datum holds floats
  cv::Mat decoded;

  size_t size() const { return size_t(channels) * height * width; }
};

// A transformer whose random numbers were drawn before, picture after picture, by one of its kind.
class ReplayingTransformer : public DataTransformer<float> {
 public:
  ReplayingTransformer(const TransformationParameter& param, Phase phase)
      : DataTransformer<float>(param, phase), drawn_(NULL) {}

  // How many numbers a picture takes: whether it is mirrored, the crop's row, the crop's column.
  int draws_each() const { return param_.mirror() + (phase_ == TRAIN && param_.crop_size() ? 2 : 0); }
  void draw(int count, vector<uint32_t>* drawn);

  Picture open(const Datum& datum) const;
  // What a picture's draws, and its size, make of it; `shape` is a batch's.
  Crop plan(const Picture& picture, const uint32_t* drawn, const vector<int>& shape);
  void transform(const Datum& datum, const uint32_t* drawn, Blob<float>* to);

  // The mean image, one value a channel, or NULL.
  Blob<float>* mean() { return param_.has_mean_file() ? &data_mean_ : NULL; }
  const float* values_of(int channels);

 protected:
  int Rand(int n) override;

  const uint32_t* drawn_;
};

// A batch as the database has it, and the numbers drawn for its pictures.
struct Records {
  vector<std::string> values;
  vector<uint32_t> drawn;
};

class FastDataLayer : public DataLayer<float> {
 public:
  explicit FastDataLayer(const LayerParameter& param) : DataLayer<float>(param) {}
  ~FastDataLayer() override { StopInternalThread(); }

  void DataLayerSetUp(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override;

 protected:
  void load_batch(Batch<float>* batch) override;
  Records read_records();
  void shape_batch(const Records& records, Batch<float>* batch);
  void transform_records(const Records& records, Batch<float>* batch);
  void Forward_cpu(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override;
  virtual void unload(const Batch<float>& batch, Blob<float>* to);

  const uint32_t* drawn_for(const Records& records, int i) const {
    return records.drawn.data() + size_t(i) * drawing_->draws_each();
  }

  shared_ptr<ReplayingTransformer> drawing_;
  vector<shared_ptr<ReplayingTransformer> > transformers_;  // one a thread
};

}  // namespace fast
}  // namespace caffe

#endif  // MINDPICS_DATA_LAYER_HPP_
