# The second build, for NVIDIA's GPUs. CMakeLists.txt reads this where CUDA_TOOLKIT names the folder in which pip put
# the packages of requirements-cuda.txt and requirements-cuda-run.txt.

set(CUDA_FOLDER ${CUDA_TOOLKIT}/nvidia/cu13)
set(CUDNN_FOLDER ${CUDA_TOOLKIT}/nvidia/cudnn)
set(CMAKE_CXX_STANDARD 17)  # of CUDA 13's headers
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_COMPILER ${CUDA_FOLDER}/bin/nvcc)
# Code for each of CUDA_ARCHS, and of the last also in a form that later GPUs' drivers compile.
list(GET CUDA_ARCHS -1 LAST)
list(TRANSFORM CUDA_ARCHS APPEND "-real")
set(CMAKE_CUDA_ARCHITECTURES ${CUDA_ARCHS} ${LAST}-virtual)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
enable_language(CUDA)

file(GLOB CUDA_SOURCES ${CAFFE_SOURCE}/src/caffe/layers/*.cu ${CAFFE_SOURCE}/src/caffe/solvers/*.cu
     ${CAFFE_SOURCE}/src/caffe/util/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cpp)
list(APPEND SOURCES ${CUDA_SOURCES})
# No part of BVLC Caffe, declared for the GPU and not or only half defined there.
list(FILTER SOURCES EXCLUDE REGEX "/(hardsigmoid|hardswish|maxunpool|pixelshuffle|proposal|relu6|upsample)_layer\\.")
list(FILTER SOURCES EXCLUDE REGEX "/layers/cudnn_")  # Caffe's own use of cuDNN, replaced by cuda/cudnn*
# CUDA's wheels have no libNAME.so to link with, only what runs.
set(CUDA_LIBRARIES ${CUDA_FOLDER}/lib/libcublas.so.13 ${CUDA_FOLDER}/lib/libcurand.so.10)
if(CUDNN)
  list(APPEND CUDA_LIBRARIES ${CUDNN_FOLDER}/lib/libcudnn.so.9)
else()
  list(FILTER SOURCES EXCLUDE REGEX "/cuda/cudnn")
endif()
set(CUDA_INCLUDES ${CUDA_FOLDER}/include ${CUDA_FOLDER}/include/cccl ${CUDNN_FOLDER}/include)
# As pip lays them out: site-packages/caffe/cuda beside site-packages/nvidia.
set(CUDA_RPATH $ORIGIN/../../nvidia/cu13/lib $ORIGIN/../../nvidia/cudnn/lib)
