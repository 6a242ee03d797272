# The second build, for NVIDIA's GPUs. CMakeLists.txt reads this where CUDA_TOOLKIT names the folder in which pip put
# the packages of requirements-cuda.txt and requirements-cuda-run.txt.

set(CUDA_FOLDER ${CUDA_TOOLKIT}/nvidia/cu13)
set(CUDNN_FOLDER ${CUDA_TOOLKIT}/nvidia/cudnn)
set(NCCL_FOLDER ${CUDA_TOOLKIT}/nvidia/nccl)
add_compile_definitions(USE_NCCL)  # BVLC's own training on several GPUs
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
# Caffe's own use of cuDNN, which cuda/cudnn* replaces.
set(LEFT_OUT "/layers/cudnn_")
list(FILTER SOURCES EXCLUDE REGEX ${LEFT_OUT})
# A dozen files a call of the compiler, as CMake does it for C++; for nvcc we write the files that name the others.
file(GLOB KERNELS ${CAFFE_SOURCE}/src/caffe/layers/*.cu ${CAFFE_SOURCE}/src/caffe/solvers/*.cu)
list(FILTER KERNELS EXCLUDE REGEX ${LEFT_OUT})
set(number 0)
foreach(file ${KERNELS})
  math(EXPR batch "${number} / 12")
  math(EXPR number "${number} + 1")
  string(APPEND KERNELS_${batch} "#include \"${file}\"\n")
endforeach()
foreach(number RANGE ${batch})
  file(CONFIGURE OUTPUT kernels_${number}.cu CONTENT "${KERNELS_${number}}")  # not touched if it says so already
  list(APPEND SOURCES ${CMAKE_CURRENT_BINARY_DIR}/kernels_${number}.cu)
endforeach()
file(GLOB OTHER_SOURCES ${CAFFE_SOURCE}/src/caffe/util/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu
     ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cpp)
list(APPEND SOURCES ${OTHER_SOURCES})

# CUDA's wheels have no libNAME.so to link with, only what runs.
set(CUDA_LIBRARIES ${CUDA_FOLDER}/lib/libcublas.so.13 ${CUDA_FOLDER}/lib/libcurand.so.10
    ${NCCL_FOLDER}/lib/libnccl.so.2)
if(CUDNN)
  list(APPEND CUDA_LIBRARIES ${CUDNN_FOLDER}/lib/libcudnn.so.9)
else()
  list(FILTER SOURCES EXCLUDE REGEX "/cuda/cudnn")
endif()
set(CUDA_INCLUDES ${CUDA_FOLDER}/include ${CUDA_FOLDER}/include/cccl ${CUDNN_FOLDER}/include ${NCCL_FOLDER}/include)
# As pip lays them out: site-packages/caffe/cuda beside site-packages/nvidia.
set(CUDA_RPATH $ORIGIN/../../nvidia/cu13/lib $ORIGIN/../../nvidia/cudnn/lib $ORIGIN/../../nvidia/nccl/lib)
