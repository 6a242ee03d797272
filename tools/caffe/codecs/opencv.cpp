// libcaffe_codecs.so: OpenCV's functions for files of pictures, and with them all that OpenCV links for their sake.
#include "codecs.hpp"

const Codecs caffe_codecs = {cv::imread, cv::imdecode, cv::imencode};
