# BVLC's unit tests, which tools/caffe/test runs; no part of the build of Caffe itself. Each file of src/caffe/test is a
# module of its own: any few of them can be compiled and loaded.
set(TESTS ${CMAKE_CURRENT_BINARY_DIR}/tests)
set(BVLC ${CMAKE_CURRENT_SOURCE_DIR}/bvlc)

# Without optimisation, and with the common headers compiled once: a third of the time. What is tested is compiled as ever.
function(set_options target)
  target_compile_options(${target} PRIVATE -O0)
  set_target_properties(${target} PROPERTIES DEFINE_SYMBOL "")  # in which they would differ
endfunction()

# gtest and BVLC's main(), which runs the tests of the modules that are loaded.
add_library(bvlc_main SHARED EXCLUDE_FROM_ALL ${CAFFE_SOURCE}/src/gtest/gtest-all.cpp
            ${CAFFE_SOURCE}/src/caffe/test/test_caffe_main.cpp)
target_include_directories(bvlc_main PUBLIC ${CAFFE_SOURCE}/src)
target_compile_definitions(bvlc_main PUBLIC GTEST_USE_OWN_TR1_TUPLE)
target_precompile_headers(bvlc_main PRIVATE <gtest/gtest.h> <caffe/filler.hpp> <caffe/net.hpp>
                          <caffe/test/test_caffe_main.hpp> <caffe/test/test_gradient_check_util.hpp>)
target_link_libraries(bvlc_main PUBLIC caffe ${opencv_imgcodecs_LIBRARY})  # tests read pictures themselves
if(CUDA_TOOLKIT)
  target_link_libraries(bvlc_main PUBLIC ${CUDA_FOLDER}/lib/libcudart_static.a rt dl)
endif()
set_target_properties(bvlc_main PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${TESTS})
set_options(bvlc_main)

function(add_test_module target file folder)
  get_filename_component(name ${file} NAME_WE)
  add_library(${target} MODULE EXCLUDE_FROM_ALL ${file})
  target_link_libraries(${target} PRIVATE bvlc_main)
  target_precompile_headers(${target} REUSE_FROM bvlc_main)
  set_options(${target})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${folder})
endfunction()

# The types of which we have a layer, by the lines that register them.
file(GLOB REGISTERING ${CMAKE_CURRENT_SOURCE_DIR}/fast/*_layer*.cpp)
foreach(file ${REGISTERING})
  file(READ ${file} text)
  string(REGEX MATCHALL "REGISTER_FAST_LAYER.[A-Za-z]+" lines "${text}")
  list(APPEND OURS ${lines})
endforeach()
list(TRANSFORM OURS REPLACE "REGISTER_FAST_LAYER." "")
list(JOIN OURS "|" OURS)

file(GLOB TEST_FILES ${CAFFE_SOURCE}/src/caffe/test/test_*.cpp)
list(FILTER TEST_FILES EXCLUDE REGEX test_caffe_main)
add_custom_target(bvlc_tests)
add_custom_target(fast_tests)
foreach(file ${TEST_FILES})
  get_filename_component(name ${file} NAME_WE)
  add_test_module(${name} ${file} ${TESTS})
  add_dependencies(bvlc_tests ${name})
  file(READ ${file} text)
  if(text MATCHES "[^A-Za-z0-9](${OURS})Layer<|DataTransformer<|Net<")
    set(rewritten ${TESTS}/fast/${name}.cpp)
    # any Python: where a checkout's own stands in the command, CMake removes what that of another has written
    add_custom_command(OUTPUT ${rewritten} COMMAND python3 ${BVLC}/through_registry ${OURS} ${file} ${rewritten}
                       DEPENDS ${file} ${BVLC}/through_registry VERBATIM)
    add_test_module(fast_${name} ${rewritten} ${TESTS}/fast)
    target_include_directories(fast_${name} PRIVATE ${BVLC} ${CMAKE_CURRENT_SOURCE_DIR}/fast)
    add_dependencies(fast_tests fast_${name})
  endif()
endforeach()
