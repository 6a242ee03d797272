"""Who would post this pin? Text and fc7 classifiers, a cascade, a refinement.

Reproduces "Two-phase user identification in Pinterest by cascade fusion of
image and text". Reads feature files; never imports Caffe.
"""
