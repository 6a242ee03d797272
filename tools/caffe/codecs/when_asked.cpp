// OpenCV's functions for files of pictures, loaded when the first is called.
//
// Debian's imgcodecs links GDAL and with it a hundred libraries: two thirds of the time that loading Caffe took, for what
// most processes never call. What Caffe's sources name cv::imread is the function below, which is seen in libcaffe alone.
#include <dlfcn.h>
#include <glog/logging.h>

#include "codecs.hpp"

namespace {

const Codecs* load() {
  void* library = dlopen("libcaffe_codecs.so", RTLD_LAZY | RTLD_LOCAL);  // beside libcaffe.so, by its RUNPATH
  CHECK(library) << "pictures cannot be read: " << dlerror();
  const void* found = dlsym(library, "caffe_codecs");
  CHECK(found) << "pictures cannot be read: " << dlerror();
  return static_cast<const Codecs*>(found);
}

const Codecs& codecs() {
  static const Codecs* const loaded = load();
  return *loaded;
}

}  // namespace

namespace cv {

Mat imread(const String& file, int flags) { return codecs().imread(file, flags); }

Mat imdecode(InputArray bytes, int flags) { return codecs().imdecode(bytes, flags); }

bool imencode(const String& suffix, InputArray picture, std::vector<uchar>& bytes, const std::vector<int>& options) {
  return codecs().imencode(suffix, picture, bytes, options);
}

}  // namespace cv
