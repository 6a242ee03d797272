// Data for a GPU: pictures go there as the bytes they are, and are cropped, mirrored and freed of the mean there.
#include "../fast/data_layer.hpp"

#include <boost/thread.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include <omp.h>

#include "../fast/engine.hpp"
#include "crop.hpp"

namespace caffe {
namespace fast {

namespace {

// One batch's way to the device: places, then the bytes of all pictures, in one piece.
class Shipment {
 public:
  Shipment() : is_bytes(false), host_(NULL), device_(NULL), capacity_(0), size_(0) {
    CUDA_CHECK(cudaEventCreateWithFlags(&arrived, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventCreateWithFlags(&used, cudaEventDisableTiming));
  }
  // Unchecked: at the process's end the device may be gone.
  ~Shipment() {
    cudaFreeHost(host_);
    cudaFree(device_);
    cudaEventDestroy(arrived);
    cudaEventDestroy(used);
  }

  void reserve(size_t pictures, size_t bytes) {
    begin_ = pictures * sizeof(Place);
    size_ = begin_ + bytes;
    if (size_ <= capacity_) return;
    CUDA_CHECK(cudaFreeHost(host_));
    CUDA_CHECK(cudaFree(device_));  // which waits for those who read there
    CUDA_CHECK(cudaMallocHost(&host_, size_));
    CUDA_CHECK(cudaMalloc(&device_, size_));
    capacity_ = size_;
  }
  void send(cudaStream_t stream) {
    CUDA_CHECK(cudaMemcpyAsync(device_, host_, size_, cudaMemcpyHostToDevice, stream));
  }

  Place* places() { return reinterpret_cast<Place*>(host_); }
  uint8_t* bytes() { return host_ + begin_; }
  const Place* places_there() const { return reinterpret_cast<const Place*>(device_); }
  const uint8_t* bytes_there() const { return device_ + begin_; }

  bool is_bytes;              // else the batch's own blob has floats
  cudaEvent_t arrived, used;  // on the device; by the net, so that the next batch may come

 private:
  DISABLE_COPY_AND_ASSIGN(Shipment);
  uint8_t *host_, *device_;
  size_t capacity_, begin_, size_;
};

}  // namespace

class GpuDataLayer : public FastDataLayer {
 public:
  explicit GpuDataLayer(const LayerParameter& param) : FastDataLayer(param), mean_there_(NULL) {}
  ~GpuDataLayer() override { StopInternalThread(); }

  // As the base class, number for number, but without its batches of floats on both sides.
  void LayerSetUp(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override {
    BaseDataLayer<float>::LayerSetUp(bottom, top);
    if (drawing_->mean()) mean_there_ = drawing_->mean()->gpu_data();
    const int channels = top[0]->shape(1);
    if (const float* values = drawing_->values_of(channels)) {
      values_.Reshape({channels});
      std::copy(values, values + channels, values_.mutable_cpu_data());
      values_.gpu_data();
    }
    for (const shared_ptr<Batch<float> >& batch : prefetch_) shipments_[batch.get()];
    data_transformer_->InitRand();
    StartInternalThread();
  }

 protected:
  Shipment& shipment_of(const Batch<float>& batch) { return shipments_.at(&batch); }

  void InternalThreadEntry() override {
    cudaStream_t stream;
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    try {
      while (!must_stop()) {
        Batch<float>* batch = prefetch_free_.pop();
        Shipment& shipment = shipment_of(*batch);
        CUDA_CHECK(cudaEventSynchronize(shipment.arrived));  // what was last sent has left the host's memory
        load_batch(batch);
        CUDA_CHECK(cudaStreamWaitEvent(stream, shipment.used, 0));
        send(batch, stream);
        CUDA_CHECK(cudaEventRecord(shipment.arrived, stream));
        prefetch_full_.push(batch);
      }
    } catch (boost::thread_interrupted&) {
      // Interrupted exception is expected on shutdown
    }
    CUDA_CHECK(cudaStreamDestroy(stream));
  }

  void load_batch(Batch<float>* batch) override {
    bool& is_bytes = shipment_of(*batch).is_bytes;
    is_bytes = false;
    const Records records = read_records();
    is_bytes = open_all(records);
    if (is_bytes) {
      pack(records, batch);
    } else {
      transform_records(records, batch);
    }
  }

  // False if some picture is of floats.
  bool open_all(const Records& records) {
    const int size = records.values.size();
    datums_.resize(size);
    pictures_.resize(size);
    bool are_bytes = true;
    use_threads(HUGE_VAL);
#pragma omp parallel for schedule(dynamic) num_threads(transformers_.size()) reduction(&&:are_bytes)
    for (int i = 0; i < size; ++i) {
      datums_[i].ParseFromString(records.values[i]);
      pictures_[i] = transformers_[omp_get_thread_num()]->open(datums_[i]);
      are_bytes = are_bytes && pictures_[i].bytes;
    }
    return are_bytes;
  }

  void pack(const Records& records, Batch<float>* batch) {
    shape_batch(records, batch);
    Shipment& shipment = shipment_of(*batch);
    size_t bytes = 0;
    for (const Picture& picture : pictures_) bytes += picture.size();
    const int size = pictures_.size();
    shipment.reserve(size, bytes);
    size_t begin = 0;
    for (int i = 0; i < size; begin += pictures_[i++].size()) {
      shipment.places()[i] = {transformers_[0]->plan(pictures_[i], drawn_for(records, i), batch->data_.shape()), begin};
      if (output_labels_) batch->label_.mutable_cpu_data()[i] = datums_[i].label();
    }
#pragma omp parallel for num_threads(transformers_.size())
    for (int i = 0; i < size; ++i) {
      memcpy(shipment.bytes() + shipment.places()[i].begin, pictures_[i].bytes, pictures_[i].size());
    }
  }

  void send(Batch<float>* batch, cudaStream_t stream) {
    Shipment& shipment = shipment_of(*batch);
    if (shipment.is_bytes) {
      shipment.send(stream);
    } else {
      batch->data_.data()->async_gpu_push(stream);
    }
    if (output_labels_) batch->label_.data()->async_gpu_push(stream);
  }

  // The host waits for nothing: streams wait for each other's events.
  void Forward_gpu(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) override {
    Batch<float>* batch = prefetch_full_.pop("Data layer prefetch queue empty");
    const Shipment& shipment = shipment_of(*batch);
    CUDA_CHECK(cudaStreamWaitEvent(cudaStreamLegacy, shipment.arrived, 0));
    top[0]->ReshapeLike(batch->data_);
    if (shipment.is_bytes) {
      crop_batch(top[0]->shape(0), top[0]->shape(1), top[0]->shape(2), top[0]->shape(3), shipment.places_there(),
                 shipment.bytes_there(), mean_there_, values_.count() ? values_.gpu_data() : NULL,
                 top[0]->mutable_gpu_data());
    } else {
      caffe_copy(batch->data_.count(), batch->data_.gpu_data(), top[0]->mutable_gpu_data());
    }
    if (output_labels_) {
      top[1]->ReshapeLike(batch->label_);
      caffe_copy(batch->label_.count(), batch->label_.gpu_data(), top[1]->mutable_gpu_data());
    }
    CUDA_CHECK(cudaEventRecord(shipment.used, cudaStreamLegacy));
    prefetch_free_.push(batch);
  }

  // A net made for the GPU that was set to the CPU since.
  void unload(const Batch<float>& batch, Blob<float>* to) override {
    Shipment& shipment = shipment_of(batch);
    if (!shipment.is_bytes) return FastDataLayer::unload(batch, to);
    for (int i = 0; i < to->shape(0); ++i) {
      const Place& place = shipment.places()[i];
      crop_bytes(place.crop, shipment.bytes() + place.begin, mean_there_ ? drawing_->mean()->cpu_data() : NULL,
                 drawing_->values_of(place.crop.channels), to->mutable_cpu_data() + to->offset(i));
    }
  }

  std::map<const Batch<float>*, Shipment> shipments_;
  vector<Datum> datums_;       // kept, since their memory is
  vector<Picture> pictures_;
  const float* mean_there_;
  Blob<float> values_;
};

REGISTER_GPU_LAYER(Data);

}  // namespace fast
}  // namespace caffe
