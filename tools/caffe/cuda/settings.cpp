#include "settings.hpp"

#include <glog/logging.h>

#include <cstdlib>
#include <string>

namespace caffe {

namespace {

std::string variable(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value && *value ? value : otherwise;
}

bool is_on(const char* name) {
  const std::string value = variable(name, "0");
  CHECK(value == "0" || value == "1") << name << " is \"" << value << "\"; wanted: 0 or 1";
  return value == "1";
}

}  // namespace

bool WantsTF32() {
  static const bool wanted = [] {
    const bool on = is_on("MINDPICS_TF32");
    LOG(INFO) << "Products on the GPU: "
              << (on ? "TF32 where it has that (MINDPICS_TF32=1)" : "true float32 (MINDPICS_TF32=1: TF32)");
    return on;
  }();
  return wanted;
}

namespace fast {

bool wants_find() {
  static const bool wanted = is_on("MINDPICS_CUDNN_FIND");
  return wanted;
}

size_t workspace_limit() {
  const char* name = "MINDPICS_CUDNN_WORKSPACE_MB";
  static const std::string value = variable(name, "256");
  CHECK(value.size() < 7 && value.find_first_not_of("0123456789") == std::string::npos)
      << name << " is \"" << value << "\"; wanted: megabytes, such as 256";
  return std::stoul(value) << 20;
}

}  // namespace fast
}  // namespace caffe
