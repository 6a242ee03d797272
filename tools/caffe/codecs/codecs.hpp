// OpenCV's functions for files of pictures, as libcaffe_codecs.so hands them to libcaffe.so.
#ifndef MINDPICS_CODECS_HPP_
#define MINDPICS_CODECS_HPP_

#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

struct Codecs {
  cv::Mat (*imread)(const std::string&, int);
  cv::Mat (*imdecode)(cv::InputArray, int);
  bool (*imencode)(const std::string&, cv::InputArray, std::vector<uchar>&, const std::vector<int>&);
};

extern "C" const Codecs caffe_codecs;

#endif  // MINDPICS_CODECS_HPP_
